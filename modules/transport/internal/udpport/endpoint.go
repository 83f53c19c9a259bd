// SPDX-License-Identifier: Apache-2.0 OR MIT

package udpport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Endpoint reads the beginning of an address, /ip4/…/udp/N or /ip6/…/udp/N, the
// latter with a zone or not, and returns what follows.
func Endpoint(a ma.Multiaddr) (at netip.AddrPort, rest ma.Multiaddr, err error) {
	rest, zone := a, ""
	if len(rest) > 2 && rest[0].Code() == ma.P_IP6ZONE && rest[1].Code() == ma.P_IP6 {
		rest, zone = rest[1:], rest[0].Value()
	}
	if len(rest) < 2 || rest[1].Code() != ma.P_UDP || (rest[0].Code() != ma.P_IP4 && rest[0].Code() != ma.P_IP6) {
		return at, nil, fmt.Errorf("%s: want /ip4/…/udp/N or /ip6/…/udp/N", a)
	}
	ip, ok := netip.AddrFromSlice(rest[0].RawValue())
	port := rest[1].RawValue()
	if !ok || len(port) != 2 {
		return at, nil, fmt.Errorf("%s: malformed", a)
	}
	return netip.AddrPortFrom(ip.Unmap().WithZone(zone), uint16(port[0])<<8|uint16(port[1])), rest[2:], nil
}

// quicV1 is the end of /ip4/…/udp/N/quic-v1.
var quicV1 = ma.StringCast("/quic-v1")

// Multiaddr writes /ip4/…/udp/N or /ip6/…/udp/N.
func Multiaddr(at netip.AddrPort) (ma.Multiaddr, error) {
	if at.Addr().Zone() != "" {
		return manet.FromNetAddr(net.UDPAddrFromAddrPort(at))
	}
	b := make([]byte, 0, 21) // an IPv6 address, a port and the codes of both
	if at.Addr().Is4() {
		b = append(b, ma.P_IP4)
	} else {
		b = append(b, ma.P_IP6)
	}
	b = append(b, at.Addr().AsSlice()...)
	b = append(b, 0x91, 0x02, byte(at.Port()>>8), byte(at.Port())) // 273, udp
	return ma.NewMultiaddrBytes(b)
}

// QUICMultiaddr writes /ip4/…/udp/N/quic-v1 or /ip6/…/udp/N/quic-v1.
func QUICMultiaddr(at netip.AddrPort) (ma.Multiaddr, error) {
	a, err := Multiaddr(at)
	if err != nil {
		return nil, err
	}
	return a.Encapsulate(quicV1), nil
}

// addrPort returns the address of a UDP socket or datagram.
func addrPort(a net.Addr) netip.AddrPort {
	udp, ok := a.(*net.UDPAddr)
	if !ok || udp == nil {
		return netip.AddrPort{}
	}
	at := udp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// network is the name package net has for the address family.
func network(at netip.AddrPort) string {
	if at.Addr().Is4() {
		return "udp4"
	}
	return "udp6"
}

// bindError says why an address cannot be bound.
func bindError(at netip.AddrPort, t *table, err error) error {
	err = cause(err)
	why := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		why = " by another program"
		if other, ok := t.overlapping(at); ok {
			why = fmt.Sprintf(" by this node on %s, and cannot change its address while it is", other)
		}
	case errors.Is(err, syscall.EACCES):
		why = "; the system keeps this port for privileged programs"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		why = "; no interface of this machine has it"
	}
	return fmt.Errorf("udp %s: %w%s", at, err, why)
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
