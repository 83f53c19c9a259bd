// SPDX-License-Identifier: Apache-2.0 OR MIT

package connmgr

import (
	"cmp"
	"math/bits"
	"net/netip"
	"slices"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/subnet"
	"github.com/xnode-p2p/xnode/core/peer"
)

// Candidate is a connection that may have to go.
type Candidate struct {
	Peer      peer.ID
	Opened    time.Time
	Direction core.Direction
	Remote    ma.Multiaddr
	// Streams is how many streams are open on it.
	Streams int
}

// worth is what the order of closing looks at, most important first.
type worth struct {
	index int
	// tags is the peer's sum of tags: less goes first.
	tags int64
	// outbound connections stay longer: this node chose them.
	outbound int
	// used is 1 if there are streams.
	used int
	// age is the number of bits of the age in seconds, so that connections
	// of about one age are equal: the younger go first.
	age int
	// crowd is how many older connections there are from the same subnet:
	// those with many go first.
	crowd  int
	opened time.Time
}

func (a *worth) compare(b *worth) int {
	return cmp.Or(
		cmp.Compare(a.tags, b.tags),
		cmp.Compare(a.outbound, b.outbound),
		cmp.Compare(a.used, b.used),
		cmp.Compare(a.age, b.age),
		cmp.Compare(b.crowd, a.crowd),
		b.opened.Compare(a.opened),
		cmp.Compare(b.index, a.index),
	)
}

// Trim returns which connections to close, by their indices and the first one
// first, so that target remain. Those of protected peers and those younger than
// grace are never among them, even if more than target remain.
//
// Connections of peers with the lowest sum of tags go first; among these the
// inbound ones before the outbound ones; then those without streams; then the
// youngest; and of those of about one age, those from the most crowded subnet.
// Nobody who only connects to this node can thus push out what it connected to
// itself, nor, from a few subnets, what has been there for longer.
func (m *Manager) Trim(now time.Time, cands []Candidate, target int, grace time.Duration) []int {
	excess := len(cands) - max(target, 0)
	if excess <= 0 {
		return nil
	}
	crowds := crowdsOf(cands)
	list := make([]*worth, 0, len(cands))
	m.mu.Lock()
	for i, c := range cands {
		age := now.Sub(c.Opened)
		if len(m.protected[c.Peer]) > 0 || age < grace {
			continue
		}
		list = append(list, &worth{
			index: i, tags: m.sum(c.Peer),
			outbound: one(c.Direction == core.Outbound), used: one(c.Streams > 0),
			age: bits.Len64(uint64(max(age, 0) / time.Second)), crowd: crowds[i], opened: c.Opened,
		})
	}
	m.mu.Unlock()
	slices.SortFunc(list, (*worth).compare)
	list = list[:min(len(list), excess)]
	closing := make([]int, len(list))
	for i, w := range list {
		closing[i] = w.index
	}
	return closing
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}

// crowdsOf tells for each connection how many older ones come from its subnet.
// Connections without an IP address of their own, and those from this machine,
// are in no crowd.
func crowdsOf(cands []Candidate) []int {
	order := make([]int, len(cands))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cands[a].Opened.Compare(cands[b].Opened) })
	crowds := make([]int, len(cands))
	seen := make(map[netip.Prefix]int)
	for _, i := range order {
		ip, ok := peer.IP(cands[i].Remote)
		if !ok || ip.IsLoopback() || relayed(cands[i].Remote) {
			continue
		}
		p := subnet.Narrow(ip)
		crowds[i] = seen[p]
		seen[p]++
	}
	return crowds
}

func relayed(a ma.Multiaddr) bool {
	return slices.ContainsFunc(a, func(c ma.Component) bool { return c.Code() == ma.P_CIRCUIT })
}
