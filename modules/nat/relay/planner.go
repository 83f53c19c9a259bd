// SPDX-License-Identifier: Apache-2.0 OR MIT

package relay

import (
	"cmp"
	"slices"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	// maxCandidates bounds the relays that are known, of those nobody named.
	maxCandidates = 64
	// A relay that failed is left alone for a while, which doubles from the
	// first to the last of these.
	firstBackoff, lastBackoff = 10 * time.Second, 30 * time.Minute
	// So does, whichever of them fail, the time between those nobody named.
	firstPause, lastPause = time.Second, time.Minute
	// So does the time between two searches for relays.
	firstSearch, lastSearch = 30 * time.Second, 10 * time.Minute
)

// settings say where the node is to have places.
type settings struct {
	named  []peer.AddrInfo // always
	any    bool            // and at others, if it needs any
	static []peer.AddrInfo // at these, if there are any
	count  int             // so many
}

// The events of a planner.
type (
	// configured: the settings are now these.
	configured struct{ settings }
	// reachability: the node knows whether it is reachable.
	reachability struct{ core.Reachability }
	// found: a peer may be a relay.
	found struct{ peer peer.ID }
	// candidate: a peer is a relay.
	candidate struct{ peer peer.ID }
	// reserved: a relay has given a place.
	reserved struct {
		peer    peer.ID
		expires time.Time
	}
	// failed: a relay has not given a place.
	failed struct{ peer peer.ID }
	// lost: there is no connection to a peer any more.
	lost struct{ peer peer.ID }
	// searched: a search has ended.
	searched struct{}
)

// The actions of a planner.
type (
	// ask: reserve a place; reserved or failed follows.
	ask struct{ peer.AddrInfo }
	// drop: the place is none any more, or is not wanted.
	drop struct{ peer peer.ID }
	// search: find peers that are relays; searched follows. These may be some.
	search struct{ peers []peer.ID }
)

// planner decides at which relays the node has places. It is a plain value: see
// [planner.step].
type planner struct {
	settings
	reach core.Reachability

	relays    map[peer.ID]*relayState // bounded by maxCandidates and those that are named
	peers     []peer.ID               // found, not yet asked what they are; bounded by maxCandidates
	searching bool
	searchAt  time.Time // not before
	searches  int       // in a row that brought too little
	pauseEnds time.Time // none of those nobody named is asked before
	refusals  int       // of those, in a row
}

// relayState is what the planner knows of one relay.
type relayState struct {
	info     peer.AddrInfo
	named    bool // listened on
	static   bool
	asking   bool
	held     bool
	expires  time.Time // of the place, if it is held
	refresh  time.Time
	failures int
	retry    time.Time // not before
	since    int       // the order in which relays became known
}

func newPlanner() *planner { return &planner{relays: make(map[peer.ID]*relayState)} }

// step takes an event, or nil, and returns what is to be done now. next is when
// it wants to be called again at the latest; zero if it does not.
func (p *planner) step(event any, now time.Time) (actions []any, next time.Time) {
	actions = p.note(event, now)
	pool := p.pool()
	actions = append(actions, p.release(pool, now)...)
	wanted := p.wanted(pool, now)
	for _, r := range wanted {
		if !r.asking && p.due(r, now) {
			r.asking = true
			actions = append(actions, ask{r.info})
		}
	}
	if s, ok := p.search(pool, wanted, now); ok {
		actions = append(actions, s)
	}
	return actions, p.next(pool, wanted)
}

// note takes an event.
func (p *planner) note(event any, now time.Time) (actions []any) {
	switch e := event.(type) {
	case configured:
		p.configure(e.settings)
	case reachability:
		p.reach = e.Reachability
	case found:
		if p.relays[e.peer] == nil && len(p.peers) < maxCandidates && !slices.Contains(p.peers, e.peer) {
			p.peers = append(p.peers, e.peer)
		}
	case candidate:
		if p.relays[e.peer] == nil && p.room() {
			p.add(peer.AddrInfo{ID: e.peer})
		}
	case reserved:
		r := p.relays[e.peer]
		if r == nil {
			return []any{drop{e.peer}} // nobody wants it any more
		}
		r.asking, r.held, r.failures = false, true, 0
		if !r.named && !r.static {
			p.refusals = 0
		}
		r.expires = e.expires
		r.refresh = now.Add(e.expires.Sub(now) / 2)
	case failed:
		if r := p.relays[e.peer]; r != nil {
			r.asking = false
			r.retry = now.Add(backoff(firstBackoff, lastBackoff, r.failures))
			r.failures++
			if !r.named && !r.static {
				p.pauseEnds = now.Add(backoff(firstPause, lastPause, p.refusals))
				p.refusals++
			}
		}
	case lost:
		if r := p.relays[e.peer]; r != nil && r.held {
			r.held = false
			return []any{drop(e)}
		}
	case searched:
		p.searching = false
	}
	return nil
}

// backoff doubles from first to last with the number of times.
func backoff(first, last time.Duration, times int) time.Duration {
	return min(last, first<<min(times, 20))
}

// room makes room for one more candidate: if there are too many, the one that has
// failed most goes. It fails if none has.
func (p *planner) room() bool {
	if len(p.relays) < maxCandidates {
		return true
	}
	var worst *relayState
	for _, r := range p.sorted() {
		if !r.named && !r.static && !r.held && !r.asking && r.failures > 0 {
			worst = r
		}
	}
	if worst != nil {
		delete(p.relays, worst.info.ID)
	}
	return worst != nil
}

func (p *planner) add(info peer.AddrInfo) *relayState {
	since := 0
	for _, r := range p.relays {
		since = max(since, r.since+1)
	}
	r := &relayState{info: info, since: since}
	p.relays[info.ID] = r
	return r
}

// configure takes settings over.
func (p *planner) configure(s settings) {
	p.settings = s
	for _, r := range p.relays {
		r.named, r.static = false, false
	}
	mark := func(infos []peer.AddrInfo, set func(*relayState)) {
		fresh := map[peer.ID]bool{}
		for _, info := range infos {
			r := p.relays[info.ID]
			if r == nil {
				r = p.add(peer.AddrInfo{ID: info.ID})
			}
			if !fresh[info.ID] {
				r.info.Addrs, fresh[info.ID] = nil, true
			}
			r.info.Addrs = append(r.info.Addrs[:len(r.info.Addrs):len(r.info.Addrs)], info.Addrs...)
			set(r)
		}
	}
	mark(s.static, func(r *relayState) { r.static = true })
	mark(s.named, func(r *relayState) { r.named = true })
}

// pool tells which relays serve the listener that is behind any: those of the
// configuration unless the node is reachable, or those it found if it is not.
// Nil means that none is needed.
func (p *planner) pool() func(*relayState) bool {
	switch {
	case !p.any || p.reach == core.ReachabilityPublic:
		return nil
	case len(p.static) > 0:
		return func(r *relayState) bool { return r.static }
	case p.reach == core.ReachabilityPrivate:
		return func(*relayState) bool { return true }
	}
	return nil
}

// release gives up places that have run out or are not wanted.
func (p *planner) release(pool func(*relayState) bool, now time.Time) (actions []any) {
	for _, r := range p.sorted() {
		member := r.named || pool != nil && pool(r)
		if r.held && (!member || !now.Before(r.expires)) {
			r.held = false
			actions = append(actions, drop{r.info.ID})
		}
	}
	return actions
}

// sorted lists the relays, the one to prefer first.
func (p *planner) sorted() []*relayState {
	list := make([]*relayState, 0, len(p.relays))
	for _, r := range p.relays {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *relayState) int {
		return cmp.Or(
			less(b.held, a.held),
			less(b.asking, a.asking),
			cmp.Compare(a.failures, b.failures),
			cmp.Compare(a.since, b.since),
		)
	})
	return list
}

// less orders false before true.
func less(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// wanted lists the relays where the node is to have a place.
func (p *planner) wanted(pool func(*relayState) bool, now time.Time) (list []*relayState) {
	places := p.count
	for _, r := range p.sorted() {
		switch {
		case r.named:
			list = append(list, r)
		case pool != nil && pool(r) && places > 0 && (r.held || r.asking || !now.Before(p.retry(r))):
			places--
			list = append(list, r)
		}
	}
	return list
}

// retry is when a relay may be asked again.
func (p *planner) retry(r *relayState) time.Time {
	if r.named || r.static || r.held {
		return r.retry
	}
	return later(r.retry, p.pauseEnds)
}

// due tells whether it is time to ask a relay.
func (p *planner) due(r *relayState, now time.Time) bool {
	return !now.Before(p.retry(r)) && (!r.held || !now.Before(r.refresh))
}

// search tells whether to look for relays.
func (p *planner) search(pool func(*relayState) bool, wanted []*relayState, now time.Time) (s search, ok bool) {
	if pool == nil || len(p.static) > 0 {
		return s, false
	}
	if p.served(wanted) >= p.count {
		p.searches = 0
		return s, false
	}
	if p.searching || now.Before(p.searchAt) {
		return s, false
	}
	p.searching = true
	p.searchAt = now.Add(backoff(firstSearch, lastSearch, p.searches))
	p.searches++
	s.peers, p.peers = p.peers, nil
	return s, true
}

// served counts the relays among those wanted that serve the listener behind any.
func (p *planner) served(wanted []*relayState) (n int) {
	for _, r := range wanted {
		if !r.named {
			n++
		}
	}
	return n
}

// next is the earliest time at which something is due.
func (p *planner) next(pool func(*relayState) bool, wanted []*relayState) (t time.Time) {
	earlier := func(o time.Time) {
		if !o.IsZero() && (t.IsZero() || o.Before(t)) {
			t = o
		}
	}
	for _, r := range p.relays {
		member := r.named || pool != nil && pool(r)
		switch {
		case r.held && r.asking:
			earlier(r.expires)
		case r.held:
			earlier(later(r.refresh, r.retry))
			earlier(r.expires)
		case member && !r.asking:
			if r.named || p.served(wanted) < p.count {
				earlier(p.retry(r))
			}
		}
	}
	if pool != nil && len(p.static) == 0 && !p.searching && p.served(wanted) < p.count {
		earlier(p.searchAt)
	}
	return t
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
