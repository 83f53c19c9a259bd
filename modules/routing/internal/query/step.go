// SPDX-License-Identifier: Apache-2.0 OR MIT

package query

import (
	"math/bits"
	"time"

	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
)

// start hears of the seeds and deals them out to the paths, by their distance.
func (q *Query) start(seeds []Peer, now time.Time) {
	if q.paths > 0 {
		return
	}
	q.began = now
	for _, p := range seeds {
		q.hear(p, none, 0, 0)
	}
	q.paths = max(1, min(q.Paths, len(q.nodes)))
	for i, slot := range q.order {
		q.nodes[slot].paths = 1 << (i % q.paths)
	}
}

// answer takes what a peer said.
func (q *Query) answer(e Answer, now time.Time) {
	at, ok := q.find(keyspace.OfPeer(e.From.ID))
	if !ok {
		return
	}
	slot := q.order[at]
	n := &q.nodes[slot]
	if n.state != asked && n.state != slow || now.Sub(n.since) >= q.PeerTimeout {
		return
	}
	if n.state == slow {
		q.judge(n, +1) // it has not failed, after all
	}
	n.state, n.group = answered, e.From.Group
	q.answered++
	q.judge(n, +1)
	hops, paths := n.hops+1, uint8(1)<<n.path
	for _, p := range e.Closer[:min(len(e.Closer), q.PerAnswer)] {
		q.hear(p, slot, hops, paths)
	}
}

func (q *Query) fail(slot int32) {
	n := &q.nodes[slot]
	if n.state != asked && n.state != slow {
		return
	}
	if n.state == asked {
		q.judge(n, -1)
	}
	n.state = failed
	q.failed++
}

// judge counts what came of a peer for or against who told of it.
func (q *Query) judge(n *node, by int32) {
	if n.by != none {
		q.nodes[n.by].balance += by
	}
}

// age gives up on peers that have been asked for too long.
func (q *Query) age(now time.Time) {
	for i := range q.nodes {
		n := &q.nodes[i]
		if n.state != asked && n.state != slow {
			continue
		}
		switch open := now.Sub(n.since); {
		case open >= q.PeerTimeout:
			q.fail(int32(i))
		case open >= q.Slow && n.state == asked:
			n.state = slow
			q.judge(n, -1)
		}
	}
}

// proceed asks whoever is to be asked next, or ends the query.
func (q *Query) proceed(now time.Time) {
	if now.Sub(q.began) >= q.Timeout {
		q.end(TimedOut, now)
		return
	}
	if !q.last {
		q.last = true
		for path := range q.paths {
			if !q.walkOn(path, now) {
				q.last = false
			}
		}
	}
	if q.last {
		q.finish(now)
	}
}

// walkOn asks the next peers on a path, and returns whether the walk has ended
// there: the closest have answered, or there is nobody to be asked.
func (q *Query) walkOn(path int, now time.Time) (ended bool) {
	free := max(1, (q.Alpha+q.paths-1-path)/q.paths) // a share of Alpha
	for i := range q.nodes {
		if n := &q.nodes[i]; n.state == asked && int(n.path) == path {
			free--
		}
	}
	w := q.walk(func(n *node) bool { return n.paths&(1<<path) != 0 && q.counts(n) })
	ended = true
	for seen := 0; ; seen++ {
		n := w.next()
		if n == nil || seen >= q.Beta && (ended || free <= 0) {
			return ended
		}
		if n.state == heard && free > 0 && q.asked < q.Asks {
			q.question(n, path, now)
			free--
		}
		if seen < q.Beta && (n.state == asked || n.state == heard && q.asked < q.Asks) {
			ended = false
		}
	}
}

// finish asks all of the closest, and ends the query when they have answered.
func (q *Query) finish(now time.Time) {
	free, late := q.K, 0
	for i := range q.nodes {
		switch q.nodes[i].state {
		case asked:
			free--
		case slow:
			late++
		}
	}
	w := q.walk(q.counts)
	open, seen, cut := false, 0, false
	for ; seen < q.K; seen++ {
		n := w.next()
		if n == nil {
			break
		}
		if n.state == heard {
			switch {
			case q.asked == q.Asks:
				cut = true
			case free > 0:
				q.question(n, bits.TrailingZeros8(n.paths), now)
				free--
			default:
				open = true // it waits for a free question
			}
		}
		open = open || n.state == asked
	}
	switch {
	case open:
	case late > 0 && q.answered < q.Beta && !cut: // there are only slow ones
	case cut:
		q.end(Exhausted, now)
	case seen < q.K:
		q.end(Starved, now)
	default:
		q.end(Converged, now)
	}
}

func (q *Query) question(n *node, path int, now time.Time) {
	n.state, n.path, n.since = asked, uint8(path), now
	q.asked++
	q.ask = append(q.ask, n.id)
}
