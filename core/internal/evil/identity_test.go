// SPDX-License-Identifier: Apache-2.0 OR MIT

package evil_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/internal/evil"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
)

func TestEvil_A6_WrongPeer(t *testing.T) {
	for name, config := range map[string]string{
		"memory": "",
		"tcp":    `{"transports": {"tcp": {}}, "listen": ["/ip4/127.0.0.1/tcp/0"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			nodes := hosttest.NewNetwork(memnet.Options{}).Nodes(t, 2, config)
			a, b := nodes[0], nodes[1]
			want := peer.FromPublicKey(hosttest.Key(99).Public())
			defer core.On(a, func(e core.Connected) { t.Errorf("connected to %s", e.Conn.RemotePeer()) })()
			defer core.On(b, func(e core.Connected) { t.Errorf("connected to %s", e.Conn.RemotePeer()) })()
			addr := b.ListenAddrs()[0]
			a.AddPeerAddrs(want, core.PermanentTTL, addr)

			_, err := a.Connect(t.Context(), peer.AddrInfo{ID: want})
			var mismatch *core.PeerMismatchError
			if !errors.As(err, &mismatch) || mismatch.Got != b.ID() || mismatch.Want != want {
				t.Errorf("got %v, want an error that names %s", err, b.ID())
			}
			if got := a.PeerAddrs(want); len(got) != 0 {
				t.Errorf("%v is kept for a peer that is not there", got)
			}
			if n := len(a.Conns()) + len(a.PeerAddrs(b.ID())); n != 0 {
				t.Errorf("something came of it: %v, %v", a.Conns(), a.PeerAddrs(b.ID()))
			}
			if s := a.Limits(); s.Outbound != 0 || s.Memory != 0 {
				t.Errorf("limits count %+v", s)
			}
		})
	}
}

// middle is a transport whose connections lead through somebody's hands.
type middle struct {
	core.RawTransport
	meddle func(manet.Conn) manet.Conn
}

func (m *middle) Dial(ctx context.Context, a ma.Multiaddr) (manet.Conn, error) {
	c, err := m.RawTransport.Dial(ctx, a)
	if err != nil {
		return nil, err
	}
	return m.meddle(c), nil
}

// meddled starts a node that dials through somebody's hands, and one to dial.
func meddled(t *testing.T, meddle func(manet.Conn) manet.Conn) (a, b *host.Host) {
	s := newSettler(t)
	s.seed++
	a, err := host.New(host.Settings{Key: hosttest.Key(s.seed)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	plan := hosttest.NewNetwork(memnet.Options{}).Plan(t, "")
	plan.Transports = []core.Loaded[core.Transport]{{Name: "tcp", Module: &middle{s.At("7.7.7.7"), meddle}}}
	plan.Listen = nil
	if _, err := a.Acquire(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	return a, s.node("8.8.8.8", "")
}

// script answers whatever it is told with what it has, and notes what it heard.
type script struct {
	manet.Conn
	mu    sync.Mutex
	says  []byte
	heard []byte
}

func (s *script) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, p...)
	return len(p), nil
}

func (s *script) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.says) == 0 {
		return 0, errors.New("the script has ended")
	}
	n := copy(p, s.says)
	s.says = s.says[n:]
	return n, nil
}

// Whoever strips the security from an offer gets no connection and no plain
// word: there is nothing less to fall back to.
func TestEvil_A13_SecurityStripped(t *testing.T) {
	for name, answer := range map[string]string{
		"refused":          "na",
		"another one":      "/plaintext/2.0.0",
		"the older secio":  "/secio/1.0.0",
		"empty name":       "",
		"list of protocol": "ls",
	} {
		t.Run(name, func(t *testing.T) {
			var heard *script
			a, b := meddled(t, func(c manet.Conn) manet.Conn {
				heard = &script{Conn: c, says: append(evil.Line(evil.Header), evil.Line(answer)...)}
				return heard
			})
			_, err := a.Connect(t.Context(), hosttest.Info(b))
			var refused *core.ProtocolError
			if err == nil || errors.As(err, &refused) != (answer == "na") {
				t.Errorf("connect: %v", err)
			}
			hello := append(evil.Line(evil.Header), evil.Line(evil.NoiseID)...)
			if len(heard.heard) > len(hello)+2+32 { // and the first message of Noise, a bare key
				t.Errorf("it heard %q", heard.heard)
			}
			if len(a.Conns())+len(b.Conns()) != 0 {
				t.Error("there is a connection")
			}
		})
	}
}

// flip changes one byte that is read.
type flip struct {
	manet.Conn
	at int
}

func (f *flip) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	if f.at >= 0 && f.at < n {
		p[f.at] ^= 0x20
	}
	f.at -= n
	return n, err
}

// The muxers are agreed on within the handshake: whoever changes a byte of it
// has changed all of it.
func TestEvil_A13_HandshakeTampered(t *testing.T) {
	start := len(evil.Line(evil.Header)) + len(evil.Line(evil.NoiseID))
	for _, at := range []int{1, start, start + 2, start + 2 + 31, start + 2 + 32, start + 2 + 80, start + 150, start + 210} {
		a, b := meddled(t, func(c manet.Conn) manet.Conn { return &flip{c, at} })
		if c, err := a.Connect(t.Context(), hosttest.Info(b)); err == nil {
			t.Errorf("byte %d: connected: %v", at, c.Stat())
		}
	}
}

func TestEvil_A13_MuxerStripped(t *testing.T) {
	// The remote is honest about itself, and offers a muxer nobody has.
	v := overMemory(t, "")
	evil.Run(t, v, func(a *evil.Attacker) {
		c := a.Secured("/mplex/6.7.0", "/nothing")
		c.WantClosed()
		if slices.ContainsFunc(v.Node.Conns(), func(o core.Conn) bool { return o.RemotePeer() == c.ID }) {
			t.Error("there is a connection")
		}
	}, evil.Budget{})
}
