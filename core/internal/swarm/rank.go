// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"cmp"
	"slices"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	// publicStagger and privateStagger are the waits between two addresses of
	// one group: RFC 8305's, and a short one inside a private network.
	publicStagger  = 250 * time.Millisecond
	privateStagger = 30 * time.Millisecond
	// relayDelay is how much later than direct addresses relayed ones begin.
	relayDelay = 500 * time.Millisecond
)

// ranked is an address and how long after the dial's start it may begin.
type ranked struct {
	addr  ma.Multiaddr
	delay time.Duration
}

// rank orders addresses: private before public ones, both at once; within each
// QUIC before TCP, IPv6 before IPv4; relays after all of them. Addresses of
// one group follow each other with a stagger.
func rank(addrs []ma.Multiaddr) []ranked {
	var private, public, relayed []ma.Multiaddr
	for _, a := range addrs {
		switch {
		case has(a, ma.P_CIRCUIT):
			relayed = append(relayed, a)
		case peer.IsPublic(a):
			public = append(public, a)
		default:
			private = append(private, a)
		}
	}
	list := stagger(private, 0, privateStagger)
	list = append(list, stagger(public, 0, publicStagger)...)
	begin := relayDelay
	if len(list) == 0 {
		begin = 0
	}
	list = append(list, stagger(relayed, begin, publicStagger)...)
	slices.SortStableFunc(list, func(a, b ranked) int { return cmp.Compare(a.delay, b.delay) })
	return list
}

func stagger(addrs []ma.Multiaddr, begin, step time.Duration) []ranked {
	slices.SortStableFunc(addrs, func(a, b ma.Multiaddr) int { return preference(a) - preference(b) })
	list := make([]ranked, len(addrs))
	for i, a := range addrs {
		list[i] = ranked{a, begin + time.Duration(i)*step}
	}
	return list
}

// preference is lower for the address that is tried earlier.
func preference(a ma.Multiaddr) int {
	p := 0
	if !has(a, ma.P_QUIC_V1) {
		p += 2
	}
	if !has(a, ma.P_IP6) {
		p++
	}
	return p
}

func has(a ma.Multiaddr, protocol int) bool {
	for _, c := range a {
		if c.Protocol().Code == protocol {
			return true
		}
	}
	return false
}
