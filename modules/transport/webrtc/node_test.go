// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtc_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
	_ "github.com/xnode-p2p/xnode/modules/muxer/yamux"
	_ "github.com/xnode-p2p/xnode/modules/nat/relay"
	"github.com/xnode-p2p/xnode/modules/protocol/ping"
	_ "github.com/xnode-p2p/xnode/modules/security/noise"
	_ "github.com/xnode-p2p/xnode/modules/transport/webrtc"
)

// scene is a relay, a node behind it that listens for WebRTC, and one that dials.
type scene struct {
	network               *hosttest.Network
	relay, behind, dialer *host.Host
	addr                  ma.Multiaddr // of behind, for WebRTC
}

func newScene(t *testing.T) *scene {
	t.Helper()
	coretest.VerifyNoLeaks(t)
	s := &scene{network: hosttest.NewNetwork(memnet.Options{})}
	s.relay = s.network.Node(t, hosttest.Settings{Seed: 1, Config: `{"nat": {"relay": {"service": {}}}}`})
	at := s.relay.Addrs()[0].Encapsulate(ma.StringCast("/p2p/" + s.relay.ID().String() + "/p2p-circuit"))
	s.behind = hidden(t, s.network, 2, fmt.Sprintf(
		`{"nat": {"relay": {}}, "transports": {"webrtc": {}}, "listen": [%q, "/webrtc"], "protocols": {"ping": {}}}`, at))
	s.dialer = hidden(t, s.network, 3, `{"nat": {"relay": {}}, "transports": {"webrtc": {}}, "listen": [], "protocols": {"ping": {}}}`)
	s.addr = waitAddr(t, s.behind, ma.P_WEBRTC)
	return s
}

// hidden starts a node that does not listen on the network.
func hidden(t *testing.T, n *hosttest.Network, seed uint64, config string) *host.Host {
	t.Helper()
	h, err := host.New(host.Settings{Key: hosttest.Key(seed)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	plan := n.Plan(t, config)
	plan.Listen = slices.DeleteFunc(plan.Listen, ma.StringCast("/memory/0").Equal)
	if _, err := h.Acquire(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	return h
}

// waitAddr waits until a node tells an address that ends in a protocol.
func waitAddr(t *testing.T, h *host.Host, protocol int) ma.Multiaddr {
	t.Helper()
	changed := make(chan struct{}, 1)
	defer core.On(h, func(core.LocalAddrsChanged) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})()
	for {
		for _, a := range h.Addrs() {
			if a[len(a)-1].Code() == protocol {
				return a
			}
		}
		select {
		case <-changed:
		case <-time.After(time.Minute):
			t.Fatalf("told are %v", h.Addrs())
		}
	}
}

func TestThroughRelay(t *testing.T) {
	s := newScene(t)
	ctx, trace := core.TraceDial(t.Context())
	c, err := s.dialer.Connect(ctx, peer.AddrInfo{ID: s.behind.ID(), Addrs: []ma.Multiaddr{s.addr}})
	if err != nil {
		t.Fatal(err)
	}
	if c.Stat().Limited || c.Stat().Transport != "webrtc" {
		t.Errorf("%+v", c.Stat())
	}
	if last := len(c.RemoteMultiaddr()) - 1; c.RemoteMultiaddr()[last].Code() != ma.P_WEBRTC {
		t.Errorf("connected to %s", c.RemoteMultiaddr())
	}
	for _, err := range ping.Ping(t.Context(), s.dialer, s.behind.ID()) {
		if err != nil {
			t.Error(err)
		}
		break
	}
	attempts := trace.Record().Attempts
	if len(attempts) != 1 || attempts[0].Outcome != core.DialConnected || !attempts[0].Addr.Equal(s.addr) {
		t.Errorf("the dial was %+v", attempts)
	}
	// The relayed connection goes; the other one stays.
	for _, other := range s.dialer.ConnsTo(s.behind.ID()) {
		if other != c {
			<-other.Done()
		}
	}
	if conns := s.dialer.ConnsTo(s.behind.ID()); len(conns) != 1 || conns[0] != c {
		t.Errorf("connections left are %v", conns)
	}
}

// What a peer sees of a connection's own sockets is no address of the node's.
func TestEvil_E4_ObservedSockets(t *testing.T) {
	s := newScene(t)
	c, err := s.dialer.Connect(t.Context(), peer.AddrInfo{ID: s.behind.ID(), Addrs: []ma.Multiaddr{s.addr}})
	if err != nil {
		t.Fatal(err)
	}
	identified := make(chan struct{}, 1)
	stop := core.On(s.dialer, func(e core.Identified) {
		if e.Conn == c {
			identified <- struct{}{}
		}
	})
	defer stop()
	select {
	case <-identified:
	case <-time.After(5 * time.Second): // it was faster than this
	}
	for _, h := range []*host.Host{s.dialer, s.behind} {
		for _, a := range append(h.Addrs(), h.Candidates()...) {
			if n := len(a); a[n-1].Code() == ma.P_WEBRTC && (n < 2 || a[n-2].Code() != ma.P_CIRCUIT) {
				t.Errorf("%s is told", a)
			}
		}
	}
}

// The address goes with the place at the relay, and comes with it.
func TestAnnounced(t *testing.T) {
	s := newScene(t)
	if circuit := waitAddr(t, s.behind, ma.P_CIRCUIT); !circuit.Encapsulate(ma.StringCast("/webrtc")).Equal(s.addr) {
		t.Errorf("told are %s and %s", circuit, s.addr)
	}
	for _, a := range s.behind.Addrs() {
		if len(a) == 1 {
			t.Errorf("%s is told", a)
		}
	}
}
