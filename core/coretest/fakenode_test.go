// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStreamsBetweenNodes(t *testing.T) {
	n := FakeNodes(t, 2)
	n[1].Handle("/x", func(s core.Stream) error {
		if s.Conn().RemotePeer() != n[0].ID() || s.Protocol() != "/x" || s.Direction() != core.Inbound {
			t.Errorf("%s, %s, %v", s.Conn().RemotePeer(), s.Protocol(), s.Direction())
		}
		got, err := io.ReadAll(s)
		if err != nil {
			return err
		}
		_, err = s.Write(append(got, '!'))
		return err
	})
	s, err := n[0].NewStream(t.Context(), n[1].ID(), "/y", "/x")
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(s, "hello")
	s.CloseWrite()
	if got, err := io.ReadAll(s); err != nil || string(got) != "hello!" {
		t.Errorf("%q, %v", got, err)
	}
	if got := n[0].PeerProtocols(n[1].ID()); !slices.Equal(got, []string{"/x"}) {
		t.Errorf("protocols: %v", got)
	}
	if len(n[0].Conns()) != 1 || len(n[1].ConnsTo(n[0].ID())) != 1 {
		t.Error("one connection is in both tables")
	}
}

func TestErrorsOfNewStream(t *testing.T) {
	n := FakeNodes(t, 2)
	_, err := n[0].NewStream(core.NoDial(t.Context()), n[1].ID(), "/x")
	if !errors.Is(err, core.ErrNotConnected) {
		t.Errorf("not connected: %v", err)
	}
	for want, p := range map[error]peer.ID{core.ErrSelf: n[0].ID(), core.ErrNoAddrs: NewIdentity(77).ID()} {
		_, err := n[0].NewStream(t.Context(), p, "/x")
		if _, ok := errors.AsType[*core.DialError](err); !ok || !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	if _, err := n[0].ConnectLimited(t.Context(), n[1].ID()); err != nil {
		t.Fatal(err)
	}
	n[1].Handle("/full", func(core.Stream) error { return nil })
	n[1].Handle("/any", func(core.Stream) error { return nil }, core.HandleLimited())
	if _, err := n[0].NewStream(t.Context(), n[1].ID(), "/any"); !errors.Is(err, core.ErrLimited) {
		t.Errorf("limited: %v", err)
	}
	ctx := core.AllowLimited(t.Context())
	if _, err := n[0].NewStream(ctx, n[1].ID(), "/any"); err != nil {
		t.Errorf("limited and allowed: %v", err)
	}
	_, err = n[0].NewStream(ctx, n[1].ID(), "/full")
	if _, ok := errors.AsType[*core.ProtocolError](err); !ok {
		t.Errorf("not over limited connections: %v", err)
	}
}

func TestHandlersHandOver(t *testing.T) {
	n := FakeNodes(t, 2)
	ask := func() string {
		s, err := n[0].NewStream(t.Context(), n[1].ID(), "/x")
		if err != nil {
			return err.Error()
		}
		got, _ := io.ReadAll(s)
		return string(got)
	}
	say := func(word string) core.StreamHandler {
		return func(s core.Stream) error {
			_, err := io.WriteString(s, word)
			return err
		}
	}
	removeOld := n[1].Handle("/x", say("old"))
	removeNew := n[1].Handle("/x", say("new"))
	if got := ask(); got != "new" {
		t.Errorf("the latest handler serves, not %s", got)
	}
	removeOld()
	if got := ask(); got != "new" {
		t.Errorf("after the old one has gone: %s", got)
	}
	removeNew()
	removeNew()
	if got := ask(); got != "the remote speaks none of /x" {
		t.Errorf("after both have gone: %s", got)
	}
}

func TestRemoveEndsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := FakeNodes(t, 2)
		running := false
		remove := n[1].Handle("/x", func(s core.Stream) error {
			running = true
			_, err := s.Read(make([]byte, 1))
			running = false
			return err
		})
		s, err := n[0].NewStream(t.Context(), n[1].ID(), "/x")
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !running {
			t.Error("the handler does not run")
		}
		remove()
		if running {
			t.Error("the handler runs after its removal")
		}
		_, err = s.Read(make([]byte, 1))
		if se, ok := errors.AsType[*core.StreamError](err); !ok || !se.Remote || se.Code != core.StreamShutdown {
			t.Errorf("read: %v", err)
		}
	})
}

func TestConnCloseEndsStreams(t *testing.T) {
	n := FakeNodes(t, 2)
	var events []string
	for i, node := range n {
		defer core.On(node, func(e core.Disconnected) {
			events = append(events, string(rune('0'+i)))
			if !e.Last {
				t.Error("it was the last connection")
			}
		})()
	}
	n[1].Handle("/x", func(s core.Stream) error {
		_, err := s.Read(make([]byte, 1))
		return err
	})
	s, err := n[0].NewStream(t.Context(), n[1].ID(), "/x")
	if err != nil {
		t.Fatal(err)
	}
	c := s.Conn()
	if len(c.Streams()) != 1 {
		t.Errorf("%d streams", len(c.Streams()))
	}
	c.CloseWithCode(core.ConnGated)
	<-c.Done()
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, core.ErrReset) {
		t.Errorf("read: %v", err)
	}
	if _, err := c.NewStream(t.Context(), "/x"); !errors.Is(err, core.ErrConnClosed) {
		t.Errorf("new stream: %v", err)
	}
	if !slices.Equal(events, []string{"0", "1"}) {
		t.Errorf("events: %v", events)
	}
}

func TestPeersOfANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := FakeNodes(t, 1)[0]
		other := NewIdentity(9)
		a, b := ma.StringCast("/memory/8"), ma.StringCast("/memory/9")
		n.AddPeerAddrs(other.ID(), time.Minute, a)
		sealed, err := record.SealPeerRecord(other, &record.PeerRecord{ID: other.ID(), Seq: 1, Addrs: []ma.Multiaddr{b}})
		if err != nil {
			t.Fatal(err)
		}
		if err := n.ConsumePeerRecord(sealed, other.ID(), time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := n.ConsumePeerRecord(sealed, n.ID(), time.Hour); err == nil {
			t.Error("took the record of another peer")
		}
		if got := n.PeerAddrs(other.ID()); len(got) != 2 || n.PeerRecord(other.ID()) == nil {
			t.Errorf("addresses: %v", got)
		}
		time.Sleep(time.Minute)
		if got := n.PeerAddrs(other.ID()); len(got) != 1 || !got[0].Equal(b) {
			t.Errorf("a minute later: %v", got)
		}
		time.Sleep(time.Hour)
		if got := n.KnownPeers(); len(got) != 0 {
			t.Errorf("an hour later: %v", got)
		}
	})
}

func TestRolesOfANode(t *testing.T) {
	n := FakeNodes(t, 1)[0]
	changes := 0
	defer core.On(n, func(core.LocalAddrsChanged) { changes++ })()
	withdraw := n.Announce(ma.StringCast("/memory/77"))
	if len(n.Addrs()) != 2 || len(n.ListenAddrs()) != 1 {
		t.Errorf("%v", n.Addrs())
	}
	withdraw()
	if len(n.Addrs()) != 1 || changes != 2 {
		t.Errorf("%v, %d changes", n.Addrs(), changes)
	}
	p := NewIdentity(5).ID()
	n.Tag(p, "x", 5)
	unprotect := n.Protect(p, "y")
	if got := n.Tags(p); got["x"] != 5 || got["y"] != -1 {
		t.Errorf("tags: %v", got)
	}
	unprotect()
	if got := n.Tags(p); len(got) != 1 {
		t.Errorf("tags: %v", got)
	}
	n.SetModules("module")
	if got, ok := core.Find[string](n); !ok || got != "module" {
		t.Errorf("found %q, %v", got, ok)
	}
}

func TestMemory(t *testing.T) {
	m := NewMemory(1000)
	if err := m.Reserve(600, 127); err == nil {
		t.Error("took more than half with a priority of half")
	}
	for _, n := range []int{500, 400} {
		if err := m.Reserve(n, 255); err != nil {
			t.Error(err)
		}
	}
	_, ok := errors.AsType[*core.LimitError](m.Reserve(101, 255))
	if !ok || m.Reserved() != 900 {
		t.Errorf("%v, %d reserved", ok, m.Reserved())
	}
	m.Release(900)
	m.Check(t)
	if m.Peak() != 900 {
		t.Errorf("peak %d", m.Peak())
	}
}

func TestLoadErrors(t *testing.T) {
	if _, err := Load[core.Transport](t, "carrier-pigeon", `{}`); err == nil {
		t.Error("loaded a module that is not registered")
	}
	if _, err := Load[io.Reader](t, "tcp", `{}`); err == nil {
		t.Error("loaded what is no kind of module")
	}
}

func TestIdentity(t *testing.T) {
	a, b := NewIdentity(1), NewIdentity(1)
	if a.ID() != b.ID() || a.ID() == NewIdentity(2).ID() {
		t.Error("a seed is one identity")
	}
	sig, err := a.Sign([]byte("x"))
	if err != nil || !b.PublicKey().Verify([]byte("x"), sig) || !a.ID().Matches(b.PublicKey()) {
		t.Errorf("signature: %v", err)
	}
}
