// SPDX-License-Identifier: Apache-2.0 OR MIT

package autotls

import (
	"net/netip"
	"strings"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/peer"
)

// names are those of a peer in the broker's domain.
type names struct {
	base         string // PEER.DOMAIN
	wildcard     string // *.PEER.DOMAIN, what the certificate is for
	allowPrivate bool
}

func newNames(id peer.ID, domain string, allowPrivate bool) names {
	base := id.CID() + "." + domain
	return names{base, "*." + base, allowPrivate}
}

// challenge is where the answer to a challenge appears in DNS.
func (n *names) challenge() string { return "_acme-challenge." + n.base + "." }

// of lists the names that lead to an address.
func (n *names) of(ip netip.Addr) []string {
	if ip = ip.Unmap().WithZone(""); !ip.IsValid() || !n.allowPrivate && !isPublic(ip) {
		return nil
	}
	return []string{label(ip) + "." + n.base}
}

// label writes an IP address as the broker's DNS server reads it. It must not
// begin or end with a dash.
func label(ip netip.Addr) string {
	s := strings.NewReplacer(".", "-", ":", "-").Replace(ip.String())
	if strings.HasPrefix(s, "-") {
		s = "0" + s
	}
	if strings.HasSuffix(s, "-") {
		s += "0"
	}
	return s
}

// nat64 holds IPv6 addresses that stand for IPv4 hosts in networks without IPv4.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

func isPublic(ip netip.Addr) bool {
	code := ma.P_IP6
	if ip.Is4() {
		code = ma.P_IP4
	}
	c, err := ma.NewComponent(ma.ProtocolWithCode(code).Name, ip.String())
	return err == nil && peer.IsPublic(ma.Multiaddr{*c}) && !nat64.Contains(ip)
}

// dialable lists the addresses at which the broker can try to reach the node.
// Relayed ones and those that need a certificate are none.
func (n *names) dialable(addrs []ma.Multiaddr) (list []string) {
	for _, a := range addrs {
		ip, ok := peer.IP(a)
		if !ok || ip.IsUnspecified() || !n.allowPrivate && !isPublic(ip) || needsHelp(a) {
			continue
		}
		list = append(list, a.String())
	}
	return list
}

func needsHelp(a ma.Multiaddr) bool {
	for _, c := range a {
		switch c.Code() {
		case ma.P_CIRCUIT, ma.P_TLS, ma.P_WSS:
			return true
		}
	}
	return false
}

// isDomain tells whether names under a domain can stand in a certificate. The
// label of a peer and that of an address come in front.
func isDomain(s string) bool {
	if len(s) > 100 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}
