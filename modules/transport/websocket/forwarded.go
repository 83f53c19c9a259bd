// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// forwarded is the header of RFC 7239. Others are lists of addresses alone.
const forwarded = "Forwarded"

// parsePrefixes reads IP addresses and networks.
func parsePrefixes(list []string) ([]netip.Prefix, error) {
	prefixes := make([]netip.Prefix, 0, len(list))
	for i, text := range list {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			ip, err := netip.ParseAddr(text)
			if err != nil || ip.Zone() != "" {
				return nil, fmt.Errorf("%d: %q is no IP address or network, such as 10.0.0.0/8", i, text)
			}
			p = netip.PrefixFrom(ip, ip.BitLen())
		}
		prefixes = append(prefixes, p.Masked())
	}
	return prefixes, nil
}

// trusts tells whether a proxy with this address is believed.
func (t *Transport) trusts(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	return slices.ContainsFunc(t.trusted, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// client is the address of the client whose request came from an address. If that
// is a trusted proxy, its header tells whom it had the request from; if that is
// one too, the entry before that, and so on. So it is the last one that somebody
// trusted has written; what a client wrote itself is never reached. The port is 0
// where the header does not tell it.
func (t *Transport) client(from netip.AddrPort, h http.Header) netip.AddrPort {
	if !t.trusts(from.Addr()) {
		return from
	}
	entries := hops(h, t.header)
	for _, entry := range slices.Backward(entries) {
		hop, ok := parseHop(entry, t.header == forwarded)
		if !ok {
			break // unknown or hidden: the proxy that wrote it is as far as one can see
		}
		from = hop
		if !t.trusts(hop.Addr()) {
			break
		}
	}
	return from
}

// hops splits a header into its entries. The lines of one header are one list.
func hops(h http.Header, name string) []string {
	var list []string
	for _, line := range h.Values(name) {
		list = append(list, strings.Split(line, ",")...)
	}
	return list
}

// parseHop reads an entry of a list of addresses, or of Forwarded: there it is
// what stands behind for=.
func parseHop(entry string, named bool) (netip.AddrPort, bool) {
	if named {
		found := ""
		for pair := range strings.SplitSeq(entry, ";") {
			if name, value, ok := strings.Cut(pair, "="); ok && strings.EqualFold(strings.TrimSpace(name), "for") {
				found = value
			}
		}
		entry = strings.Trim(strings.TrimSpace(found), `"`)
	}
	entry = strings.TrimSpace(entry)
	at, err := netip.ParseAddrPort(entry)
	if err != nil {
		bare, ok := strings.CutPrefix(entry, "[")
		if ok {
			bare = strings.TrimSuffix(bare, "]")
		}
		ip, err := netip.ParseAddr(bare)
		if err != nil {
			return netip.AddrPort{}, false
		}
		at = netip.AddrPortFrom(ip, 0)
	}
	return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port()), true
}
