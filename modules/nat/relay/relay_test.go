// SPDX-License-Identifier: Apache-2.0 OR MIT

package relay_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
	_ "github.com/xnode-p2p/xnode/modules/muxer/yamux"
	"github.com/xnode-p2p/xnode/modules/nat/relay"
	_ "github.com/xnode-p2p/xnode/modules/protocol/echo"
	"github.com/xnode-p2p/xnode/modules/protocol/ping"
	_ "github.com/xnode-p2p/xnode/modules/security/noise"
)

// The seeds of the nodes of most tests.
const (
	relaySeed = iota + 1
	behindSeed
	dialerSeed
)

// scene is a relay, a node that has a place at it, and one that dials it.
type scene struct {
	network               *hosttest.Network
	relay, behind, dialer *host.Host
	addr                  ma.Multiaddr // of behind, through the relay
}

// newScene starts the three. service is the relay's configuration.
func newScene(t testing.TB, service string) *scene {
	t.Helper()
	s := &scene{network: hosttest.NewNetwork(memnet.Options{})}
	s.relay = s.network.Node(t, hosttest.Settings{Seed: relaySeed, Config: `{"nat": {"relay": {"service": ` + service + `}}}`})
	s.behind = hidden(t, s.network, behindSeed, fmt.Sprintf(
		`{"nat": {"relay": {}}, "listen": [%q], "protocols": {"ping": {}, "echo": {}}}`, s.at(t)))
	s.dialer = hidden(t, s.network, dialerSeed, `{"nat": {"relay": {}}, "listen": [], "protocols": {"ping": {}, "echo": {}}}`)
	s.addr = waitPlace(t, s.behind)
	return s
}

// hidden starts a node that does not listen on the network.
func hidden(t testing.TB, n *hosttest.Network, seed uint64, config string) *host.Host {
	t.Helper()
	h, err := host.New(host.Settings{Key: hosttest.Key(seed)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	if _, err := h.Acquire(t.Context(), hiddenPlan(t, n, config)); err != nil {
		t.Fatal(err)
	}
	return h
}

func hiddenPlan(t testing.TB, n *hosttest.Network, config string) *host.Plan {
	t.Helper()
	plan := n.Plan(t, config)
	plan.Listen = slices.DeleteFunc(plan.Listen, ma.StringCast("/memory/0").Equal)
	return plan
}

// at is the address behind the relay.
func (s *scene) at(t testing.TB) ma.Multiaddr {
	t.Helper()
	return s.relay.Addrs()[0].Encapsulate(ma.StringCast("/p2p/" + s.relay.ID().String() + "/p2p-circuit"))
}

// connect connects the dialer to the node behind the relay.
func (s *scene) connect(t testing.TB) core.Conn {
	t.Helper()
	c, err := s.dialer.Connect(t.Context(), peer.AddrInfo{ID: s.behind.ID(), Addrs: []ma.Multiaddr{s.addr}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// waitPlace waits until a node tells an address behind a relay.
func waitPlace(t testing.TB, h *host.Host) (a ma.Multiaddr) {
	t.Helper()
	waitFor(t, h, func() bool {
		a = placeOf(h)
		return a != nil
	})
	return a
}

// placeOf is the first address behind a relay that a node tells, or nil.
func placeOf(h *host.Host) ma.Multiaddr {
	for _, a := range h.Addrs() {
		if a[len(a)-1].Code() == ma.P_CIRCUIT {
			return a
		}
	}
	return nil
}

// waitFor waits for something to be true of the addresses of a node.
func waitFor(t testing.TB, h *host.Host, true func() bool) {
	t.Helper()
	changed := make(chan struct{}, 1)
	defer core.On(h, func(core.LocalAddrsChanged) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})()
	for !true() {
		select {
		case <-changed:
		case <-time.After(10 * time.Minute): // of fake time
			t.Fatalf("told are %v", h.Addrs())
		}
	}
}

func pingOnce(t testing.TB, from *host.Host, to peer.ID) error {
	t.Helper()
	for _, err := range ping.Ping(t.Context(), from, to) {
		return err
	}
	return nil
}

// TestConnectsThroughARelay is the whole story: a place, an address, a limited
// connection that is good for ping and not for echo.
func TestConnectsThroughARelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, `{}`)
		if !s.addr.Equal(s.at(t)) {
			t.Errorf("the node tells %s, want %s", s.addr, s.at(t))
		}
		c := s.connect(t)
		if c.RemotePeer() != s.behind.ID() {
			t.Errorf("connected to %s", c.RemotePeer())
		}
		stat := c.Stat()
		if !stat.Limited || stat.Transport != "relay" || stat.Security != "/noise" || stat.Muxer != "/yamux/1.0.0" {
			t.Errorf("the connection is %+v", stat)
		}
		if !c.RemoteMultiaddr().Equal(s.addr) {
			t.Errorf("its address is %s, want %s", c.RemoteMultiaddr(), s.addr)
		}
		if err := pingOnce(t, s.dialer, s.behind.ID()); err != nil {
			t.Error(err)
		}
		if _, err := s.dialer.NewStream(t.Context(), s.behind.ID(), "/echo/1.0.0"); !errors.Is(err, core.ErrLimited) {
			t.Errorf("echo over a limited connection: %v", err)
		}
		// The other end marks it too, and goes the same way back.
		synctest.Wait()
		back := s.behind.ConnsTo(s.dialer.ID())
		if len(back) != 1 || !back[0].Stat().Limited || back[0].Stat().Direction != core.Inbound {
			t.Fatalf("the other end has %v", back)
		}
		if err := pingOnce(t, s.behind, s.dialer.ID()); err != nil {
			t.Error(err)
		}
	})
}

// TestUnlimited: what has no limits is good for everything.
func TestUnlimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, `{"unlimited": true}`)
		if c := s.connect(t); c.Stat().Limited {
			t.Error("the connection is limited")
		}
		st, err := s.dialer.NewStream(t.Context(), s.behind.ID(), "/echo/1.0.0")
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		exchange(t, st)
	})
}

// exchange sends something and wants it back.
func exchange(t testing.TB, s core.Stream) {
	t.Helper()
	const text = "and back"
	if _, err := io.WriteString(s, text); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(s, got); err != nil || string(got) != text {
		t.Fatalf("%q, %v came back", got, err)
	}
}

// TestRawTransport runs the suite of raw transports through a relay.
func TestRawTransport(t *testing.T) {
	network := hosttest.NewNetwork(memnet.Options{})
	config := `{"listen": [], "nat": {"relay": {"service": {"unlimited": true, "circuits_per_peer": 1000}}}}`
	r := network.Node(t, hosttest.Settings{Seed: relaySeed, Config: config})
	b := network.Node(t, hosttest.Settings{Seed: behindSeed, Config: `{"listen": []}`})
	d := network.Node(t, hosttest.Settings{Seed: dialerSeed, Config: `{"listen": []}`})
	listens, dials := relayOn(t, b), relayOn(t, d)
	at := r.Addrs()[0].Encapsulate(ma.StringCast("/p2p/" + r.ID().String() + "/p2p-circuit"))
	hosttest.Connect(t, b, r)
	hosttest.Connect(t, d, r)
	coretest.TestRawTransport(t, &overRelay{t, b, listens, dials}, at, coretest.RawOptions{
		SharedAddress: true,
		NoRebind:      true,
		HiddenDialer:  true,
	})
}

func TestLifecycle(t *testing.T) {
	for _, config := range []string{`{}`, `{"service": {}}`} {
		coretest.TestLifecycle(t, func(t *testing.T) core.Service {
			return coretest.MustLoad[core.NAT](t, "relay", config)
		})
	}
}

func TestConfigs(t *testing.T) {
	const id = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
	coretest.TestConfigs[core.NAT](t, "relay", []coretest.Config{
		{JSON: `{}`},
		{JSON: `{"service": {}}`},
		{JSON: `{"relays": ["/ip4/192.0.2.1/tcp/4001/p2p/` + id + `"], "count": 1}`},
		{JSON: `{"service": {"reserve": {"allow": ["` + id + `", "192.0.2.0/24"], "deny": ["192.0.2.7", "2001:db8::/32"]}}}`},
		{JSON: `{"relays": ["/ip4/192.0.2.1/tcp/4001"]}`, WantErr: "relays/0: "},
		{JSON: `{"relays": ["/ip4/192.0.2.1/tcp/1/p2p/` + id + `/p2p-circuit/p2p/` + id + `"]}`, WantErr: "is behind a relay itself"},
		{JSON: `{"count": 17}`, WantErr: "count: 17 is not between 1 and 16"},
		{JSON: `{"count": -1}`, WantErr: "count: -1 is not between"},
		{JSON: `{"service": {"reservations": -1}}`, WantErr: "service: reservations: -1 would let nothing through"},
		{JSON: `{"service": {"duration": "10ms"}}`, WantErr: "service: duration: 10ms is too short; want at least 1s"},
		{JSON: `{"service": {"reservation_time": "10s"}}`, WantErr: "service: reservation_time: 10s is too short"},
		{JSON: `{"service": {"connect": {"allow": ["nobody"]}}}`, WantErr: `service: connect/allow/0: "nobody" is neither`},
	})
}

// relayOn starts a module on a node.
func relayOn(t *testing.T, h *host.Host) *relay.Relay {
	t.Helper()
	r := coretest.MustLoad[core.NAT](t, "relay", `{}`).(*relay.Relay)
	if err := r.Start(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// overRelay makes a raw transport of two nodes, so that the suite of raw transports
// can be run through a third.
type overRelay struct {
	t              *testing.T
	behind         *host.Host
	listens, dials *relay.Relay
}

func (o *overRelay) Match(a ma.Multiaddr) bool { return o.dials.Match(a) }

// Listen listens and has a place at the relay.
func (o *overRelay) Listen(a ma.Multiaddr) (manet.Listener, error) {
	l, err := o.listens.Listen(a)
	if err != nil {
		return nil, err
	}
	waitPlace(o.t, o.behind)
	return &withPlace{l, o}, nil
}

func (o *overRelay) Dial(ctx context.Context, a ma.Multiaddr) (manet.Conn, error) {
	return o.dials.Dial(ctx, peer.JoinAddr(a, o.behind.ID()))
}

// withPlace is a listener whose place ends with it.
type withPlace struct {
	manet.Listener
	o *overRelay
}

func (l *withPlace) Close() error {
	err := l.Listener.Close()
	waitFor(l.o.t, l.o.behind, func() bool { return placeOf(l.o.behind) == nil })
	return err
}
