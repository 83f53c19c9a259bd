// SPDX-License-Identifier: Apache-2.0 OR MIT

package peer

import (
	"net/netip"
	"strings"

	ma "github.com/multiformats/go-multiaddr"
)

// IP returns the IP address that an address begins with. An IPv4 address in its
// IPv6 form (::ffff:192.0.2.1) comes back as IPv4, and a zone is dropped, so
// that peers can be counted and compared by it. ok is false for names and for
// transports without IP.
func IP(addr ma.Multiaddr) (ip netip.Addr, ok bool) {
	if len(addr) > 1 && addr[0].Code() == ma.P_IP6ZONE {
		addr = addr[1:]
	}
	if len(addr) == 0 {
		return netip.Addr{}, false
	}
	switch addr[0].Code() {
	case ma.P_IP4, ma.P_IP6:
		ip, ok = netip.AddrFromSlice(addr[0].RawValue())
		return ip.Unmap(), ok
	}
	return netip.Addr{}, false
}

// IsPublic tells whether an address leads, by its first component, to a host on
// the public Internet: an IP address outside every special range, or a DNS name
// outside the special-use domains. A relayed address is as public as its relay.
//
// Addresses that are neither public nor private nor loopback (multicast,
// documentation, reserved, in-memory …) lead nowhere a peer could be.
func IsPublic(addr ma.Multiaddr) bool { return scopeOf(addr) == scopePublic }

// IsPrivate tells whether an address leads, by its first component, to a host
// on a local network: the private ranges, carrier-grade NAT, link-local and
// unique local addresses, and the DNS names used there. Loopback is not private.
func IsPrivate(addr ma.Multiaddr) bool { return scopeOf(addr) == scopePrivate }

// IsLoopback tells whether an address leads, by its first component, to the own
// machine: a loopback address or a name under localhost.
func IsLoopback(addr ma.Multiaddr) bool { return scopeOf(addr) == scopeLoopback }

// scope is how far from here a host can be that an address leads to.
type scope int

const (
	scopeNone     scope = iota // no peer can be there
	scopeLoopback              // on this machine
	scopePrivate               // on a local network
	scopePublic                // on the Internet
)

func scopeOf(addr ma.Multiaddr) scope {
	if ip, ok := IP(addr); ok {
		return scopeOfIP(ip)
	}
	if len(addr) == 0 {
		return scopeNone
	}
	switch addr[0].Code() {
	case ma.P_DNS, ma.P_DNS4, ma.P_DNS6, ma.P_DNSADDR:
		return scopeOfName(addr[0].Value())
	}
	return scopeNone
}

// scopeOfIP looks an address up in the table of special ranges. An IPv6 address
// that stands for an IPv4 host has that host's scope.
func scopeOfIP(ip netip.Addr) scope {
	ip = embedded(ip.WithZone("").Unmap())
	table := special4
	if ip.Is6() {
		table = special6
	}
	for _, r := range table {
		if r.prefix.Contains(ip) {
			return r.scope
		}
	}
	return scopePublic
}

// embedded returns the IPv4 address that a NAT64 (RFC 6052) or 6to4 (RFC 3056)
// address leads to, and any other address unchanged.
func embedded(ip netip.Addr) netip.Addr {
	b := ip.As16()
	switch {
	case nat64.Contains(ip):
		return netip.AddrFrom4([4]byte(b[12:16]))
	case sixToFour.Contains(ip):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return ip
}

// scopeOfName judges a DNS name by the special-use domains of RFC 6761 and its
// successors.
func scopeOfName(name string) scope {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	for _, d := range specialDomains {
		if rest, ok := strings.CutSuffix(name, d.name); ok && (rest == "" || strings.HasSuffix(rest, ".")) {
			return d.scope
		}
	}
	if !strings.Contains(name, ".") {
		return scopePrivate // a host of the local search domain
	}
	return scopePublic
}
