// SPDX-License-Identifier: Apache-2.0 OR MIT

package table

import (
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
)

// MaxNearest is how many members [Table.Nearest] returns at most.
const MaxNearest = 128

// Nearest appends to dst the n members closest to a target, the closest first,
// [MaxNearest] at most. Those that failed the last time come after all others.
// Nothing is allocated if dst has the room.
func (t *Table) Nearest(dst []peer.ID, target keyspace.Key, n int) []peer.ID {
	near := nearest{target: target, n: max(0, min(n, t.members, MaxNearest))}
	t.collect(&near, func(e *entry) bool { return e.failures == 0 })
	if near.len < near.n {
		near.done = near.len
		t.collect(&near, func(e *entry) bool { return e.failures > 0 })
	}
	for _, e := range near.list[:near.len] {
		dst = append(dst, e.id)
	}
	return dst
}

// collect offers members to near in an order of buckets in which each group is
// closer to the target than the next: the bucket that shares most with the
// target; those beyond it, which all share as much with the target as self
// does; and then, one by one, those that share less.
func (t *Table) collect(near *nearest, which func(*entry) bool) {
	at := keyspace.CommonPrefix(t.self, near.target)
	if at < len(t.buckets) {
		near.offer(&t.buckets[at], which)
	}
	if !near.full() {
		for i := at + 1; i < len(t.buckets); i++ {
			near.offer(&t.buckets[i], which)
		}
	}
	for i := min(at, len(t.buckets)) - 1; i >= 0 && !near.full(); i-- {
		near.offer(&t.buckets[i], which)
	}
}

// nearest is a list of the closest so far.
type nearest struct {
	target keyspace.Key
	list   [MaxNearest]*entry // not a slice: it stays on the stack
	len, n int                // how many there are, and are wanted
	done   int                // from here on they are sorted, the closest first
}

func (near *nearest) full() bool { return near.len >= near.n }

func (near *nearest) offer(b *bucket, which func(*entry) bool) {
	for i := range b.members {
		if e := &b.members[i]; which(e) {
			near.insert(e)
		}
	}
}

func (near *nearest) insert(e *entry) {
	if !near.full() {
		near.len++
	} else if near.n == near.done || !keyspace.Closer(near.target, e.key, near.list[near.n-1].key) {
		return
	}
	i := near.len - 1
	for ; i > near.done && keyspace.Closer(near.target, e.key, near.list[i-1].key); i-- {
		near.list[i] = near.list[i-1]
	}
	near.list[i] = e
}
