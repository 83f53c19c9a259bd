// SPDX-License-Identifier: Apache-2.0 OR MIT

package udpport

import (
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/xnode-p2p/xnode/core"
)

// table is what the sockets of a node have in common: a list of those that dials
// may take, and a secret.
type table struct {
	secret resetSecret

	mu     sync.Mutex
	ports  []netip.AddrPort // in the order of their opening
	warned bool
}

func shareTable(n Node) (t *table, leave func() error, err error) {
	return core.Share(n, tableKey{}, func() (*table, error) {
		secret, err := newResetSecret(n)
		return &table{secret: secret}, err
	})
}

// Close implements [io.Closer].
func (*table) Close() error { return nil }

func (t *table) add(at netip.AddrPort) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ports = append(t.ports, at)
}

func (t *table) remove(at netip.AddrPort) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ports = slices.DeleteFunc(t.ports, func(p netip.AddrPort) bool { return p == at })
}

func (t *table) warnOnce() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := !t.warned
	t.warned = true
	return first
}

// list returns the ports of the family of an address.
func (t *table) list(of netip.Addr) []netip.AddrPort {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []netip.AddrPort
	for _, at := range t.ports {
		if at.Addr().Is4() == of.Is4() {
			list = append(list, at)
		}
	}
	return list
}

// overlapping returns a port that cannot be open beside one at an address.
func (t *table) overlapping(with netip.AddrPort) (netip.AddrPort, bool) {
	for _, at := range t.list(with.Addr()) {
		if at.Port() == with.Port() && (at.Addr() == with.Addr() || at.Addr().IsUnspecified() || with.Addr().IsUnspecified()) {
			return at, true
		}
	}
	return netip.AddrPort{}, false
}

// sources lists the ports that packets to an address can come from, best first.
func (t *table) sources(to netip.AddrPort) []netip.AddrPort {
	var exact, specific, wild []netip.AddrPort
	for _, at := range t.list(to.Addr()) {
		switch ip := at.Addr(); {
		case ip.IsUnspecified():
			wild = append(wild, at)
		case ip.IsLoopback() && to.Addr().IsLoopback():
			exact = append(exact, at)
		case ip.IsLoopback() != to.Addr().IsLoopback():
		default:
			specific = append(specific, at)
		}
	}
	if len(specific) > 0 {
		ip := routeSource(to)
		for _, at := range specific {
			if at.Addr() == ip {
				exact = append(exact, at)
			}
		}
	}
	return append(exact, wild...)
}

// routeSource returns the address that the system chooses for packets to an
// address; it is zero if there is no route. Nothing is sent.
func routeSource(to netip.AddrPort) netip.Addr {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}
