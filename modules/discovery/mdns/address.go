// SPDX-License-Identifier: Apache-2.0 OR MIT

package mdns

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	// maxAddrs bounds the addresses that are taken of a peer.
	maxAddrs = 32
	// maxTold bounds the bytes of the addresses that are told, so that all fits
	// into one packet of a usual link.
	maxTold = 1100
	maxIPs  = 4 // of a version
)

// onLink tells whether an IP address is of one of the networks of a link.
func onLink(prefixes []netip.Prefix, ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// tellable tells whether an address is one for peers on a link: an IP address of
// its network, and no relay in between; those of browsers' transports would
// only take room, for browsers have no multicast DNS.
func tellable(prefixes []netip.Prefix, a ma.Multiaddr) bool {
	ip, ok := peer.IP(a)
	if !ok || !onLink(prefixes, ip) {
		return false
	}
	return !slices.ContainsFunc(a, func(c ma.Component) bool {
		switch c.Code() {
		case ma.P_CIRCUIT, ma.P_WS, ma.P_WSS, ma.P_WEBTRANSPORT, ma.P_WEBRTC, ma.P_WEBRTC_DIRECT, ma.P_P2P:
			return true
		}
		return false
	})
}

// tell makes of a node's addresses what it tells on a link.
func tell(prefixes []netip.Prefix, id peer.ID, addrs []ma.Multiaddr) (o *own) {
	o = new(own)
	var list []ma.Multiaddr
	for _, a := range addrs {
		if tellable(prefixes, a) {
			list = append(list, a)
		}
	}
	slices.SortStableFunc(list, func(a, b ma.Multiaddr) int { return cmp.Compare(rank(a), rank(b)) })
	size := 0
	for _, a := range list {
		text := "dnsaddr=" + peer.JoinAddr(a, id).String()
		if len(text) > maxText || size+len(text)+1 > maxTold {
			continue
		}
		size += len(text) + 1
		o.texts = append(o.texts, text)
		ip, _ := peer.IP(a)
		if b := ip.As16(); ip.Is4() && len(o.ip4) < maxIPs && !slices.Contains(o.ip4, ip.As4()) {
			o.ip4 = append(o.ip4, ip.As4())
		} else if ip.Is6() && len(o.ip6) < maxIPs && !slices.Contains(o.ip6, b) {
			o.ip6 = append(o.ip6, b)
		}
	}
	o.anyone = len(o.texts) > 0
	return o
}

// rank orders addresses by how many peers can use them: some readers keep only
// the first one.
func rank(a ma.Multiaddr) (r int) {
	if ip, _ := peer.IP(a); !ip.Is4() {
		r += 4
	}
	switch {
	case len(a) == 2 && a[1].Code() == ma.P_TCP:
	case len(a) == 3 && a[2].Code() == ma.P_QUIC_V1:
		r++
	default:
		r += 2
	}
	return r
}

// heard makes of the strings of a TXT record a peer and its addresses on a link.
// py-libp2p numbers the keys from the second address on. All addresses must
// be of one peer: those of others than the first are left out.
func heard(prefixes []netip.Prefix, texts []string) (p peer.AddrInfo) {
	for _, text := range texts {
		key, value, ok := strings.Cut(text, "=")
		if number, is := strings.CutPrefix(strings.ToLower(key), "dnsaddr"); !ok || !is || strings.Trim(number, "0123456789") != "" {
			continue
		}
		info, err := peer.ParseAddrInfo(value)
		if err != nil || len(info.Addrs) == 0 || !strings.HasPrefix(value, "/") {
			continue
		}
		a := info.Addrs[0]
		ip, ok := peer.IP(a)
		if !ok || !onLink(prefixes, ip) || slices.ContainsFunc(a, isRelay) {
			continue
		}
		if p.ID == "" {
			p.ID = info.ID
		}
		if info.ID == p.ID && len(p.Addrs) < maxAddrs && !slices.ContainsFunc(p.Addrs, a.Equal) {
			p.Addrs = append(p.Addrs, a)
		}
	}
	return p
}

func isRelay(c ma.Component) bool { return c.Code() == ma.P_CIRCUIT || c.Code() == ma.P_P2P }
