// SPDX-License-Identifier: Apache-2.0 OR MIT

package table

import (
	"slices"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/ipgroup"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
)

// bucket holds the peers at one distance: those that share a number of leading
// bits with the table's own key, and not the next.
type bucket struct {
	members entries // <= Config.K, all of whom have answered once
	spares  entries // <= Config.Spares, the oldest first
}

// entry is a peer. Times are in Unix seconds; zero means never.
type entry struct {
	id       peer.ID
	key      keyspace.Key
	group    ipgroup.Group
	answered int64 // the last answer
	tried    int64 // the last time that it was asked, as far as is known here
	failures uint8 // since the last answer
}

// open tells whether a peer that answers becomes a member, as far as room goes.
func (b *bucket) open(k int) bool {
	return len(b.members) < k || b.members[b.members.worst()].failures > 0
}

// keep makes a peer a spare. If there is no room it takes that of a spare which
// is worth less: first those that failed, then those that have not answered
// since fresh, the oldest of them first.
func (b *bucket) keep(e entry, limit int, fresh int64) {
	if len(b.spares) >= limit {
		worst := -1
		for i := range b.spares {
			if worst < 0 || b.spares[i].worth(fresh) < b.spares[worst].worth(fresh) {
				worst = i
			}
		}
		if worst < 0 || b.spares[worst].worth(fresh) > e.worth(fresh) {
			return
		}
		b.spares.remove(worst)
	}
	b.spares.append(e, limit)
}

// worth is how good a spare is.
func (e *entry) worth(fresh int64) int {
	switch {
	case e.failures > 0:
		return -int(e.failures)
	case e.answered > fresh:
		return 1
	}
	return 0
}

// entries are few and in no order that lasts: they are searched through.
type entries []entry

func (l entries) find(key keyspace.Key) int {
	for i := range l {
		if l[i].key == key {
			return i
		}
	}
	return -1
}

func (l entries) count(g ipgroup.Group) (n int) {
	for i := range l {
		if l[i].group == g {
			n++
		}
	}
	return n
}

// worst returns the entry with the most failures and, among those, the oldest
// answer.
func (l entries) worst() int {
	worst := 0
	for i := range l {
		a, b := &l[i], &l[worst]
		if a.failures > b.failures || a.failures == b.failures && a.answered < b.answered {
			worst = i
		}
	}
	return worst
}

// append adds an entry. It keeps no more room than for limit entries, which
// matters with thousands of tables in one process.
func (l *entries) append(e entry, limit int) {
	if len(*l) == cap(*l) {
		room := max(4, min(2*cap(*l), limit))
		*l = append(make(entries, 0, max(room, len(*l)+1)), *l...)
	}
	*l = append(*l, e)
}

// remove takes the entry at i away, and nothing if i is negative.
func (l *entries) remove(i int) {
	if i >= 0 {
		*l = slices.Delete(*l, i, i+1)
	}
}
