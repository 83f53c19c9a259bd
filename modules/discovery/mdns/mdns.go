// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package mdns finds peers on the local networks, by multicast DNS,
// https://github.com/libp2p/specs/blob/master/discovery/mdns.md.
//
//	"discovery": {"mdns": {}}
//
// It asks for the service _p2p._udp.local and answers such questions with the
// node's addresses on the network that the question is from. It reads what go-,
// rust-, js- and py-libp2p say, and says it so that they can read it. Members of
// a private network find each other only. Whoever is on a network can see who
// else is, and can tell lies: what is said is dialled only if it is an address
// of the same network, and the handshake proves who is there.
package mdns

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/modules/discovery/internal/pool"
)

func init() { core.Register(new(MDNS), core.Beta) }

// MDNS is the xnode.discovery.mdns module.
type MDNS struct {
	// Interfaces are the names of the network interfaces to use. Default: all
	// that can multicast, but for the loopback interface and point-to-point ones.
	Interfaces []string `json:"interfaces,omitempty"`
	// Connect is how many of the peers that it finds the node connects to; of
	// two that find each other, one dials at first. Zero means none: they are
	// only found. Default: 16.
	Connect *int `json:"connect,omitempty"`

	log *slog.Logger
	lan lan

	node    core.Node
	member  *pool.Member
	sockets []socket
	quiet   []func() // end subscriptions
	stop    context.CancelFunc
	wg      sync.WaitGroup
	refresh chan struct{} // holds one sign that links or addresses may have changed

	wake   chan struct{} // holds one sign that until is another
	mu     sync.Mutex
	until  time.Time // when the machine wants its next tick; zero: not yet
	proto  *machine
	closed bool
}

// defaultConnect is how many peers of a network a node connects to.
const defaultConnect = 16

// CaddyModule implements [caddy.Module].
func (*MDNS) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.discovery.mdns", New: func() caddy.Module { return new(MDNS) }}
}

// Provision implements [caddy.Provisioner].
func (m *MDNS) Provision(ctx caddy.Context) error {
	m.log, m.lan = core.Logger(ctx), system{}
	if m.Connect == nil {
		m.Connect = new(defaultConnect)
	}
	return nil
}

// Validate implements [caddy.Validator].
func (m *MDNS) Validate() error {
	if *m.Connect < 0 || *m.Connect > maxKnown {
		return fmt.Errorf("connect: %d is not between 0 and the %d peers that are remembered", *m.Connect, maxKnown)
	}
	for i, name := range m.Interfaces {
		if name == "" || slices.Contains(m.Interfaces[:i], name) {
			return fmt.Errorf("interfaces/%d: %q is empty or listed twice; remove it", i, name)
		}
	}
	return nil
}

// service is the name of the service. Private networks have their own.
func service(n core.Modules) (string, error) {
	network, ok := core.Find[core.PrivateNetwork](n)
	if !ok {
		return "_p2p._udp.local.", nil
	}
	print := network.Fingerprint()
	if print == "" || len("_p2p-"+print) > 63 {
		return "", fmt.Errorf("the private network has no fingerprint that can be a name: %q", print)
	}
	return "_p2p-" + print + "._udp.local.", nil
}

// Start implements [core.Service].
func (m *MDNS) Start(_ context.Context, n core.Node) error {
	name, err := service(n)
	if err != nil {
		return err
	}
	sockets, err := m.lan.Open()
	if err != nil {
		return fmt.Errorf("open the port of multicast DNS, udp/%d: %w", port, err)
	}
	m.member, err = pool.Join(n, pool.Source{Name: "mdns", Most: maxKnown, Connect: *m.Connect, Mutual: true}, m.log)
	if err != nil {
		return errors.Join(err, closeAll(sockets))
	}
	m.node, m.sockets = n, sockets
	m.refresh, m.wake = make(chan struct{}, 1), make(chan struct{}, 1)
	m.proto = newMachine(n.ID(), name, peerName(), rand.Uint64())
	m.quiet = []func(){
		core.On(n, func(core.LocalAddrsChanged) { signal(m.refresh) }),
		core.On(n, func(core.NetworkChanged) { signal(m.refresh) }),
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	m.look()
	m.wg.Go(func() { m.run(ctx) })
	for _, s := range sockets {
		m.wg.Go(func() { m.read(ctx, s) })
	}
	return nil
}

// peerName is a random name of 32 lower-case letters and digits.
func peerName() string { return strings.ToLower(crand.Text() + crand.Text())[:32] }

// Close implements [core.Service]. It says goodbye.
func (m *MDNS) Close() error {
	if m.member == nil {
		return nil
	}
	for _, quiet := range m.quiet {
		quiet()
	}
	m.mu.Lock()
	again := m.closed
	m.closed = true
	m.mu.Unlock()
	if !again {
		m.stepAnyway(closing{})
	}
	m.stop()
	var err error
	if !again {
		err = closeAll(m.sockets)
	}
	m.wg.Wait()
	return errors.Join(err, m.member.Leave())
}

// Discovered implements [core.PeerDiscovery].
func (m *MDNS) Discovered() []core.PeerDiscovered {
	if m.member == nil {
		return nil
	}
	return m.member.Discovered()
}

func closeAll(sockets []socket) error {
	var errs []error
	for _, s := range sockets {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run keeps the time.
func (m *MDNS) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.refresh:
			m.look()
		case <-m.wake:
		case <-timer.C:
			m.step(tick{})
		}
		m.mu.Lock()
		until := m.until
		m.mu.Unlock()
		timer.Stop()
		if !until.IsZero() {
			timer.Reset(time.Until(until))
		}
	}
}

// look finds out which links there are, and what to tell on them.
func (m *MDNS) look() {
	links, err := m.lan.Links()
	if err != nil {
		m.log.Warn("the interfaces of the machine are not known", "error", err)
		return
	}
	addrs := m.node.Addrs()
	var states []linkState
	for _, l := range links {
		if !l.up || len(l.prefixes) == 0 || !m.uses(l) {
			continue
		}
		can := false
		for _, s := range m.sockets {
			if err := s.Join(l.index); err == nil {
				can = true
			} else {
				m.log.Debug("an interface does not multicast", "interface", l.name, "error", err)
			}
		}
		if can {
			states = append(states, linkState{l.index, l.prefixes, l.local, tell(l.prefixes, m.node.ID(), addrs)})
		}
	}
	m.step(linksChanged{states})
}

func (m *MDNS) uses(l iface) bool {
	if len(m.Interfaces) > 0 {
		return slices.Contains(m.Interfaces, l.name)
	}
	return l.usual
}

// read takes packets until the socket closes.
func (m *MDNS) read(ctx context.Context, s socket) {
	b := make([]byte, maxPacket+1)
	for {
		n, link, from, err := s.Read(b)
		switch {
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			m.log.Debug("a packet could not be read", "error", err)
			select { // an error that stays is not to keep the machine busy
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
			continue
		}
		if link == 0 {
			link = m.linkOf(from.Addr())
		}
		m.step(received{link, from, b[:n]})
	}
}

// linkOf is the link that an address is on, for systems that do not tell where
// a packet is from.
func (m *MDNS) linkOf(ip netip.Addr) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, l := range m.proto.links {
		if onLink(l.prefixes, ip) {
			return i
		}
	}
	return 0
}

// step has the machine make a step, and does what it says.
func (m *MDNS) step(event any) {
	m.mu.Lock()
	closed := m.closed
	m.mu.Unlock()
	if !closed {
		m.stepAnyway(event)
	}
}

func (m *MDNS) stepAnyway(event any) {
	m.mu.Lock()
	actions, wake := m.proto.Step(event, time.Now())
	if !wake.Equal(m.until) {
		m.until = wake
		signal(m.wake)
	}
	m.mu.Unlock()
	for _, action := range actions {
		switch a := action.(type) {
		case send:
			m.send(a)
		case found:
			m.member.Found(a.peer, a.ttl)
		case lost:
			m.member.Lost(a.id)
		}
	}
}

// send sends a packet by the sockets that can.
func (m *MDNS) send(a send) {
	for _, s := range m.sockets {
		var err error
		if a.to.IsValid() {
			err = s.SendTo(a.data, a.to)
		} else {
			err = s.Send(a.data, a.link)
		}
		if err != nil { // such as an IP version that the link does not have
			m.log.Debug("a packet could not be sent", "link", a.link, "to", a.to, "error", err)
		}
	}
}

var (
	_ core.Discoverer    = (*MDNS)(nil)
	_ core.PeerDiscovery = (*MDNS)(nil)
	_ caddy.Provisioner  = (*MDNS)(nil)
	_ caddy.Validator    = (*MDNS)(nil)
)
