// SPDX-License-Identifier: Apache-2.0 OR MIT

package query

import (
	"slices"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/ipgroup"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
)

// node is a peer that the query has heard of.
type node struct {
	id    peer.ID
	key   keyspace.Key
	group ipgroup.Group
	since time.Time // when it was asked
	by    int32     // who told of it; none for a seed
	hops  uint8     // from a seed
	paths uint8     // a bit for each path that heard of it
	path  uint8     // that on which it was asked
	state state
	// balance is how many of those it told of answered, less those that failed
	// or are slow.
	balance int32
}

type state uint8

const (
	heard state = iota
	asked
	slow // asked, and not waited for
	answered
	failed
)

const none = -1

// find returns where in the order a key is, or would be.
func (q *Query) find(key keyspace.Key) (at int, ok bool) {
	return slices.BinarySearchFunc(q.order, key, func(i int32, key keyspace.Key) int {
		return keyspace.Compare(q.target, q.nodes[i].key, key)
	})
}

// hear adds a peer that somebody, or nobody, told of.
func (q *Query) hear(p Peer, by int32, hops, paths uint8) {
	if p.ID == q.Self || int(hops) > q.Hops {
		return
	}
	key := keyspace.OfPeer(p.ID)
	at, ok := q.find(key)
	if ok {
		q.hearAgain(&q.nodes[q.order[at]], p, by, paths)
		return
	}
	if q.Accept != nil && !q.Accept(p.ID) {
		return
	}
	n := node{id: p.ID, key: key, group: p.Group, by: by, hops: hops, paths: paths}
	if len(q.nodes) < q.Heard {
		q.nodes = append(q.nodes, n)
		q.order = slices.Insert(q.order, at, int32(len(q.nodes)-1))
		return
	}
	// The farthest of those that nothing came of makes room, if it is farther.
	for i := len(q.order) - 1; i >= at; i-- {
		slot := q.order[i]
		if q.nodes[slot].state != heard {
			continue
		}
		copy(q.order[at+1:i+1], q.order[at:i])
		q.order[at], q.nodes[slot] = slot, n
		return
	}
}

// hearAgain adds what somebody else tells of a peer. Where the first word has
// no weight, that of the second counts.
func (q *Query) hearAgain(n *node, p Peer, by int32, paths uint8) {
	n.paths |= paths
	if n.state != heard {
		return
	}
	if q.discredited(n) {
		n.by = by
	}
	if n.group != p.Group && q.crowded(n) {
		n.group = p.Group
	}
}

// discredited tells whether who told of a peer is not to be believed any more.
func (q *Query) discredited(n *node) bool {
	return n.by != none && q.nodes[n.by].balance <= -int32(q.Strikes)
}

// crowded tells whether a peer does not count since closer ones share its
// group.
func (q *Query) crowded(n *node) bool {
	if n.group == 0 || q.PerGroup < 0 {
		return false
	}
	closer := 0
	for _, i := range q.order {
		switch m := &q.nodes[i]; {
		case m == n:
			return closer >= q.PerGroup
		case m.group == n.group && q.counts(m):
			closer++
		}
	}
	return false
}

// counts tells whether a peer is one of those that the query turns on.
func (q *Query) counts(n *node) bool {
	switch n.state {
	case heard:
		return !q.discredited(n)
	case asked, answered:
		return true
	}
	return false
}

// walk is a way through the nodes of one kind, the closest first, which leaves
// out those whose groups had their share.
type walk struct {
	q      *Query
	which  func(*node) bool
	at     int
	groups []ipgroup.Group // those that were passed, as often as they were
}

func (q *Query) walk(which func(*node) bool) walk { return walk{q: q, which: which} }

// next returns the next node, or nil after the last.
func (w *walk) next() *node {
	for w.at < len(w.q.order) {
		n := &w.q.nodes[w.q.order[w.at]]
		w.at++
		if !w.which(n) {
			continue
		}
		if n.group != 0 && w.q.PerGroup >= 0 {
			if w.passed(n.group) >= w.q.PerGroup {
				continue
			}
			w.groups = append(w.groups, n.group)
		}
		return n
	}
	return nil
}

func (w *walk) passed(g ipgroup.Group) (times int) {
	for _, h := range w.groups {
		if h == g {
			times++
		}
	}
	return times
}
