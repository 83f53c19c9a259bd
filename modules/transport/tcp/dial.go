// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// dial connects to an address from the port that is listened on, or else from
// any port.
func (t *Transport) dial(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error) {
	d := net.Dialer{Timeout: time.Duration(t.ConnectTimeout)}
	if from, ok := t.source(to); ok {
		d.LocalAddr, d.Control = net.TCPAddrFromAddrPort(from), reuseControl
		c, err := d.DialContext(ctx, network(to), to.String())
		switch {
		case err == nil && addrPort(c.LocalAddr()) != addrPort(c.RemoteAddr()):
			return c.(*net.TCPConn), nil
		case err == nil:
			// Somebody dials an own address: from the same port, the
			// connection leads back to itself instead of the listener.
			c.Close()
		case !portTaken(err):
			return nil, cause(err)
		}
		d.LocalAddr, d.Control = nil, nil
	}
	c, err := d.DialContext(ctx, network(to), to.String())
	if err != nil {
		return nil, cause(err)
	}
	return c.(*net.TCPConn), nil
}

// portTaken tells whether a dial failed because of the local address: another
// connection between the same two ends exists or has just ended, or the system
// does not let the port be shared.
func portTaken(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EADDRNOTAVAIL)
}

// source returns the local address to dial from: that of a listener that packets
// from there could have as their source.
func (t *Transport) source(to netip.AddrPort) (netip.AddrPort, bool) {
	specific := false // some listeners are bound to one address
	from := netip.AddrPort{}
	ports := t.sharedPorts(to)
	for _, at := range ports {
		switch ip := at.Addr(); {
		case ip.IsLoopback() && to.Addr().IsLoopback():
			return at, true
		case ip.IsLoopback():
		case ip.IsUnspecified():
			if !from.IsValid() {
				from = at
			}
		default:
			specific = true
		}
	}
	if specific && !to.Addr().IsLoopback() {
		ip := routeSource(to)
		for _, at := range ports {
			if at.Addr() == ip {
				return at, true
			}
		}
	}
	return from, from.IsValid()
}

// sharedPorts lists the listeners of the address family whose port dials may take.
func (t *Transport) sharedPorts(to netip.AddrPort) []netip.AddrPort {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]netip.AddrPort, 0, len(t.listeners))
	for _, l := range t.listeners {
		if l.shared && l.at.Addr().Is4() == to.Addr().Is4() {
			list = append(list, l.at)
		}
	}
	return list
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
