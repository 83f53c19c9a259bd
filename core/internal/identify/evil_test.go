// SPDX-License-Identifier: Apache-2.0 OR MIT

package identify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/core/wire"
)

// frame puts messages behind their lengths.
func frame(messages ...[]byte) []byte {
	var b []byte
	for _, m := range messages {
		b = wire.AppendUvarint(b, uint64(len(m)))
		b = append(b, m...)
	}
	return b
}

func fieldsOf(pairs ...any) []byte {
	var b []byte
	for i := 0; i < len(pairs); i += 2 {
		b = append(b, byte(pairs[i].(int)<<3|2))
		v := []byte(pairs[i+1].(string))
		b = wire.AppendUvarint(b, uint64(len(v)))
		b = append(b, v...)
	}
	return b
}

func TestEvil_E1_Messages(t *testing.T) {
	ping := fieldsOf(3, "/ping")
	unknown := fieldsOf(15, strings.Repeat("x", maxMessage-3))
	many := func(n int, f func(i int) []byte) []byte {
		var b []byte
		for i := range n {
			b = append(b, f(i)...)
		}
		return b
	}
	addr := func(i int) []byte { return fieldsOf(2, string([]byte{4, 1, 2, byte(i >> 8), byte(i), 6, 0, 1})) }
	for _, tt := range []struct {
		name string
		in   []byte
		err  error
	}{
		{"ten", frame(bytesTimes(ping, 10)...), nil},
		{"eleven", frame(bytesTimes(ping, 11)...), wire.ErrTooMany},
		{"8 KiB", frame(unknown), nil},
		{"8 KiB and one", frame(append(unknown, 0)), wire.ErrTooLarge},
		{"64 KiB", frame(bytesTimes(unknown, 8)...), nil},
		{"64 KiB and more", frame(append(bytesTimes(unknown, 8), ping)...), wire.ErrTooLarge},
		{"ten of 8 KiB", frame(bytesTimes(unknown, 10)...), wire.ErrTooLarge},
		{"1024 protocols", frame(many(1024, func(i int) []byte { return fieldsOf(3, fmt.Sprint(i)) })), nil},
		{"1025 protocols", frame(many(1025, func(int) []byte { return fieldsOf(3, "") })), wire.ErrTooMany},
		{"1025 protocols in two messages", frame(many(1024, func(int) []byte { return fieldsOf(3, "") }), ping), wire.ErrTooMany},
		{"500 addresses", frame(many(500, addr)), nil},
		{"501 addresses", frame(many(501, addr)), wire.ErrTooMany},
		{"nothing", nil, io.ErrUnexpectedEOF},
		{"cut off", frame(ping)[:4], io.ErrUnexpectedEOF},
		{"garbage", []byte("GET / HTTP/1.1\r\n\r\n" + strings.Repeat("x", 100)), wire.ErrProtobuf},
		{"wrong wire type", frame([]byte{3 << 3, 1}), wire.ErrProtobuf},
		{"endless length", bytes.Repeat([]byte{0xff}, 100), wire.ErrVarint},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := readMessage(bytes.NewReader(tt.in)); !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
		})
	}
}

func bytesTimes(b []byte, n int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		list[i] = b
	}
	return list
}

func TestEvil_E1_Duplicates(t *testing.T) {
	addr := string(multiaddrs(t, "/ip4/8.8.8.8/tcp/1")[0].Bytes())
	same := fieldsOf(3, "/b", 2, addr, 2, "junk", 3, "/a", 3, "/b", 6, "old", 6, "new", 4, "junk")
	m, err := readMessage(bytes.NewReader(frame(same, same)))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(m.protocols, " ") != "/a /b" || len(m.addrs) != 1 || m.agent != "new" || m.observed != nil {
		t.Errorf("%+v", m)
	}
}

// What an evil peer says about itself, as the peerstore then has it.
func TestEvil_E1_Stored(t *testing.T) {
	evil := coretest.NewIdentity(2)
	victim := coretest.NewIdentity(3)
	sealed := func(id *coretest.Identity, addr string) string {
		env, err := record.SealPeerRecord(id, &record.PeerRecord{ID: id.ID(), Seq: 1, Addrs: multiaddrs(t, addr)})
		if err != nil {
			t.Fatal(err)
		}
		return string(env)
	}
	good := multiaddrs(t, "/ip4/8.8.8.8/tcp/1")[0]
	for _, tt := range []struct {
		name string
		says []byte
		ok   bool
		has  string
	}{
		{"no key", fieldsOf(2, string(good.Bytes())), true, "/ip4/8.8.8.8/tcp/1"},
		{"another key", fieldsOf(1, string(peer.MarshalPublicKey(victim.PublicKey())), 2, string(good.Bytes())), false, ""},
		{"no key at all", fieldsOf(1, "key", 2, string(good.Bytes())), false, ""},
		{"record of another peer", fieldsOf(8, sealed(victim, "/ip4/9.9.9.9/tcp/6"), 2, string(good.Bytes())), true, "/ip4/8.8.8.8/tcp/1"},
		{"broken record", fieldsOf(8, "record", 2, string(good.Bytes())), true, "/ip4/8.8.8.8/tcp/1"},
		{"own record beats the rest", fieldsOf(8, sealed(evil, "/ip4/8.8.4.4/tcp/2"), 2, string(good.Bytes())), true, "/ip4/8.8.4.4/tcp/2"},
		{"D2 addresses of our network", fieldsOf(2, string(multiaddrs(t, "/ip4/127.0.0.1/tcp/22")[0].Bytes()), 2,
			string(multiaddrs(t, "/ip6/::ffff:192.168.0.1/tcp/80")[0].Bytes()), 2, string(multiaddrs(t, "/ip4/169.254.169.254/tcp/80")[0].Bytes()),
			2, string(good.Bytes())), true, "/ip4/8.8.8.8/tcp/1"},
		{"D2 the same, signed", fieldsOf(8, sealed(evil, "/ip4/192.168.0.1/tcp/80")), true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := newNode(t, 1, addrA).start(t), newNode(t, 2)
			b.Handle(ID, func(s core.Stream) error { _, err := s.Write(frame(tt.says)); return err })
			out, _ := connect(t, a, b, "/ip4/8.8.8.1/tcp/1", "/ip4/8.8.8.2/tcp/1")
			if err := a.svc.Wait(t.Context(), out); (err == nil) != tt.ok {
				t.Errorf("error %v", err)
			}
			if got := strings.Join(texts(a.book.PeerAddrs(b.ID())), " "); got != tt.has {
				t.Errorf("addresses %s", got)
			}
			if len(a.book.PeerAddrs(victim.ID())) != 0 {
				t.Error("stored for the victim")
			}
			out.Close()
		})
	}
}

func TestEvil_E2_PushFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, addrA).start(t), newNode(t, 2)
		out, in := connect(t, a, b, addrA, "/ip4/9.9.9.9/tcp/1")
		a.svc.Wait(t.Context(), out)
		flood := func(n int) (taken int) {
			for i := range n {
				s, err := in.NewStream(t.Context(), PushID)
				if err != nil {
					t.Fatal(err)
				}
				agent := fmt.Sprintf("%v-%d", time.Now().Unix(), i)
				s.Write(frame(fieldsOf(6, agent)))
				finish(s)
				if a.book.PeerAgent(b.ID()) == agent {
					taken++
				}
			}
			return taken
		}
		if n := flood(100); n != 10 {
			t.Errorf("%d at once", n)
		}
		time.Sleep(5 * time.Second)
		if n := flood(100); n != 1 {
			t.Errorf("%d after five seconds", n)
		}
		time.Sleep(time.Hour)
		if n := flood(100); n != 10 {
			t.Errorf("%d after an hour", n)
		}
		out.Close()
		a.svc.Close()
	})
}

func TestEvil_E2_Limits(t *testing.T) {
	now := time.Unix(1, 0)
	var l pushLimiter
	l.init(func() time.Time { return now })
	n := newNode(t, 2)
	at := func(text string) core.Conn { return &conn{remote: n, from: multiaddrs(t, text)[0]} }
	count := func(tries int, f func(i int) core.Conn) (taken int) {
		for i := range tries {
			if release, ok := l.take(f(i)); ok {
				taken++
				release()
			}
		}
		return taken
	}
	for _, tt := range []struct {
		name  string
		addr  func(i int) string
		taken int
	}{
		{"IPv4 /24", func(i int) string { return fmt.Sprintf("/ip4/8.8.8.%d/tcp/%d", i%250, i+1) }, 10},
		{"another /24", func(i int) string { return fmt.Sprintf("/ip6/::ffff:8.8.9.%d/tcp/1", i%250) }, 10},
		{"IPv6 /56", func(i int) string { return fmt.Sprintf("/ip6/2606:4700:1:%x::1/tcp/1", i%256) }, 10},
		{"many /56", func(i int) string { return fmt.Sprintf("/ip6/2606:4700:2:%x00::1/tcp/1", i%100) }, 400},
		{"this machine", func(int) string { return "/ip4/127.0.0.1/tcp/1" }, 400},
		{"a local network", func(i int) string { return fmt.Sprintf("/ip4/192.168.7.%d/tcp/1", i%2) }, 20},
		{"no IP", func(int) string { return "/memory/1" }, 10},
	} {
		if got := count(400, func(i int) core.Conn { return at(tt.addr(i)) }); got != tt.taken {
			t.Errorf("%s: %d pushes, want %d", tt.name, got, tt.taken)
		}
		now = now.Add(time.Second)
	}
	if got := count(5000, func(int) core.Conn { return at("/ip4/127.0.0.1/tcp/1") }); got != 2000 {
		t.Errorf("%d pushes a second in all", got)
	}
	now = now.Add(time.Hour)
	var held []func()
	for range 100 {
		if release, ok := l.take(at("/ip4/127.0.0.1/tcp/1")); ok {
			held = append(held, release)
		}
	}
	if len(held) != 32 {
		t.Errorf("%d at one time", len(held))
	}
	for _, release := range held {
		release()
	}
	for i := range 20_000 { // memory stays bounded, and room comes back
		now = now.Add(time.Millisecond)
		if release, ok := l.take(at(fmt.Sprintf("/ip4/9.%d.%d.1/tcp/1", i>>8, i&255))); ok {
			release()
		}
	}
	if len(l.origins) > pushOrigins {
		t.Errorf("%d origins", len(l.origins))
	}
	now = now.Add(time.Hour)
	if count(1, func(int) core.Conn { return at("/ip4/8.1.1.1/tcp/1") }) != 1 {
		t.Error("no room after an hour")
	}
}

func TestEvil_E3_Silence(t *testing.T) {
	for name, evil := range map[string]func(s core.Stream, stop <-chan struct{}) error{
		"never answers": func(s core.Stream, stop <-chan struct{}) error { <-stop; return nil },
		"answers for ever": func(s core.Stream, stop <-chan struct{}) error {
			for {
				if _, err := s.Write([]byte{200}); err != nil {
					return err
				}
				select {
				case <-time.After(time.Second):
				case <-stop:
					return nil
				}
			}
		},
		"never closes": func(s core.Stream, stop <-chan struct{}) error {
			s.Write(frame(fieldsOf(3, "/a")))
			<-stop
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := newNode(t, 1, addrA).start(t), newNode(t, 2)
				stop := make(chan struct{})
				b.Handle(ID, func(s core.Stream) error { return evil(s, stop) })
				start := time.Now()
				out, in := connect(t, a, b, addrA, addrB)
				if err := a.svc.Wait(t.Context(), out); err == nil || time.Since(start) > 5*time.Second {
					t.Errorf("%v after %v", err, time.Since(start))
				}
				if got := a.eventList(); got != "connected; failed" || out.closed || len(a.book.PeerProtocols(b.ID())) != 0 {
					t.Error(got)
				}

				// The same in the other direction: a push that does not end.
				start = time.Now()
				s, err := in.NewStream(t.Context(), PushID)
				if err != nil {
					t.Fatal(err)
				}
				s.Write([]byte{100})
				if _, err := s.Read(make([]byte, 1)); !errors.Is(err, core.ErrReset) || time.Since(start) != 5*time.Second {
					t.Errorf("push: %v after %v", err, time.Since(start))
				}
				close(stop)
				out.Close()
				a.svc.Close()
			})
		})
	}
}

func TestEvil_E5_MappedObservation(t *testing.T) {
	for observed, want := range map[string]string{
		"/ip6/::ffff:192.168.1.1/tcp/1":                                   "/ip4/192.168.1.1/tcp/1",
		"/ip6/::ffff:7f00:1/udp/1/quic-v1":                                "/ip4/127.0.0.1/udp/1/quic-v1",
		"/ip4/8.8.8.8/tcp/1":                                              "/ip4/8.8.8.8/tcp/1",
		"/ip6/2606:4700::1/tcp/1":                                         "/ip6/2606:4700::1/tcp/1",
		"/ip4/8.8.8.8/tcp/1/p2p/" + coretest.NewIdentity(1).ID().String(): "/ip4/8.8.8.8/tcp/1",
	} {
		d := newDecoder()
		if err := d.decode(fieldsOf(4, string(multiaddrs(t, observed)[0].Bytes()))); err != nil {
			t.Fatal(err)
		}
		if got := d.finish().observed.String(); got != want {
			t.Errorf("%s: %s", observed, got)
		}
	}
	// We do not pass mapped forms on either.
	a, b := newNode(t, 1, addrA).start(t), newNode(t, 2, addrB).start(t)
	out, _ := connect(t, a, b, "/ip6/::ffff:127.0.0.1/tcp/7", addrB)
	if err := a.svc.Wait(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	if got := a.eventList(); got != "connected; identified /ip4/127.0.0.1/tcp/7" {
		t.Error(got)
	}
	out.Close()
}

// Connections that end at any moment: each tells of exactly one outcome between
// its beginning and its end, and nothing of it stays.
func TestEvil_E6_Disconnect(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	a, b := newNode(t, 1, addrA).start(t), newNode(t, 2, addrB).start(t)
	for i := range 200 {
		out, in := connect(t, a, b, addrA, addrB)
		var wg sync.WaitGroup
		wg.Go(func() {
			if i%4 == 1 {
				a.svc.Wait(context.Background(), out)
			}
			out.Close()
		})
		wg.Go(func() {
			if i%4 == 2 {
				a.Announce(multiaddrs(t, fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", 3000+i))...)
			}
			if i%4 == 3 {
				b.svc.Wait(context.Background(), in)
			}
			if s, err := in.NewStream(context.Background(), PushID); err == nil {
				s.Write(frame(fieldsOf(6, "late", 3, "/late")))
				finish(s)
			}
		})
		wg.Wait()
		for _, n := range []*node{a, b} {
			got := n.eventList()
			n.mu.Lock()
			n.events = nil
			n.mu.Unlock()
			parts := slices.DeleteFunc(strings.Split(got, "; "), func(e string) bool { return strings.HasPrefix(e, "protocols") })
			outcome, _, _ := strings.Cut(parts[min(1, len(parts)-1)], " ")
			if len(parts) != 3 || parts[0] != "connected" || outcome != "identified" && outcome != "failed" || parts[2] != "disconnected" {
				t.Fatal(got)
			}
			other := b
			if n == b {
				other = a
			}
			if list := n.book.PeerAddrs(other.ID()); len(list) == 0 && len(n.book.PeerProtocols(other.ID())) != 0 {
				t.Fatal("stored after the disconnect")
			}
		}
	}
}

// A connection that is announced twice is identified once.
func TestEvil_E6_Twice(t *testing.T) {
	a, b := newNode(t, 1, addrA).start(t), newNode(t, 2, addrB).start(t)
	out, in := connect(t, a, b, addrA, addrB)
	a.Emit(core.Connected{Conn: out})
	if err := a.svc.Wait(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	if err := b.svc.Wait(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(a.eventList(), "identified"); got != 1 || b.writes.Load() != 1 {
		t.Error(got, b.writes.Load())
	}
	out.Close()
}

func FuzzDecode(f *testing.F) {
	id := coretest.NewIdentity(1)
	addr, err := ma.NewMultiaddr("/ip4/192.0.2.1/tcp/1")
	if err != nil {
		f.Fatal(err)
	}
	full := fieldsOf(1, string(peer.MarshalPublicKey(id.PublicKey())), 2, string(addr.Bytes()), 3, ID, 4, string(addr.Bytes()), 5, "ipfs/0.1.0", 6, "agent", 8, "record")
	f.Add(frame(full))
	f.Add(frame(full, full))
	f.Add(frame(nil))
	f.Add([]byte{0xff, 0xff, 0xff})
	f.Add(frame(fieldsOf(2, "\x04\x01"), []byte{7}))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := readMessage(bytes.NewReader(b))
		if err != nil {
			return
		}
		if len(m.protocols) > maxProtocols || len(m.addrs) > maxAddrs || len(b) > maxTotal+maxMessages*3 {
			t.Errorf("%d bytes, %d protocols, %d addresses", len(b), len(m.protocols), len(m.addrs))
		}
		for _, a := range m.addrs {
			if !placeOfAddr(a).shares(a) {
				t.Errorf("%s is not shared in its own place", a)
			}
		}
	})
}

// What peers claim to see of us is told to whoever asks and changes nothing by
// itself: a hundred liars do not make the node announce their victim's address.
func TestEvil_E4_ObservedAddressesAreOnlyTold(t *testing.T) {
	a := newNode(t, 1, addrA).start(t)
	before := a.Addrs()
	for i := range 100 {
		liar := newNode(t, uint64(i+2), addrB).start(t)
		out, _ := connect(t, a, liar, "/ip4/198.51.100.7/tcp/4001", addrB)
		if err := a.svc.Wait(t.Context(), out); err != nil {
			t.Fatal(err)
		}
		out.Close()
	}
	if got := strings.Count(a.eventList(), "identified /ip4/198.51.100.7/tcp/4001"); got != 100 {
		t.Errorf("%d observations were told, want 100", got)
	}
	if after := a.Addrs(); !slices.EqualFunc(before, after, ma.Multiaddr.Equal) {
		t.Errorf("the node announces %v, want %v", after, before)
	}
}
