// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcpport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Endpoint reads /ip4/…/tcp/N and /ip6/…/tcp/N, the latter with a zone or not,
// at the beginning of a. What follows is rest.
func Endpoint(a ma.Multiaddr) (at netip.AddrPort, rest ma.Multiaddr, err error) {
	host, zone := a, ""
	if len(host) > 1 && host[0].Code() == ma.P_IP6ZONE && host[1].Code() == ma.P_IP6 {
		host, zone = host[1:], host[0].Value()
	}
	if len(host) < 2 || host[1].Code() != ma.P_TCP || (host[0].Code() != ma.P_IP4 && host[0].Code() != ma.P_IP6) {
		return at, nil, fmt.Errorf("%s: want /ip4/…/tcp/N or /ip6/…/tcp/N", a)
	}
	ip, ok := netip.AddrFromSlice(host[0].RawValue())
	port := host[1].RawValue()
	if !ok || len(port) != 2 {
		return at, nil, fmt.Errorf("%s: malformed", a)
	}
	return netip.AddrPortFrom(ip.Unmap().WithZone(zone), uint16(port[0])<<8|uint16(port[1])), host[2:], nil
}

// Multiaddr is the reverse of [Endpoint], with an empty rest.
func Multiaddr(at netip.AddrPort) (ma.Multiaddr, error) {
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

// AddrPort returns the address of a TCP socket; it is zero if the socket has
// none, which happens when the other side is gone already.
func AddrPort(a net.Addr) netip.AddrPort {
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

// Cause takes away what package net puts around an error: addresses, which the
// caller names, and the names of system calls.
func Cause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if sys, ok := errors.AsType[*os.SyscallError](err); ok {
		err = sys.Err
	}
	return err
}
