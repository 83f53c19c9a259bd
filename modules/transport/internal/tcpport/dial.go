// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcpport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

// Dialer connects to addresses.
type Dialer struct {
	// Reuse dials from a port that is listened on for Kind, so that peers and
	// NATs see one address for both. The listener must be open with
	// [Options].Reuse. Where that is not possible, the dial is from any port.
	Reuse bool
	Kind  Kind
	// Timeout is how long a dial may take; 0 means as long as its context
	// and the system let it.
	Timeout time.Duration
}

// Dial connects to an address. Its errors do not name it. From a port that is
// listened on there has to be a way to the same address again: see [Conn.Close].
func (d Dialer) Dial(ctx context.Context, shares core.Shares, to netip.AddrPort) (Conn, error) {
	dialer := net.Dialer{Timeout: d.Timeout}
	if from, ok := d.source(shares, to); ok {
		dialer.LocalAddr, dialer.Control = net.TCPAddrFromAddrPort(from), tracelessControl
		c, err := dialer.DialContext(ctx, network(to), to.String())
		switch {
		case err == nil && AddrPort(c.LocalAddr()) != AddrPort(c.RemoteAddr()):
			return Conn{TCPConn: c.(*net.TCPConn), traceless: canBeTraceless}, nil
		case err == nil:
			// Somebody dials an own address: from the same port, the
			// connection leads back to itself instead of the listener.
			c.Close()
		case !portTaken(err):
			return Conn{}, Cause(err)
		}
		dialer.LocalAddr, dialer.Control = nil, nil
	}
	c, err := dialer.DialContext(ctx, network(to), to.String())
	if err != nil {
		return Conn{}, Cause(err)
	}
	return Conn{TCPConn: c.(*net.TCPConn)}, nil
}

// portTaken tells whether a dial failed because of the local address: another
// connection between the same two ends exists or has just ended, or the system
// does not let the port be shared.
func portTaken(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EADDRNOTAVAIL)
}

// source returns the local address to dial from: that of a listener that packets
// from there could have as their source.
func (d Dialer) source(shares core.Shares, to netip.AddrPort) (netip.AddrPort, bool) {
	var list []netip.AddrPort
	if d.Reuse {
		list = d.sources(shares, to)
	}
	specific := false // some listeners are bound to one address
	from := netip.AddrPort{}
	for _, at := range list {
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
		i := slices.IndexFunc(list, func(at netip.AddrPort) bool { return at.Addr() == ip })
		if i >= 0 {
			return list[i], true
		}
	}
	return from, from.IsValid()
}

// sources lists the ports of the address family that dials may take.
func (d Dialer) sources(shares core.Shares, to netip.AddrPort) []netip.AddrPort {
	p, release, err := openPorts(shares)
	if err != nil {
		return nil
	}
	defer release()
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]netip.AddrPort, 0, len(p.sockets))
	for _, s := range p.sockets {
		if s.reuse && s.at.Addr().Is4() == to.Addr().Is4() && s.wantedLocked(d.Kind) {
			list = append(list, s.at)
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
