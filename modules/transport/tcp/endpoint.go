// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// endpoint reads /ip4/…/tcp/N and /ip6/…/tcp/N, the latter with a zone or not.
func endpoint(a ma.Multiaddr) (netip.AddrPort, error) {
	rest, zone := a, ""
	if len(rest) == 3 && rest[0].Code() == ma.P_IP6ZONE && rest[1].Code() == ma.P_IP6 {
		rest, zone = rest[1:], rest[0].Value()
	}
	if len(rest) != 2 || rest[1].Code() != ma.P_TCP || (rest[0].Code() != ma.P_IP4 && rest[0].Code() != ma.P_IP6) {
		return netip.AddrPort{}, fmt.Errorf("%s: want /ip4/…/tcp/N or /ip6/…/tcp/N", a)
	}
	ip, ok := netip.AddrFromSlice(rest[0].RawValue())
	port := rest[1].RawValue()
	if !ok || len(port) != 2 {
		return netip.AddrPort{}, fmt.Errorf("%s: malformed", a)
	}
	return netip.AddrPortFrom(ip.Unmap().WithZone(zone), uint16(port[0])<<8|uint16(port[1])), nil
}

// multiaddr is the reverse of endpoint.
func multiaddr(at netip.AddrPort) (ma.Multiaddr, error) {
	if at.Addr().Zone() != "" {
		return manet.FromNetAddr(net.TCPAddrFromAddrPort(at))
	}
	b := make([]byte, 0, 20) // an IPv6 address, a port and the codes of both
	if at.Addr().Is4() {
		b = append(b, ma.P_IP4)
	} else {
		b = append(b, ma.P_IP6)
	}
	b = append(b, at.Addr().AsSlice()...)
	b = append(b, ma.P_TCP, byte(at.Port()>>8), byte(at.Port()))
	return ma.NewMultiaddrBytes(b)
}

// addrPort returns the address of a TCP socket; it is zero if the socket has
// none, which happens when the other side is gone already.
func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || tcp == nil {
		return netip.AddrPort{}
	}
	at := tcp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// network is the name package net has for the address family.
func network(at netip.AddrPort) string {
	if at.Addr().Is4() {
		return "tcp4"
	}
	return "tcp6"
}

// cause takes away what package net puts around an error: addresses, which the
// caller names, and the names of system calls.
func cause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if sys, ok := errors.AsType[*os.SyscallError](err); ok {
		err = sys.Err
	}
	return err
}
