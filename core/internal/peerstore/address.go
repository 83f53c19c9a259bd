// SPDX-License-Identifier: Apache-2.0 OR MIT

package peerstore

import (
	"net/netip"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/peer"
)

// maxAddr bounds an address, in bytes.
const maxAddr = 1024

// compactAll turns addresses of p into the form in which they are kept,
// leaving out what is not an address of p.
func compactAll(p peer.ID, addrs []ma.Multiaddr) []string {
	list := make([]string, 0, len(addrs))
	for _, a := range addrs {
		if s, ok := compact(p, a); ok {
			list = append(list, s)
		}
	}
	return list
}

func compact(p peer.ID, addr ma.Multiaddr) (string, bool) {
	transport, id := peer.SplitAddr(addr)
	if len(transport) == 0 || id != "" && id != p {
		return "", false
	}
	b := Normalize(transport).Bytes()
	return string(b), len(b) <= maxAddr
}

// Normalize returns an address with an IPv4 host in its IPv6 form
// (/ip6/::ffff:192.0.2.1) written as what it is (/ip4/192.0.2.1), so that
// nothing gets past a rule in disguise. Any other address comes back unchanged.
func Normalize(addr ma.Multiaddr) ma.Multiaddr {
	if len(addr) == 0 || addr[0].Code() != ma.P_IP6 {
		return addr
	}
	ip, ok := netip.AddrFromSlice(addr[0].RawValue())
	if !ok || !ip.Is4In6() {
		return addr
	}
	host, err := ma.NewComponent("ip4", ip.Unmap().String())
	if err != nil {
		return addr
	}
	return append(ma.Multiaddr{*host}, addr[1:]...)
}
