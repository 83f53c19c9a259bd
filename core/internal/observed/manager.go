// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package observed learns from what peers see of a node at which addresses it
// can be reached from outside, behind a router that keeps its ports.
//
// A peer says in identify from which address a connection came to it. If the
// connection has the local port of a listener, and enough peers from different
// networks saw the same address, then that address stands for the listener's.
// Peers may lie: what they say counts once for each network, is believed only
// while they are connected, and is a candidate, not a proof.
package observed

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/subnet"
	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	// leastObservers is from how many networks an address must have been seen.
	leastObservers = 4
	// fewestObservers is from how many networks one must have been seen to be
	// worth finding out about.
	fewestObservers = 2
	// mostOutside is how many addresses may stand for one listener's.
	mostOutside = 3
)

// Manager counts observations. The zero Manager has none.
type Manager struct {
	mu    sync.Mutex
	conns map[core.Conn]observation // one each open connection
	// seen has, for the local end that listens and the outer one that was
	// seen, how many connections from which network saw that. It is bounded
	// by conns.
	seen map[pair]map[netip.Prefix]int
}

// endpoint is an IP address and a port.
type endpoint struct {
	ip       netip.Addr
	protocol int // TCP or UDP
	port     string
}

// pair is an endpoint of the node and the one that was seen for it.
type pair struct{ local, outside endpoint }

// observation is what one connection's peer saw.
type observation struct {
	pair
	network netip.Prefix
}

// endpointOf is the beginning of an address; ok is false if it is no IP address
// and port.
func endpointOf(a ma.Multiaddr) (e endpoint, ok bool) {
	if len(a) > 0 && a[0].Code() == ma.P_IP6ZONE {
		a = a[1:]
	}
	if len(a) < 2 || a[1].Code() != ma.P_TCP && a[1].Code() != ma.P_UDP {
		return endpoint{}, false
	}
	ip, ok := peer.IP(a)
	return endpoint{ip, a[1].Code(), a[1].Value()}, ok
}

// within tells whether a connection with local endpoint e belongs to a listener
// at l.
func (e endpoint) within(l endpoint) bool {
	return e.protocol == l.protocol && e.port == l.port && e.ip.Is4() == l.ip.Is4() && (e.ip == l.ip || l.ip.IsUnspecified())
}

// Add notes what the peer of a connection saw; listen are the bound addresses.
// It reports whether the addresses may have changed.
func (m *Manager) Add(c core.Conn, seen ma.Multiaddr, listen []ma.Multiaddr) (changed bool) {
	o, ok := observe(c, seen, listen)
	m.mu.Lock()
	defer m.mu.Unlock()
	old, had := m.conns[c]
	if had && ok && o == old {
		return false
	}
	if had {
		changed = m.removeLocked(c, old)
	}
	if !ok {
		return changed
	}
	if m.conns == nil {
		m.conns = make(map[core.Conn]observation)
		m.seen = make(map[pair]map[netip.Prefix]int)
	}
	m.conns[c] = o
	networks := m.seen[o.pair]
	if networks == nil {
		networks = make(map[netip.Prefix]int)
		m.seen[o.pair] = networks
	}
	networks[o.network]++
	return changed || networks[o.network] == 1 && len(networks) >= fewestObservers
}

// observe checks whether an observation can be of use.
func observe(c core.Conn, seen ma.Multiaddr, listen []ma.Multiaddr) (o observation, ok bool) {
	remote, local := c.RemoteMultiaddr(), c.LocalMultiaddr()
	observer, fromIP := peer.IP(remote)
	if c.Stat().Limited || !fromIP || isRelayed(remote) || isRelayed(seen) || !peer.IsPublic(seen) || !peer.IsPublic(remote) {
		return observation{}, false
	}
	here, ok1 := endpointOf(local)
	outside, ok2 := endpointOf(seen)
	if !ok1 || !ok2 || outside.protocol != here.protocol || outside.ip.Is4() != here.ip.Is4() {
		return observation{}, false
	}
	for _, a := range listen {
		if l, ok := endpointOf(a); ok && here.within(l) {
			return observation{pair{l, outside}, subnet.Network(observer)}, true
		}
	}
	return observation{}, false // from a port that nobody listens on
}

func isRelayed(a ma.Multiaddr) bool {
	return slices.ContainsFunc(a, func(c ma.Component) bool { return c.Code() == ma.P_CIRCUIT })
}

// Remove forgets what the peer of a connection saw. It reports whether the
// addresses may have changed.
func (m *Manager) Remove(c core.Conn) (changed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.conns[c]
	return ok && m.removeLocked(c, o)
}

func (m *Manager) removeLocked(c core.Conn, o observation) (changed bool) {
	delete(m.conns, c)
	networks := m.seen[o.pair]
	before := len(networks)
	if networks[o.network]--; networks[o.network] == 0 {
		delete(networks, o.network)
	}
	if len(networks) == 0 {
		delete(m.seen, o.pair)
	}
	return before >= fewestObservers && len(networks) < before
}

// Addrs are the addresses from outside that stand for those of listen.
func (m *Manager) Addrs(listen []ma.Multiaddr) []ma.Multiaddr {
	return m.seenBy(leastObservers, listen)
}

// Candidates are those that may: fewer peers have seen them.
func (m *Manager) Candidates(listen []ma.Multiaddr) []ma.Multiaddr {
	return m.seenBy(fewestObservers, listen)
}

func (m *Manager) seenBy(least int, listen []ma.Multiaddr) []ma.Multiaddr {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []ma.Multiaddr
	for _, a := range listen {
		l, ok := endpointOf(a)
		if !ok {
			continue
		}
		rest := a[2:]
		if a[0].Code() == ma.P_IP6ZONE {
			rest = a[3:]
		}
		for _, outside := range m.outsideLocked(l, least) {
			list = append(list, slices.Concat(outside.multiaddr(), rest))
		}
	}
	return list
}

// outsideLocked lists the endpoints that were seen for l from at least so many
// networks, the most seen first.
func (m *Manager) outsideLocked(l endpoint, least int) []endpoint {
	list := make([]endpoint, 0, mostOutside+1)
	for p, networks := range m.seen {
		if p.local != l || len(networks) < least {
			continue
		}
		at, _ := slices.BinarySearchFunc(list, p.outside, func(a, b endpoint) int {
			return cmp.Or(cmp.Compare(len(m.seen[pair{l, b}]), len(m.seen[pair{l, a}])), a.ip.Compare(b.ip), cmp.Compare(a.port, b.port))
		})
		list = slices.Insert(list, at, p.outside)
		list = list[:min(len(list), mostOutside)]
	}
	return list
}

// multiaddr is the endpoint as an address.
func (e endpoint) multiaddr() ma.Multiaddr {
	host, protocol := "ip4", "tcp"
	if !e.ip.Is4() {
		host = "ip6"
	}
	if e.protocol == ma.P_UDP {
		protocol = "udp"
	}
	// What came out of a multiaddr goes into one again.
	return ma.StringCast("/" + host + "/" + e.ip.String() + "/" + protocol + "/" + e.port)
}
