// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/kadwire"
)

// scope is the sort of network that a DHT is for.
type scope int

const (
	scopeInternet scope = iota // the peers have public addresses
	scopeLan                   // the peers are on the local network
	scopePrivate               // the peers are those of a private network, wherever they are
)

// accepts tells whether an address may be used, and told to others, that the
// peer with the address from told of. What is near to that peer is not near to
// this node: an address of the own machine, or of the own link, is taken from
// nobody farther away. From is nil for what this node knows by itself.
func (s scope) accepts(addr, from ma.Multiaddr) bool {
	switch {
	case peer.IsLoopback(addr):
		return s != scopeInternet && (from == nil || peer.IsLoopback(from))
	case isLinkLocal(addr):
		return s != scopeInternet && (from == nil || peer.IsLoopback(from) || isLinkLocal(from))
	case s == scopeInternet:
		return peer.IsPublic(addr)
	case s == scopeLan:
		return peer.IsPrivate(addr) || peer.IsPublic(addr)
	}
	return true
}

// admits tells whether a peer with these addresses, at least one of which is
// that of a connection to it, belongs to the network.
func (s scope) admits(addrs []ma.Multiaddr) bool {
	for _, a := range addrs {
		switch {
		case isRelayed(a):
		case s == scopeInternet && peer.IsPublic(a),
			s == scopeLan && (peer.IsPrivate(a) || peer.IsLoopback(a)),
			s == scopePrivate:
			return true
		}
	}
	return false
}

// filter leaves those of the addresses of a peer in a message that may be used.
func (s scope) filter(p kadwire.Peer, from ma.Multiaddr) (addrs []ma.Multiaddr) {
	for a := range p.Addrs() {
		if s.accepts(a, from) {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// own leaves those of this node's addresses that are told to others.
func (s scope) own(addrs []ma.Multiaddr) (told []ma.Multiaddr) {
	for _, a := range addrs {
		if s.accepts(a, nil) {
			told = append(told, a)
		}
	}
	return told
}

func isLinkLocal(addr ma.Multiaddr) bool {
	ip, ok := peer.IP(addr)
	return ok && ip.IsLinkLocalUnicast()
}

func isRelayed(addr ma.Multiaddr) bool {
	for i := range addr {
		if addr[i].Code() == ma.P_CIRCUIT {
			return true
		}
	}
	return false
}
