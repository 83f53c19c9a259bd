// SPDX-License-Identifier: Apache-2.0 OR MIT

package autonat

import (
	"slices"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
)

// rate bounds how much is done in a time: in all, and for each peer. It keeps a
// note of each thing that was done within that time, so it is as large as what
// it lets happen.
type rate struct {
	span     time.Duration
	all, one int // 0 for no bound on one peer
	notes    []note
}

// note is one thing that was done.
type note struct {
	at   time.Time
	peer peer.ID
}

// take notes that something is done for a peer, if it may be.
func (r *rate) take(p peer.ID, now time.Time) bool {
	old := now.Add(-r.span)
	r.notes = slices.DeleteFunc(r.notes, func(n note) bool { return !n.at.After(old) })
	own := 0
	for _, n := range r.notes {
		if n.peer == p {
			own++
		}
	}
	if len(r.notes) >= r.all || r.one > 0 && own >= r.one {
		return false
	}
	r.notes = append(r.notes, note{now, p})
	return true
}
