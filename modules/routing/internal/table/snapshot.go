// SPDX-License-Identifier: Apache-2.0 OR MIT

package table

import (
	"iter"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/ipgroup"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
)

// Member is a member as it is told to others: to who shows the table, and to
// the disk.
type Member struct {
	ID       peer.ID
	Bucket   int           // how many leading bits it shares with the own key
	Group    ipgroup.Group // of the address of its last answer
	Answered time.Time     // when that was, to the second
	Failures int           // since then
}

// Members yields the members, those that are far first. The table must not
// change meanwhile.
func (t *Table) Members() iter.Seq[Member] {
	return func(yield func(Member) bool) {
		for i := range t.buckets {
			for _, e := range t.buckets[i].members {
				m := Member{e.id, i, e.group, time.Unix(e.answered, 0), int(e.failures)}
				if !yield(m) {
					return
				}
			}
		}
	}
}

// Restore makes a peer a member that was one before, such as in an earlier run
// of the node. It has to answer anew before long: it is to be probed as soon as
// its last answer is stale. It returns whether there was a place.
func (t *Table) Restore(m Member) bool {
	e := entry{id: m.ID, key: keyspace.OfPeer(m.ID), group: m.Group, answered: m.Answered.Unix()}
	if e.key == t.self || e.answered <= 0 {
		return false
	}
	b := t.grow(e.key)
	if b.members.find(e.key) >= 0 || len(b.members) == t.K || !t.fits(b, e.group) {
		return false
	}
	b.spares.remove(b.spares.find(e.key))
	t.add(b, e)
	return true
}
