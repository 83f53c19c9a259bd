// SPDX-License-Identifier: Apache-2.0 OR MIT

package portmap

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	// maxPorts bounds the ports that are asked for.
	maxPorts = 16
	// firstRetry is how long after a failure the gateway is asked again, each
	// time twice as long up to lastRetry.
	firstRetry = time.Minute
	lastRetry  = 30 * time.Minute
	// removeTime bounds giving ports back when the node stops.
	removeTime = 4 * time.Second
	// settleTime is how long a change of the listeners is left alone: others
	// may follow.
	settleTime = 200 * time.Millisecond
)

// mapper keeps the ports of a node open at its gateway.
type mapper struct {
	*Service
	node    core.Node
	held    *holdings
	release func() error
	again   chan struct{} // something has changed
	stop    context.CancelFunc
	quiet   []func()
	running sync.WaitGroup

	// Of the goroutine alone, and of close after it.
	at      gateway
	way     method // that works; nil if none does
	wayName string
	ports   []*port
	retry   time.Duration

	mu    sync.Mutex
	state core.PortMaps
}

// port is one that the gateway forwards, or shall.
type port struct {
	request
	granted  grant
	renew    time.Time
	withdraw func() // of the addresses; nil if there are none
	addrs    []ma.Multiaddr
}

func (m *mapper) start() {
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	wake := func() {
		select {
		case m.again <- struct{}{}:
		default:
		}
	}
	m.quiet = []func(){
		core.On(m.node, func(core.CandidateAddrsChanged) { wake() }), // which follows from listeners
		core.On(m.node, func(core.NetworkChanged) { wake() }),
	}
	m.running.Go(func() {
		for {
			wait := m.round(ctx)
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			case <-m.again:
				select {
				case <-ctx.Done():
					return
				case <-time.After(settleTime):
				}
			}
		}
	})
}

// round does what is to be done now and returns when there is something again.
func (m *mapper) round(ctx context.Context) (wait time.Duration) {
	g, err := m.gateway()
	if err != nil {
		m.forget(ctx)
		m.note(err)
		return lastRetry // a change of the network is told
	}
	if g != m.at {
		m.forget(ctx)
		m.at = g
	}
	m.drop(ctx, m.wanted())
	err = m.renew(ctx)
	m.note(err)
	if ctx.Err() != nil {
		return 0
	}
	if err != nil {
		m.log.Debug("the router forwards no ports, or not all", "error", err)
		m.retry = min(max(2*m.retry, firstRetry), lastRetry)
		return m.retry
	}
	m.retry = 0
	next := time.Now().Add(lastRetry)
	for _, p := range m.ports {
		if p.renew.Before(next) {
			next = p.renew
		}
	}
	return max(time.Until(next), time.Second)
}

// wanted lists the ports that are listened on towards the gateway, and the
// addresses that they are for.
func (m *mapper) wanted() []*port {
	var list []*port
	for _, a := range m.node.ListenAddrs() {
		ip, ok := peer.IP(a)
		if !ok || !ip.Is4() || len(a) < 2 || !ip.IsUnspecified() && ip != m.at.own {
			continue
		}
		if c := a[1].Code(); c != ma.P_TCP && c != ma.P_UDP {
			continue
		}
		at, err := manet.ToNetAddr(a[:2])
		if err != nil {
			continue
		}
		end, err := netip.ParseAddrPort(at.String())
		if err != nil || end.Port() == 0 {
			continue
		}
		inside := netip.AddrPortFrom(m.at.own, end.Port())
		network := a[1].Protocol().Name
		i := slices.IndexFunc(list, func(p *port) bool { return p.network == network && p.inside == inside })
		if i < 0 {
			if len(list) == maxPorts {
				continue
			}
			i = len(list)
			list = append(list, &port{request: request{network: network, inside: inside, outside: inside.Port(), lifetime: time.Duration(m.Lifetime)}})
		}
		list[i].addrs = append(list[i].addrs, a[2:])
	}
	return list
}

// drop gives back the ports that are not among those that are wanted, and notes
// the new ones.
func (m *mapper) drop(ctx context.Context, wanted []*port) {
	find := func(in []*port, p *port) int {
		return slices.IndexFunc(in, func(o *port) bool { return o.network == p.network && o.inside == p.inside })
	}
	for _, p := range m.ports {
		if find(wanted, p) < 0 {
			m.giveBack(ctx, p)
		}
	}
	for i, p := range wanted {
		if j := find(m.ports, p); j >= 0 {
			if have := m.ports[j]; !slices.EqualFunc(have.addrs, p.addrs, ma.Multiaddr.Equal) {
				have.addrs = p.addrs
				have.announce(m.node)
			}
			wanted[i] = m.ports[j]
		} else {
			p.nonce = m.held.add(p.request)
		}
	}
	m.ports = wanted
}

// renew asks for the ports whose time has come.
func (m *mapper) renew(ctx context.Context) error {
	var errs []error
	for _, p := range m.ports {
		if ctx.Err() != nil {
			break
		}
		if !p.renew.IsZero() && time.Now().Before(p.renew) {
			continue
		}
		g, err := m.ask(ctx, p)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s port %d: %w", p.network, p.inside.Port(), err))
			p.lose()
			continue
		}
		if p.granted.outside != g.outside {
			p.granted = g
			p.announce(m.node)
			m.log.Info("the router forwards a port", "method", m.wayName, "network", p.network, "inside", p.inside, "outside", g.outside)
		}
		p.outside = g.outside.Port()
		p.renew = time.Now().Add(g.lifetime / 2)
	}
	return errors.Join(errs...)
}

// ask asks in the way that works, or finds one that does.
func (m *mapper) ask(ctx context.Context, p *port) (grant, error) {
	if m.way != nil {
		g, err := m.way.add(ctx, p.request)
		if err == nil {
			return g, nil
		}
		m.way = nil
	}
	var errs []error
	for _, name := range m.Methods {
		way := m.method(name, m.at)
		g, err := way.add(ctx, p.request)
		if err == nil {
			m.way, m.wayName = way, name
			return g, nil
		}
		if ctx.Err() != nil {
			return grant{}, context.Cause(ctx)
		}
		errs = append(errs, fmt.Errorf("%s: %w", name, err))
	}
	return grant{}, oneLine(errs)
}

// oneLine joins errors.
func oneLine(errs []error) error {
	var texts []string
	for _, err := range errs {
		texts = append(texts, err.Error())
	}
	return errors.New(strings.Join(texts, "; "))
}

// announce suggests the addresses that are forwarded to the port. An address that
// nobody on the Internet can dial is none.
func (p *port) announce(n core.Addrs) {
	p.hush()
	at, err := manet.FromIP(p.granted.outside.Addr().AsSlice())
	if err != nil || !peer.IsPublic(at) {
		return
	}
	var list []ma.Multiaddr
	for _, rest := range p.addrs {
		list = append(list, slices.Concat(at, ma.StringCast(fmt.Sprintf("/%s/%d", p.network, p.granted.outside.Port())), rest))
	}
	p.withdraw = n.Suggest(list...)
}

func (p *port) hush() {
	if p.withdraw != nil {
		p.withdraw()
		p.withdraw = nil
	}
}

// lose is for a port that the gateway does not forward any more.
func (p *port) lose() {
	p.hush()
	p.granted, p.renew = grant{}, time.Time{}
}

// giveBack has the gateway forward a port no longer, unless another instance of
// the module has it too.
func (m *mapper) giveBack(ctx context.Context, p *port) {
	p.hush()
	if last := m.held.remove(p.request); !last || p.renew.IsZero() || m.way == nil {
		return
	}
	if err := m.way.remove(ctx, p.request); err != nil {
		m.log.Debug("giving a port back", "network", p.network, "port", p.outside, "error", err)
	}
}

// forget gives up all ports at a gateway.
func (m *mapper) forget(ctx context.Context) {
	m.drop(ctx, nil)
	m.way, m.at, m.retry = nil, gateway{}, 0
}

// note keeps what there is to report.
func (m *mapper) note(err error) {
	s := core.PortMaps{Gateway: m.at.router, Err: err}
	if m.way != nil {
		s.Method = m.wayName
	}
	for _, p := range m.ports {
		if p.granted.outside.IsValid() {
			s.Maps = append(s.Maps, core.PortMap{Network: p.network, Inside: p.inside, Outside: p.granted.outside})
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state = s
}

func (m *mapper) report() core.PortMaps {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.state
	s.Maps = slices.Clone(s.Maps)
	return s
}

// close gives all ports back.
func (m *mapper) close() error {
	for _, stop := range m.quiet {
		stop()
	}
	m.stop()
	m.running.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), removeTime)
	defer cancel()
	var wg sync.WaitGroup
	for _, p := range m.ports {
		wg.Go(func() { m.giveBack(ctx, p) })
	}
	wg.Wait()
	m.ports = nil
	return m.release()
}

// holdings counts who of a node wants which port: when a reload replaces the
// module, the new instance begins before the old one gives back.
type holdings struct {
	mu    sync.Mutex
	ports map[holding]*hold // bounded by the ports of all instances
}

type (
	holdingsKey struct{}
	holding     struct {
		network string
		inside  netip.AddrPort
	}
	// hold is one port. Its nonce is the same for all, as PCP wants.
	hold struct {
		count int
		nonce [12]byte
	}
)

func (h *holdings) add(r request) (nonce [12]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := holding{r.network, r.inside}
	if h.ports == nil {
		h.ports = make(map[holding]*hold)
	}
	p := h.ports[k]
	if p == nil {
		p = new(hold)
		_, _ = rand.Read(p.nonce[:]) // it cannot fail
		h.ports[k] = p
	}
	p.count++
	return p.nonce
}

// remove tells whether nobody else wants the port.
func (h *holdings) remove(r request) (last bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := holding{r.network, r.inside}
	p := h.ports[k]
	if p.count--; p.count > 0 {
		return false
	}
	delete(h.ports, k)
	return true
}

// Close implements [io.Closer].
func (*holdings) Close() error { return nil }
