// SPDX-License-Identifier: Apache-2.0 OR MIT

package peer

import "net/netip"

// specialRange is a block of addresses that is not for hosts on the Internet.
type specialRange struct {
	prefix netip.Prefix
	scope  scope
}

// The blocks whose addresses contain the IPv4 address they lead to.
var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixToFour = netip.MustParsePrefix("2002::/16")    // RFC 3056
)

// special4 holds the IANA IPv4 Special-Purpose Address Registry (RFC 6890) and
// multicast. Anycast services that IANA calls globally reachable are in it: no
// peer lives there, and some (192.0.0.9) are answered by the local router.
var special4 = []specialRange{
	{netip.MustParsePrefix("0.0.0.0/8"), scopeNone},         // this network, RFC 791
	{netip.MustParsePrefix("10.0.0.0/8"), scopePrivate},     // private, RFC 1918
	{netip.MustParsePrefix("100.64.0.0/10"), scopePrivate},  // carrier-grade NAT, RFC 6598
	{netip.MustParsePrefix("127.0.0.0/8"), scopeLoopback},   // loopback, RFC 1122
	{netip.MustParsePrefix("169.254.0.0/16"), scopePrivate}, // link-local, RFC 3927
	{netip.MustParsePrefix("172.16.0.0/12"), scopePrivate},  // private, RFC 1918
	{netip.MustParsePrefix("192.0.0.0/24"), scopeNone},      // IETF protocols: DS-Lite, PCP, NAT64 discovery, RFC 6890
	{netip.MustParsePrefix("192.0.2.0/24"), scopeNone},      // documentation, RFC 5737
	{netip.MustParsePrefix("192.31.196.0/24"), scopeNone},   // AS112, RFC 7535
	{netip.MustParsePrefix("192.52.193.0/24"), scopeNone},   // multicast tunnels, RFC 7450
	{netip.MustParsePrefix("192.88.99.0/24"), scopeNone},    // 6to4 relays, RFC 7526
	{netip.MustParsePrefix("192.168.0.0/16"), scopePrivate}, // private, RFC 1918
	{netip.MustParsePrefix("192.175.48.0/24"), scopeNone},   // AS112, RFC 7534
	{netip.MustParsePrefix("198.18.0.0/15"), scopeNone},     // benchmarks, RFC 2544
	{netip.MustParsePrefix("198.51.100.0/24"), scopeNone},   // documentation, RFC 5737
	{netip.MustParsePrefix("203.0.113.0/24"), scopeNone},    // documentation, RFC 5737
	{netip.MustParsePrefix("224.0.0.0/4"), scopeNone},       // multicast, RFC 5771
	{netip.MustParsePrefix("240.0.0.0/4"), scopeNone},       // reserved, and broadcast, RFC 1112
}

// special6 holds the IANA IPv6 Special-Purpose Address Registry (RFC 6890),
// multicast, and all that lies outside the unicast block given out today. The
// first match counts. The forms of IPv4 addresses are resolved before.
var special6 = []specialRange{
	{netip.MustParsePrefix("::1/128"), scopeLoopback},       // loopback, RFC 4291
	{netip.MustParsePrefix("::/96"), scopeNone},             // unspecified, and old IPv4 forms, RFC 4291
	{netip.MustParsePrefix("64:ff9b:1::/48"), scopePrivate}, // local NAT64, RFC 8215
	{netip.MustParsePrefix("100::/64"), scopeNone},          // discard, RFC 6666
	{netip.MustParsePrefix("100:0:0:1::/64"), scopeNone},    // dummy prefix, RFC 9780
	{netip.MustParsePrefix("2001::/32"), scopeNone},         // Teredo, RFC 4380
	{netip.MustParsePrefix("2001:1::/32"), scopeNone},       // PCP, TURN and DNS-SD anycast, RFC 7723
	{netip.MustParsePrefix("2001:2::/48"), scopeNone},       // benchmarks, RFC 5180
	{netip.MustParsePrefix("2001:3::/32"), scopeNone},       // multicast tunnels, RFC 7450
	{netip.MustParsePrefix("2001:4:112::/48"), scopeNone},   // AS112, RFC 7535
	{netip.MustParsePrefix("2001:10::/28"), scopeNone},      // ORCHID, RFC 4843
	{netip.MustParsePrefix("2001:20::/28"), scopeNone},      // ORCHIDv2, RFC 7343
	{netip.MustParsePrefix("2001:30::/28"), scopeNone},      // drone identifiers, RFC 9374
	{netip.MustParsePrefix("2001::/23"), scopeNone},         // IETF protocols, RFC 2928
	{netip.MustParsePrefix("2001:db8::/32"), scopeNone},     // documentation, RFC 3849
	{netip.MustParsePrefix("2620:4f:8000::/48"), scopeNone}, // AS112, RFC 7534
	{netip.MustParsePrefix("3fff::/20"), scopeNone},         // documentation, RFC 9637
	{netip.MustParsePrefix("5f00::/16"), scopeNone},         // segment routing, RFC 9602
	{netip.MustParsePrefix("fc00::/7"), scopePrivate},       // unique local, RFC 4193
	{netip.MustParsePrefix("fe80::/10"), scopePrivate},      // link-local, RFC 4291
	{netip.MustParsePrefix("fec0::/10"), scopePrivate},      // site-local, RFC 3879
	{netip.MustParsePrefix("ff00::/8"), scopeNone},          // multicast, RFC 4291
	{netip.MustParsePrefix("::/3"), scopeNone},              // not given out
	{netip.MustParsePrefix("4000::/2"), scopeNone},          // not given out
	{netip.MustParsePrefix("8000::/1"), scopeNone},          // not given out
}

// specialDomains are the names that do not lead to the Internet.
var specialDomains = []struct {
	name  string
	scope scope
}{
	{"localhost", scopeLoopback}, // RFC 6761
	{"local", scopePrivate},      // RFC 6762
	{"home.arpa", scopePrivate},  // RFC 8375
	{"internal", scopePrivate},   // reserved by ICANN for private use
	{"test", scopeNone},          // RFC 6761
	{"invalid", scopeNone},       // RFC 6761
	{"example", scopeNone},       // RFC 6761
	{"onion", scopeNone},         // RFC 7686
	{"alt", scopeNone},           // RFC 9476
}
