// SPDX-License-Identifier: Apache-2.0 OR MIT

package node

import (
	"cmp"
	"slices"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

// Discovered is a peer that modules of a node have found.
type Discovered struct {
	Peer string `json:"peer"`
	// Sources are the modules.
	Sources []string `json:"sources"`
	// Addrs are where they have found it, without /p2p.
	Addrs []string `json:"addrs"`
	// Connected tells whether the node is connected to it.
	Connected bool `json:"connected"`
}

// DiscoveredPeers lists the peers that the modules of a host have found.
func DiscoveredPeers(h *host.Host) []*Discovered {
	found := make(map[peer.ID]*Discovered)
	for _, m := range h.Modules() {
		finder, ok := m.(core.PeerDiscovery)
		if !ok {
			continue
		}
		for _, p := range finder.Discovered() {
			d := found[p.Peer.ID]
			if d == nil {
				d = &Discovered{Peer: p.Peer.ID.String(), Connected: len(h.ConnsTo(p.Peer.ID)) > 0}
				found[p.Peer.ID] = d
			}
			d.Sources = append(d.Sources, wire.Text(p.Source, maxName))
			d.Addrs = append(d.Addrs, texts(p.Peer.Addrs, "")...)
		}
	}
	list := make([]*Discovered, 0, len(found))
	for _, d := range found {
		slices.Sort(d.Sources)
		d.Sources = slices.Compact(d.Sources)
		slices.Sort(d.Addrs)
		d.Addrs = slices.Compact(d.Addrs)
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b *Discovered) int { return cmp.Compare(a.Peer, b.Peer) })
	return list
}
