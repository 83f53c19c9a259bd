// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package node is what the commands and the admin API say about a node: the
// values they show, each as JSON with stable names, and how to get them from a
// [host.Host]. Durations are in nanoseconds, in fields whose names end in _ns;
// lists are sorted; text from peers is escaped.
package node

import (
	"slices"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

const (
	maxName = 256  // bytes of a name from a peer that are shown
	maxText = 1024 // bytes of an address or an error that are shown
)

// texts lists addresses as text, sorted. If id is not empty, each ends in /p2p/ID.
func texts(addrs []ma.Multiaddr, id peer.ID) []string {
	list := make([]string, 0, len(addrs))
	for _, a := range addrs {
		if id != "" {
			a = peer.JoinAddr(a, id)
		}
		list = append(list, text(a))
	}
	slices.Sort(list)
	return list
}

func text(a ma.Multiaddr) string { return wire.Text(a.String(), maxText) }

// names escapes and sorts names from a peer.
func names(list []string) []string {
	out := make([]string, 0, len(list))
	for _, n := range list {
		out = append(out, wire.Text(n, maxName))
	}
	slices.Sort(out)
	return out
}
