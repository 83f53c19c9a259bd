// SPDX-License-Identifier: Apache-2.0 OR MIT

package pool

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	// maxAddrs bounds the addresses of a found peer.
	maxAddrs = 64
	// maxDials bounds the dials that are under way.
	maxDials = 8
	// firstWait is how long a peer is left alone after a dial to it has failed
	// or its last connection has gone; with every further failure it doubles,
	// up to longestWait. All waits vary by a quarter.
	firstWait   = 5 * time.Second
	longestWait = 10 * time.Minute
	// loneWait is the longest wait of a node that has no connection at all, for
	// the peers that its configuration names: it may just be back.
	loneWait = 6 * time.Second
	// courtesy is how long the peer with the greater ID of two that find each
	// other lets the other one dial.
	courtesy = 2 * time.Second
)

// Source is what a discoverer is to the pool.
type Source struct {
	// Name is the module's.
	Name string
	// Most bounds the peers that are remembered. When there are more, one that
	// could not be reached makes room, or else the new one is left out.
	Most int
	// Connect is how many peers are to be connected, as far as this source
	// knows so many: of those that it has found or, with All, of all that the
	// node is connected to.
	Connect int
	All     bool
	// Configured says that the addresses are those that the configuration
	// names: they are not put into the peerstore, but dialled wherever they lead.
	Configured bool
	// Mutual says that those who are found find this node too, so that one of
	// the two is enough to dial.
	Mutual bool
}

// ledger is who was found by whom, and when to dial them. It has no goroutine
// and no clock: whoever holds it says what happens, and when.
type ledger struct {
	self    peer.ID
	random  *rand.Rand
	entries map[peer.ID]*entry // bounded by the sum of the sources' Most
	dialing int
}

// entry is one found peer.
type entry struct {
	id       peer.ID
	finds    map[*Member]*find // not empty
	failures int               // since the last success
	due      time.Time         // when it may be dialled again
	loneDue  time.Time         // the same if the node has no connection, see loneWait
	dialing  bool
}

// find is what one source says of a peer.
type find struct {
	addrs []ma.Multiaddr
	ends  time.Time // zero: when the source says so
}

func newLedger(self peer.ID, seed uint64) *ledger {
	return &ledger{self: self, random: rand.New(rand.NewPCG(seed, 0)), entries: make(map[peer.ID]*entry)}
}

// found notes a peer that a source has found, for ttl; zero means until it is
// lost. It tells whether it or one of its addresses is new.
func (l *ledger) found(m *Member, p peer.AddrInfo, ttl time.Duration, now time.Time) (fresh bool) {
	if p.ID == l.self || p.ID.Validate() != nil {
		return false
	}
	l.expire(now)
	e := l.entries[p.ID]
	var known *find
	if e != nil {
		known = e.finds[m]
	}
	if known == nil {
		if !l.makeRoom(m) {
			return false
		}
		if e == nil {
			e = &entry{id: p.ID, finds: make(map[*Member]*find)}
			if m.source.Mutual && l.self > p.ID {
				e.due = now.Add(courtesy)
			}
			l.entries[p.ID] = e
		}
		known = new(find)
		e.finds[m] = known
		m.count++
		fresh = true
	}
	if ttl > 0 {
		known.ends = now.Add(ttl)
	}
	addrs := p.Addrs[:min(len(p.Addrs), maxAddrs)]
	if slices.ContainsFunc(addrs, func(a ma.Multiaddr) bool { return !slices.ContainsFunc(known.addrs, a.Equal) }) {
		fresh = true
		if e.failures > 0 && !e.dialing { // the peer may have come back elsewhere
			e.failures, e.due = 0, minTime(e.due, now.Add(l.vary(firstWait)))
		}
	}
	known.addrs = slices.Clone(addrs)
	return fresh
}

// makeRoom tells whether a source may have one more peer.
func (l *ledger) makeRoom(m *Member) bool {
	if m.count < m.source.Most {
		return true
	}
	var worst *entry
	for _, e := range l.entries {
		if e.finds[m] != nil && !e.dialing && e.failures > 0 && (worst == nil || e.failures > worst.failures) {
			worst = e
		}
	}
	if worst == nil {
		return false
	}
	l.remove(m, worst)
	return true
}

// lost notes that a source no longer finds a peer.
func (l *ledger) lost(m *Member, p peer.ID) {
	if e := l.entries[p]; e != nil && e.finds[m] != nil {
		l.remove(m, e)
	}
}

func (l *ledger) remove(m *Member, e *entry) {
	delete(e.finds, m)
	m.count--
	if len(e.finds) == 0 {
		delete(l.entries, e.id)
	}
}

// leave forgets what a source has found.
func (l *ledger) leave(m *Member) {
	for _, e := range l.entries {
		l.lost(m, e.id)
	}
}

// expire forgets what has not been found again in time.
func (l *ledger) expire(now time.Time) {
	for _, e := range l.entries {
		for m, f := range e.finds {
			if !f.ends.IsZero() && !now.Before(f.ends) {
				l.remove(m, e)
			}
		}
	}
}

// list is what a source has found.
func (l *ledger) list(m *Member, now time.Time) []core.PeerDiscovered {
	l.expire(now)
	var list []core.PeerDiscovered
	for _, e := range l.entries {
		if f := e.finds[m]; f != nil {
			list = append(list, core.PeerDiscovered{
				Peer: peer.AddrInfo{ID: e.id, Addrs: slices.Clone(f.addrs)}, Source: m.source.Name,
			})
		}
	}
	return list
}

// step returns the peers to dial now, given those that are connected, and when
// to ask again; zero means when something has happened.
func (l *ledger) step(members []*Member, connected map[peer.ID]bool, now time.Time) (dials []peer.AddrInfo, wake time.Time) {
	l.expire(now)
	later := func(t time.Time) {
		if wake.IsZero() || t.Before(wake) {
			wake = t
		}
	}
	for _, m := range members {
		have := 0
		if m.source.All {
			have = len(connected)
		}
		var candidates []*entry
		for _, e := range l.entries {
			mine := e.finds[m] != nil
			switch {
			case e.dialing && (mine || m.source.All), connected[e.id] && mine && !m.source.All:
				have++
			case mine && !connected[e.id]:
				candidates = append(candidates, e)
			}
		}
		slices.SortFunc(candidates, func(a, b *entry) int { return cmp.Compare(a.id, b.id) })
		l.random.Shuffle(len(candidates), func(i, j int) { candidates[i], candidates[j] = candidates[j], candidates[i] })
		slices.SortStableFunc(candidates, func(a, b *entry) int { return cmp.Compare(a.failures, b.failures) })
		for _, e := range candidates {
			due := e.due
			if len(connected) == 0 && m.source.Configured {
				due = minTime(due, e.loneDue)
			}
			switch {
			case have >= m.source.Connect || l.dialing >= maxDials: // what ends calls for the next step
			case now.Before(due):
				later(due)
			default:
				e.dialing = true
				l.dialing++
				have++
				dials = append(dials, peer.AddrInfo{ID: e.id, Addrs: e.given()})
			}
		}
	}
	return dials, wake
}

// given are the addresses of a peer that a configuration names.
func (e *entry) given() (addrs []ma.Multiaddr) {
	for m, f := range e.finds {
		if m.source.Configured {
			addrs = append(addrs, f.addrs...)
		}
	}
	return addrs
}

// dialed notes how a dial has ended, and tells whether it is the first of a
// row of failures.
func (l *ledger) dialed(p peer.ID, err error, now time.Time) (news bool) {
	l.dialing--
	e := l.entries[p]
	if e == nil || !e.dialing {
		return false // forgotten meanwhile
	}
	e.dialing = false
	if err == nil {
		e.failures = 0
		return false
	}
	e.failures++
	e.leaveAlone(now, l.wait(e.failures), l.vary(loneWait))
	return e.failures == 1
}

// disconnected notes that the last connection to a peer is gone.
func (l *ledger) disconnected(p peer.ID, now time.Time) {
	if e := l.entries[p]; e != nil && !e.dialing {
		e.leaveAlone(now, l.wait(1), l.vary(loneWait))
	}
}

// leaveAlone has the peer left alone for some time.
func (e *entry) leaveAlone(now time.Time, wait, lone time.Duration) {
	e.due, e.loneDue = now.Add(wait), now.Add(lone)
}

// wait is how long to wait after so many failures.
func (l *ledger) wait(failures int) time.Duration {
	w := firstWait
	for range failures - 1 {
		if w = 2 * w; w >= longestWait {
			return l.vary(longestWait)
		}
	}
	return l.vary(w)
}

// vary makes a wait a quarter longer or shorter at most.
func (l *ledger) vary(w time.Duration) time.Duration {
	return w - w/4 + time.Duration(l.random.Int64N(int64(w/2)))
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
