// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package subnet groups IP addresses by who is likely to hold them.
//
// One subscriber has one IPv4 address but a whole IPv6 prefix, usually of 56
// or 64 bits, and can get a few of those from the same 48 bits. Whatever is
// counted by address is therefore counted by [Narrow], and more generously by
// [Wide]. IPv4 addresses in IPv6 form are IPv4 addresses throughout.
package subnet

import (
	"fmt"
	"net/netip"
)

// The sizes of the groups, in bits.
const (
	narrow6  = 56
	wide6    = 48
	network4 = 24
)

// Narrow returns what one subscriber holds: the IPv4 address or the IPv6 /56.
func Narrow(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return netip.PrefixFrom(ip, ip.BitLen())
	}
	return masked(ip, narrow6)
}

// Wide returns the IPv6 /48 around an address; ok is false for IPv4.
func Wide(ip netip.Addr) (p netip.Prefix, ok bool) {
	ip = ip.Unmap().WithZone("")
	if !ip.Is6() {
		return netip.Prefix{}, false
	}
	return masked(ip, wide6), true
}

// Network returns the smallest range that is announced on the Internet by
// itself, and so what one party holds at least that holds many addresses: the
// IPv4 /24 or the IPv6 /48.
func Network(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return masked(ip, network4)
	}
	return masked(ip, wide6)
}

func masked(ip netip.Addr, bits int) netip.Prefix {
	return netip.PrefixFrom(ip, bits).Masked()
}

// Parse reads an IP address or a range in CIDR notation, such as 192.0.2.7,
// 10.0.0.0/8 or 2001:db8::/32. Host bits are cleared.
func Parse(text string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is neither an IP address nor a range such as 10.0.0.0/8", text)
	}
	return Unmap(p), nil
}

// Unmap clears the host bits of a range, and turns one of IPv4 addresses in
// IPv6 form, within ::ffff:0:0/96, into a range of IPv4 addresses.
func Unmap(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}
