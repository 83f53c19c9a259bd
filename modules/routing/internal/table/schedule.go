// SPDX-License-Identifier: Apache-2.0 OR MIT

package table

import (
	"slices"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
)

// Self stands for the table's own key among the buckets of [Table.Due].
const Self = keyspace.Bits

// Probe returns who is to be asked now, the most overdue first and n of them at
// most: members that have not answered for long or failed, and spares that could
// become members. The caller asks each and reports that with Answered or
// Failed; until then, or for the time of a retry, they are not returned again.
func (t *Table) Probe(n int, now time.Time) []peer.ID {
	var due []*entry
	stale := now.Add(-t.Stale).Unix()
	for i := range t.buckets {
		b := &t.buckets[i]
		for i := range b.members {
			if e := &b.members[i]; (e.failures > 0 || e.answered <= stale) && t.retry(e, now) {
				due = append(due, e)
			}
		}
		if !b.open(t.K) {
			continue
		}
		for i := range b.spares {
			if e := &b.spares[i]; t.fits(b, e.group) && t.retry(e, now) {
				due = append(due, e)
			}
		}
	}
	slices.SortStableFunc(due, func(a, b *entry) int { return int(a.tried - b.tried) })
	due = due[:min(n, len(due))]
	peers := make([]peer.ID, len(due))
	for i, e := range due {
		e.tried = now.Unix()
		peers[i] = e.id
	}
	return peers
}

// retry tells whether it is long enough ago that a peer was asked.
func (t *Table) retry(e *entry, now time.Time) bool {
	return e.tried+int64(t.Retry<<min(e.failures, 16)/time.Second) <= now.Unix()
}

// Due returns the buckets that are to be refreshed, each by the number of
// leading bits that it shares with the own key: somebody should be looked up
// that lies there, such as a [keyspace.Preimage]. [Self] means that the own peer
// ID is to be looked up, which fills the nearest buckets. Nothing can be looked
// up by a table without members.
func (t *Table) Due(now time.Time) (buckets []int) {
	if t.members == 0 {
		return nil
	}
	last := now.Add(-t.Refresh).Unix()
	if t.refreshed[keyspace.MaxPreimage+1] <= last {
		buckets = append(buckets, Self)
	}
	for i := range min(t.depth(), keyspace.MaxPreimage+1) {
		if t.refreshed[i] <= last {
			buckets = append(buckets, i)
		}
	}
	return buckets
}

// depth is how many buckets there are down to the last that has members.
func (t *Table) depth() int {
	n := len(t.buckets)
	for n > 0 && len(t.buckets[n-1].members) == 0 {
		n--
	}
	return n
}

// Refreshed tells that there was a look-up of a target.
func (t *Table) Refreshed(target keyspace.Key, now time.Time) {
	switch i := keyspace.CommonPrefix(t.self, target); {
	case i <= keyspace.MaxPreimage:
		t.refreshed[i] = now.Unix()
	case i == keyspace.Bits:
		t.refreshed[keyspace.MaxPreimage+1] = now.Unix()
	}
}
