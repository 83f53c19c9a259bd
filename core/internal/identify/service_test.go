// SPDX-License-Identifier: Apache-2.0 OR MIT

package identify

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

const (
	addrA = "/ip4/127.0.0.1/tcp/1001"
	addrB = "/ip4/127.0.0.1/tcp/1002"
)

func texts(addrs []ma.Multiaddr) []string {
	list := []string{}
	for _, a := range addrs {
		list = append(list, a.String())
	}
	slices.Sort(list)
	return list
}

func nothing(core.Stream) error { return nil }

func TestIdentify(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	a := newNode(t, 1, addrA).start(t)
	b := newNode(t, 2, addrB, "/ip4/127.0.0.1/udp/1002/quic-v1").start(t)
	b.Handle("/echo/1.0.0", nothing)
	a.writes.Store(0)
	out, in := connect(t, a, b, "/ip4/127.0.0.1/tcp/55555", addrB)
	for _, c := range []*conn{out, in} {
		if err := c.local.svc.Wait(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"/echo/1.0.0", ID, PushID}, a.book.PeerProtocols(b.ID())); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{addrB, "/ip4/127.0.0.1/udp/1002/quic-v1"}, texts(a.book.PeerAddrs(b.ID()))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{addrA}, texts(b.book.PeerAddrs(a.ID()))); diff != "" {
		t.Error(diff)
	}
	if got := a.book.PeerAgent(b.ID()); got != "agent/"+b.ID().Short() {
		t.Errorf("agent %q", got)
	}
	if got := a.book.PeerProtocolVersion(b.ID()); got != "test/1" {
		t.Errorf("version %q", got)
	}
	if a.book.PeerRecord(b.ID()) == nil {
		t.Error("no signed record")
	}
	out.Close()
	want := "connected; identified /ip4/127.0.0.1/tcp/55555; disconnected"
	if got := a.eventList(); got != want {
		t.Error(got)
	}
	if got, want := b.eventList(), strings.Replace(want, "/tcp/55555", "/tcp/1002", 1); got != want {
		t.Error(got)
	}
	if n := a.writes.Load(); n != 1 {
		t.Errorf("%d writes to say who one is", n)
	}
	if err := a.svc.Wait(t.Context(), out); !errors.Is(err, core.ErrConnClosed) || !errors.Is(err, net.ErrClosed) && err == nil {
		t.Errorf("wait on a closed connection: %v", err)
	}
	if len(a.svc.states) != 0 || len(b.svc.states) != 0 {
		t.Error("states are left")
	}
}

// A peer without identify stays connected.
func TestNotSpoken(t *testing.T) {
	a, b := newNode(t, 1, addrA).start(t), newNode(t, 2, addrB)
	out, _ := connect(t, a, b, addrA, addrB)
	var protocol *core.ProtocolError
	if err := a.svc.Wait(t.Context(), out); !errors.As(err, &protocol) {
		t.Error(err)
	}
	if got := a.eventList(); got != "connected; failed" || out.closed {
		t.Error(got, out.closed)
	}
	out.Close()
}

func TestWaitEndsWithContext(t *testing.T) {
	a, b := newNode(t, 1, addrA).start(t), newNode(t, 2, addrB)
	ended := make(chan struct{})
	b.Handle(ID, func(core.Stream) error { <-ended; return nil })
	out, _ := connect(t, a, b, addrA, addrB)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.svc.Wait(ctx, out); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(ended)
	out.Close()
}

func TestCloseEndsWaiting(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	a, b := newNode(t, 1, addrA).start(t), newNode(t, 2, addrB)
	ended := make(chan struct{})
	b.Handle(ID, func(core.Stream) error { <-ended; return nil })
	out, _ := connect(t, a, b, addrA, addrB)
	a.svc.Close()
	if err := a.svc.Wait(t.Context(), out); err == nil {
		t.Error("no error")
	}
	close(ended)
	out.Close()
	a.svc.Close() // twice does no harm
	off := New(Settings{})
	if err := off.Wait(t.Context(), out); !errors.Is(err, ErrOff) {
		t.Error(err)
	}
	off.Close()
}

// Who does not fit into the slots has to wait, and who was dialled has slots of
// its own.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newNode(t, 1, addrA).start(t)
		ended := make(chan struct{})
		var outs []*conn
		for i := range 300 {
			n := newNode(t, uint64(10+i), addrB)
			n.Handle(ID, func(core.Stream) error { <-ended; return nil })
			out, _ := connect(t, n, a, addrB, addrA)
			outs = append(outs, out)
		}
		synctest.Wait()
		if a.svc.running != maxInbound || len(a.svc.waiting) != 300-maxInbound {
			t.Errorf("%d running, %d waiting", a.svc.running, len(a.svc.waiting))
		}
		outs[299].Close()
		if len(a.svc.waiting) != 299-maxInbound {
			t.Error("a closed connection waits on")
		}
		b := newNode(t, 2, addrB).start(t)
		start := time.Now()
		out, _ := connect(t, a, b, addrA, addrB)
		if err := a.svc.Wait(t.Context(), out); err != nil || time.Since(start) != 0 {
			t.Errorf("dialled: %v after %v", err, time.Since(start))
		}
		if err := a.svc.Wait(t.Context(), outs[298].other); err == nil || time.Since(start) != 2*timeout {
			t.Errorf("the last one: %v after %v", err, time.Since(start))
		}
		close(ended)
		for _, out := range outs {
			out.Close()
		}
		out.Close()
		synctest.Wait()
		if a.svc.running != 0 || a.svc.inbound != 0 || len(a.svc.states) != 0 {
			t.Errorf("%d running, %d inbound, %d states left", a.svc.running, a.svc.inbound, len(a.svc.states))
		}
		a.svc.Close()
		b.svc.Close()
	})
}

func TestPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, addrA).start(t), newNode(t, 2, addrB).start(t)
		out, in := connect(t, a, b, addrA, addrB)
		second, _ := connect(t, b, a, addrB, addrA)
		for _, c := range []*conn{out, in, second} {
			if err := c.local.svc.Wait(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		before := a.writes.Load()
		for i := range 100 { // many changes, one push
			a.Announce(multiaddrs(t, fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", 2000+i))...)
		}
		remove := a.Handle("/echo/1.0.0", nothing)
		time.Sleep(time.Second)
		if n := a.writes.Load() - before; n != 1 {
			t.Errorf("%d writes", n)
		}
		if n := len(b.book.PeerAddrs(a.ID())); n != 101 {
			t.Errorf("%d addresses", n)
		}
		if _, ok := b.book.SupportsProtocol(a.ID(), "/echo/1.0.0"); !ok {
			t.Error("the new protocol is not known")
		}
		if got := b.eventList(); !strings.HasSuffix(got, "; protocols +[/echo/1.0.0] -[]") {
			t.Error(got)
		}
		remove()
		a.Emit(core.LocalProtocolsChanged{})
		time.Sleep(time.Second)
		if got := b.eventList(); !strings.HasSuffix(got, "; protocols +[] -[/echo/1.0.0]") {
			t.Error(got)
		}
		before = a.writes.Load()
		a.Emit(core.LocalProtocolsChanged{}) // nothing new
		a.Emit(core.LocalAddrsChanged{})
		time.Sleep(time.Minute)
		if n := a.writes.Load() - before; n != 0 {
			t.Errorf("%d writes without news", n)
		}
		a.svc.SetAgent("another")
		time.Sleep(time.Second)
		if got := b.book.PeerAgent(a.ID()); got != "another" {
			t.Errorf("agent %q", got)
		}
		out.Close()
		second.Close()
		a.svc.Close()
		b.svc.Close()
	})
}

// However fast things change, pushes go no faster than receivers take them, and
// the last state arrives.
func TestPushPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, addrA).start(t), newNode(t, 2, addrB).start(t)
		out, in := connect(t, a, b, "/ip4/8.8.8.8/tcp/1", "/ip4/9.9.9.9/tcp/1")
		for _, c := range []*conn{out, in} {
			if err := c.local.svc.Wait(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		before := a.writes.Load()
		for i := range 600 {
			a.svc.SetAgent(fmt.Sprint("v", i))
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(pushInterval + time.Second)
		if n := a.writes.Load() - before; n < 10 || n > 19 {
			t.Errorf("%d pushes in a minute", n)
		}
		if got := b.book.PeerAgent(a.ID()); got != "v599" {
			t.Errorf("agent %q", got)
		}
		out.Close()
		a.svc.Close()
		b.svc.Close()
	})
}

// A push says what has changed; absent is not cleared.
func TestPartialPush(t *testing.T) {
	a, b := newNode(t, 1, addrA).start(t), newNode(t, 2, addrB).start(t)
	out, _ := connect(t, a, b, addrA, addrB)
	if err := a.svc.Wait(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	st, err := out.other.NewStream(t.Context(), PushID)
	if err != nil {
		t.Fatal(err)
	}
	body := appendField(nil, fieldAgentVersion, []byte("new\x07"))
	if _, err := st.Write(append([]byte{byte(len(body))}, body...)); err != nil {
		t.Fatal(err)
	}
	finish(st)
	if got := a.book.PeerAgent(b.ID()); got != `new\a` {
		t.Errorf("agent %q", got)
	}
	if len(a.book.PeerProtocols(b.ID())) != 2 || len(a.book.PeerAddrs(b.ID())) != 1 || a.book.PeerRecord(b.ID()) == nil {
		t.Error("what was not said is gone")
	}
	out.Close()
}

func TestPlaces(t *testing.T) {
	all := multiaddrs(t, "/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1", "/memory/7", "/ip4/192.168.1.2/tcp/1", "/ip6/fd00::1/tcp/1",
		"/ip6/::ffff:10.0.0.1/tcp/1", "/ip4/8.8.8.8/tcp/1", "/dns4/xnode.example.net/tcp/1", "/dns4/localhost/tcp/1")
	for remote, want := range map[string]int{
		"/ip4/127.0.0.1/tcp/9": 9, "/memory/3": 9, "/ip6/::ffff:127.0.0.1/tcp/1": 9,
		"/ip4/192.168.1.9/tcp/9": 5, "/ip6/::ffff:192.168.1.9/tcp/9": 5,
		"/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN/p2p-circuit": 2, "/ip4/198.18.0.1/tcp/1": 2,
		"/ip4/9.9.9.9/tcp/9": 2, "/ip6/2606:4700::1/udp/1/quic-v1": 2,
	} {
		at := placeOfAddr(multiaddrs(t, remote)[0])
		n := 0
		for _, a := range all {
			if at.shares(a) {
				n++
			}
		}
		if n != want {
			t.Errorf("%s: %d addresses, want %d", remote, n, want)
		}
	}

	a, b := newNode(t, 1).start(t), newNode(t, 2).start(t)
	for i, addr := range all {
		if i != 5 { // the book would write it otherwise
			a.Announce(addr)
		}
	}
	out, in := connect(t, a, b, "/ip4/8.8.8.8/tcp/5", "/ip4/9.9.9.9/tcp/9")
	if err := b.svc.Wait(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/dns4/xnode.example.net/tcp/1", "/ip4/8.8.8.8/tcp/1"}, texts(b.book.PeerAddrs(a.ID()))); diff != "" {
		t.Error(diff)
	}
	out.Close()
}

// The bytes were taken apart by hand, with a decoder that is not ours.
func TestGolden(t *testing.T) {
	a := newNode(t, 1, "/ip4/192.0.2.1/tcp/4001")
	svc := New(Settings{
		Node: a, Book: a.book, Agent: "xnode/test", ProtocolVersion: "ipfs/0.1.0",
		Protocols: func() []string { return []string{ID, PushID} },
		Now:       func() time.Time { return time.Unix(1700000000, 0) },
	})
	got := svc.self.snapshot(theInternet).encode(multiaddrs(t, "/ip4/198.51.100.7/tcp/50000")[0])
	if diff := cmp.Diff(golden, hex.EncodeToString(got)); diff != "" {
		t.Error(diff)
	}
	m, err := readMessage(strings.NewReader(string(got)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/ip4/192.0.2.1/tcp/4001"}, texts(m.addrs)); diff != "" {
		t.Error(diff)
	}
	if m.observed.String() != "/ip4/198.51.100.7/tcp/50000" || m.agent != "xnode/test" || m.version != "ipfs/0.1.0" {
		t.Errorf("%+v", m)
	}
	if first, second := svc.self.snapshot(theInternet), svc.self.snapshot(theInternet); first != second {
		t.Error("not cached")
	}
}

const golden = "a6020a2408011220fa93b15f0450425e1bde58fa76a3c7b1038fc8b02864bcf9fbba6d1e268af6572a0a697066732f302e31" +
	"2e30320a786e6f64652f746573741a0e2f697066732f69642f312e302e301a132f697066732f69642f707573682f312e302e" +
	"30120804c0000201060fa142ac010a2408011220fa93b15f0450425e1bde58fa76a3c7b1038fc8b02864bcf9fbba6d1e268a" +
	"f657120203011a3e0a26002408011220fa93b15f0450425e1bde58fa76a3c7b1038fc8b02864bcf9fbba6d1e268af6571080" +
	"80a8b1e39fe7cb171a0a0a0804c0000201060fa12a402ff68699af36a0c4854d56b83b53107c1ac8ab48beca33f1775e2bae" +
	"7f66c86f6024c966552c0ed74fb9a5a4412513195e6c6bb54b653eb9aff7516470048201220804c633640706c350"

// What is too long for one message is split: the record comes last.
func TestSplit(t *testing.T) {
	for _, protocols := range []int{1, 60, 110, 500} {
		a := newNode(t, 1)
		for i := range 30 {
			a.Announce(multiaddrs(t, fmt.Sprintf("/ip4/8.8.4.%d/udp/4001/quic-v1/webtransport", i))...)
		}
		var list []string
		for i := range protocols {
			list = append(list, fmt.Sprintf("/a-protocol-with-a-name/%03d/1.0.0", i))
		}
		svc := New(Settings{Node: a, Book: a.book, Protocols: func() []string { return list }})
		b := svc.self.snapshot(theInternet).encode(multiaddrs(t, "/ip4/198.51.100.7/tcp/50000")[0])
		m, err := readMessage(strings.NewReader(string(b)))
		if err != nil {
			t.Fatal(protocols, err)
		}
		if len(m.protocols) != protocols || len(m.addrs) != 30 || len(m.record) == 0 || m.observed == nil {
			t.Errorf("%d protocols, %d addresses, record of %d bytes", len(m.protocols), len(m.addrs), len(m.record))
		}
		for rest, first := b, true; len(rest) > 0; first = false {
			size := int(rest[0]) & 0x7f
			skip := 1
			if rest[0] >= 0x80 {
				size |= int(rest[1]) << 7
				skip = 2
			}
			if size > ownMessage {
				t.Errorf("message of %d bytes", size)
			}
			if first && (size == len(b)-skip) != (protocols <= 60) {
				t.Errorf("%d protocols: first message of %d in %d bytes", protocols, size, len(b))
			}
			rest = rest[skip+size:]
		}
	}
}

// The number of the record grows even when the clock does not, and only when
// the addresses change.
func TestRecordNumber(t *testing.T) {
	a := newNode(t, 1, "/ip4/8.8.8.8/tcp/1")
	svc := New(Settings{Node: a, Book: a.book, Protocols: a.protocols, Now: func() time.Time { return time.Unix(1, 0) }})
	first := svc.self.snapshot(theInternet)
	svc.SetAgent("x")
	second := svc.self.snapshot(theInternet)
	if string(first.record) != string(second.record) || first.serial == second.serial {
		t.Error("a new record for the same addresses")
	}
	a.Announce(multiaddrs(t, "/ip4/8.8.8.8/tcp/2")...)
	svc.self.changed()
	svc.self.snapshot(theInternet)
	if svc.self.seq != uint64(time.Second)+1 {
		t.Errorf("number %d", svc.self.seq)
	}
}
