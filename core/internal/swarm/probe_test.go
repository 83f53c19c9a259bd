// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"context"
	"errors"
	"io"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

func TestEvil_D2_ProbeOfWhatNobodyMayDial(t *testing.T) {
	w := newWorld()
	s := newSwarm(t, w, 1, func(s *Settings) {
		s.OwnAddrs = func() []ma.Multiaddr { return addrs("/ip4/9.9.9.9/tcp/1") }
	})
	p := coretest.NewIdentity(2).ID()
	for text, want := range map[string]error{
		"/dns4/localhost/tcp/1": errNoIP,
		"/memory/1":             errNoIP,
		"/ip4/9.9.9.9/tcp/1":    core.ErrSelf,
		"/ip4/0.0.0.0/tcp/1":    nil,
		"/ip4/224.0.0.1/tcp/1":  nil,
		"/ip4/9.9.9.8/udp/1":    core.ErrNoTransport,
		"/ip4/9.9.9.8/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/p2p-circuit": errRelayed,
	} {
		c, err := s.Probe(t.Context(), p, addrs(text)[0])
		if err == nil {
			c.Close()
			t.Errorf("%s: probed", text)
		} else if want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
	if _, err := s.Probe(t.Context(), s.Identity.ID(), addrs("/ip4/9.9.9.8/tcp/1")[0]); !errors.Is(err, core.ErrSelf) {
		t.Errorf("a probe of oneself: %v", err)
	}
	if _, err := s.Probe(t.Context(), "", addrs("/ip4/9.9.9.8/tcp/1")[0]); err == nil {
		t.Error("a probe of nobody")
	}
	if n := w.dialled(); n != 0 {
		t.Errorf("%d dials", n)
	}
}

// TestProbe looks at what both sides have of a probe.
func TestProbe(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	const id = "/test/1"
	w := newWorld()
	a, b := newSwarm(t, w, 1), newSwarm(t, w, 2)
	at := listen(t, b, "/ip4/9.9.9.8/tcp/1").Addrs[0]
	got := make(chan core.Conn, 1)
	b.Handle(id, func(s core.Stream) error {
		got <- s.Conn()
		_, err := io.Copy(s, s)
		return err
	})
	c, err := a.Probe(t.Context(), b.Identity.ID(), at)
	if err != nil {
		t.Fatal(err)
	}
	st, err := c.OpenStream(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	st.Write([]byte("hello"))
	st.CloseWrite()
	if text, err := io.ReadAll(st); string(text) != "hello" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	there := <-got
	if there.RemotePeer() == a.Identity.ID() || there.Stat().Direction != core.Inbound {
		t.Errorf("it comes from %s, %s", there.RemotePeer(), there.Stat().Direction)
	}
	if len(a.Conns()) != 0 || len(a.Book.PeerAddrs(b.Identity.ID())) != 0 {
		t.Error("the probe left a trace")
	}
	// What the other side opens is refused, not left waiting.
	if back, err := there.NewStream(t.Context(), id); err == nil {
		if _, err := back.Read(make([]byte, 1)); !errors.Is(err, core.ErrReset) {
			t.Errorf("the other side opens a stream: %v", err)
		}
	}
	if _, err := c.OpenStream(t.Context(), "/other/1"); err == nil {
		t.Error("a protocol that the other side does not speak")
	}
	c.Close()
	<-there.Done()
	if n := a.Limits.Stat().Outbound; n != 0 {
		t.Errorf("%d connections are counted still", n)
	}
	if _, err := a.Probe(t.Context(), coretest.NewIdentity(9).ID(), at); err == nil {
		t.Error("another peer than the wanted one will do")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Probe(ctx, b.Identity.ID(), at); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	a.Close()
	if _, err := a.Probe(t.Context(), b.Identity.ID(), at); err == nil {
		t.Error("a closed swarm probes")
	}
}
