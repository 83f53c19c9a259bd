// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package ipgroup groups IP addresses by who can easily have many of them. A
// set of peers from few groups may be one party under many names.
package ipgroup

import (
	"encoding/binary"
	"net/netip"
)

// The usual sizes of the groups, in bits: what is handed out to a provider in
// one piece.
const (
	Bits4 = 16
	Bits6 = 32
)

// Group is the group of an address. It fits into a word, since there is one
// with every peer that is known. The zero Group is none: nothing is counted
// under it.
type Group uint64

// isIPv4 tells groups of IPv4 addresses from those of IPv6: nothing is assigned
// in the half of the IPv6 space that begins with this bit alone.
const isIPv4 = 1 << 63

// Of returns the group of an address on the Internet: its first bits4 or bits6
// bits, of which IPv6 has 64 at most. Addresses that anybody can have as many
// of as there are, in local networks and on the own machine, are in no group.
func Of(ip netip.Addr, bits4, bits6 int) Group {
	ip = ip.Unmap()
	if !ip.IsValid() || !ip.IsGlobalUnicast() || ip.IsPrivate() || sharedByCarrier(ip) {
		return 0
	}
	return Any(ip, bits4, bits6)
}

// Any is [Of] for addresses of every kind, local ones too. Only an invalid
// address is in no group.
func Any(ip netip.Addr, bits4, bits6 int) Group {
	ip = ip.Unmap()
	switch {
	case !ip.IsValid():
		return 0
	case ip.Is4():
		b := ip.As4()
		return isIPv4 | Group(binary.BigEndian.Uint32(b[:])&^(1<<(32-min(bits4, 32))-1))
	}
	b := ip.As16()
	g := Group(binary.BigEndian.Uint64(b[:8]) &^ (1<<(64-min(bits6, 64)) - 1))
	return max(g, 1) // ::/64 is a group too
}

// sharedByCarrier tells whether an address is behind the NAT of a carrier, in
// 100.64.0.0/10.
func sharedByCarrier(ip netip.Addr) bool {
	b := ip.As16()
	return ip.Is4() && b[12] == 100 && b[13]&0xc0 == 64
}
