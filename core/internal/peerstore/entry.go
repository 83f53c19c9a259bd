// SPDX-License-Identifier: Apache-2.0 OR MIT

package peerstore

import (
	"cmp"
	"slices"
	"strings"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// source is where an address is from; the greater one is to be trusted more.
type source uint8

const (
	told       source = iota // somebody said so, or it was dialled
	identified               // the peer said so
	certified                // the peer has signed it
)

// address is one address of a peer.
type address struct {
	bytes  string // the binary form, without /p2p
	end    moment
	source source
}

// worse orders addresses by what to give up first.
func worse(a, b address) int {
	return cmp.Or(
		cmp.Compare(rank(a), rank(b)),
		cmp.Compare(a.end, b.end),
	)
}

func rank(a address) int {
	switch {
	case a.end == permanent:
		return 2
	case a.source == certified:
		return 1
	}
	return 0
}

// nowhere is the place of an entry that is not in the heap.
const nowhere = -1

// entry is what is known of one peer.
type entry struct {
	id        peer.ID
	addrs     []address // at most Config.AddrsPerConnected, permanent ones aside
	facts     *facts
	connected bool

	// The accounts of an unconnected entry.
	place    int    // in the heap
	expiring int    // addresses that are not permanent
	soonest  moment // the end of the first of them
}

func newEntry(p peer.ID) *entry {
	return &entry{id: peer.ID(strings.Clone(string(p))), place: nowhere}
}

// end is when something ends that is to last for ttl.
func (e *entry) end(now moment, ttl time.Duration) moment {
	switch {
	case ttl == core.PermanentTTL:
		return permanent
	case ttl == core.ConnectedTTL && e.connected:
		return connected
	case ttl == core.ConnectedTTL:
		ttl = core.RecentTTL
	}
	return now + min(moment(ttl), connected-1-now)
}

// put adds an address or prolongs it. At the limit the worst one makes way,
// which may be the new one.
func (e *entry) put(a string, end moment, from source, limit int, now moment) {
	for i := range e.addrs {
		if known := &e.addrs[i]; known.bytes == a {
			if known.end <= now {
				*known = address{bytes: known.bytes, end: end, source: from}
				return
			}
			known.end = max(known.end, end)
			known.source = max(known.source, from)
			return
		}
	}
	fresh := address{bytes: a, end: end, source: from}
	if end == permanent || len(e.addrs) < limit {
		e.append(fresh)
		return
	}
	e.clean(now)
	if len(e.addrs) < limit {
		e.append(fresh)
		return
	}
	worst := 0
	for i := range e.addrs {
		if worse(e.addrs[i], e.addrs[worst]) < 0 {
			worst = i
		}
	}
	if e.addrs[worst].end != permanent && worse(e.addrs[worst], fresh) <= 0 {
		// Removed, not overwritten: the order of arrival decides ties.
		e.addrs = slices.Delete(e.addrs, worst, worst+1)
		e.append(fresh)
	}
}

func (e *entry) append(a address) {
	if len(e.addrs) == cap(e.addrs) { // grow by little: most peers have few
		e.addrs = slices.Grow(e.addrs, 1+len(e.addrs)/4)
	}
	e.addrs = append(e.addrs, a)
}

// shrink leaves at most limit addresses, and permanent ones.
func (e *entry) shrink(limit int, now moment) {
	e.clean(now)
	if len(e.addrs) <= limit {
		return
	}
	slices.SortStableFunc(e.addrs, func(a, b address) int { return worse(b, a) })
	keep := limit
	for keep < len(e.addrs) && e.addrs[keep].end == permanent {
		keep++
	}
	e.addrs = slices.Clone(e.addrs[:keep])
}

// clean removes expired addresses, and the memory they took.
func (e *entry) clean(now moment) {
	e.remove(func(a address) bool { return a.end <= now })
}

// remove removes the addresses that match.
func (e *entry) remove(match func(address) bool) {
	e.addrs = slices.DeleteFunc(e.addrs, match)
	if len(e.addrs) == 0 {
		e.addrs = nil
	} else if cap(e.addrs) > 8 && len(e.addrs) < cap(e.addrs)/2 {
		e.addrs = slices.Clone(e.addrs)
	}
}

// removeSoonest removes the address that expires first.
func (e *entry) removeSoonest() {
	for i := range e.addrs {
		if e.addrs[i].end == e.soonest {
			e.addrs = slices.Delete(e.addrs, i, i+1)
			return
		}
	}
}

// measure counts the addresses that expire and finds the first end.
func (e *entry) measure() {
	e.expiring, e.soonest = 0, permanent
	for _, a := range e.addrs {
		if a.end != permanent {
			e.expiring++
			e.soonest = min(e.soonest, a.end)
		}
	}
}

// reachable tells whether there is an address that has not expired.
func (e *entry) reachable(now moment) bool {
	return slices.ContainsFunc(e.addrs, func(a address) bool { return a.end > now })
}

// list decodes the addresses that have not expired, the best first.
func (e *entry) list(now moment) []ma.Multiaddr {
	alive := make([]address, 0, len(e.addrs))
	for _, a := range e.addrs {
		if a.end > now {
			alive = append(alive, a)
		}
	}
	slices.SortStableFunc(alive, func(a, b address) int {
		return cmp.Or(cmp.Compare(b.source, a.source), cmp.Compare(b.end, a.end))
	})
	addrs := make([]ma.Multiaddr, 0, len(alive))
	for _, a := range alive {
		if addr, err := ma.NewMultiaddrBytes([]byte(a.bytes)); err == nil {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}
