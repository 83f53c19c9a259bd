// SPDX-License-Identifier: Apache-2.0 OR MIT

package relay

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	// askTimeout bounds a request for a place, the dial included.
	askTimeout = 30 * time.Second
	// searchTimeout bounds a search.
	searchTimeout = time.Minute
	// maxVisits bounds the peers that one search connects to.
	maxVisits = 16
	// maxEvents bounds the events that wait for the planner. Of what comes
	// beyond, news of peers are lost, which come again.
	maxEvents = 256
)

// planning runs the planner: it keeps its events and what came of its actions.
type planning struct {
	wake chan struct{}

	mu      sync.Mutex
	events  []any            // of peers at most maxEvents
	stale   bool             // the settings may be others
	asked   map[peer.ID]bool // relays that are being asked; bounded by what the planner asks at a time
	places  map[peer.ID]*Reservation
	undo    map[peer.ID]func() // one each place: its addresses are withdrawn
	lastErr map[peer.ID]denial // why a relay gave no place; bounded by maxCandidates+maxRelays
}

// denial is a request for a place that came to nothing.
type denial struct {
	err error
	at  time.Time
}

func (p *planning) init() {
	p.wake = make(chan struct{}, 1)
	p.asked = make(map[peer.ID]bool)
	p.places = make(map[peer.ID]*Reservation)
	p.undo = make(map[peer.ID]func())
	p.lastErr = make(map[peer.ID]denial)
}

// holds reports whether the node has a place at a relay.
func (p *planning) holds(relay peer.ID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.places[relay]
	return ok
}

// expects reports whether others may come through a relay: the node has a place
// there, or may have one of which it does not know yet.
func (p *planning) expects(relay peer.ID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.places[relay]
	return ok || p.asked[relay]
}

// plan tells the planner of an event; nil says that the settings may be others.
// It does not block.
func (h *hub) plan(event any) {
	p := &h.planning
	p.mu.Lock()
	switch event.(type) {
	case nil:
		p.stale = true
	case found, candidate:
		if len(p.events) < maxEvents {
			p.events = append(p.events, event)
		}
	default:
		p.events = append(p.events, event)
	}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default: // it is about to look
	}
}

// identified tells the planner of the peer of a connection, if that is a relay.
func (h *hub) identified(c core.Conn) {
	if !isRelayed(c) && slices.Contains(h.node.PeerProtocols(c.RemotePeer()), HopID) {
		h.plan(candidate{c.RemotePeer()})
	}
}

// run is the planner's goroutine.
func (h *hub) run() {
	p := newPlanner()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-h.planning.wake:
		case <-timer.C:
		}
		h.planning.mu.Lock()
		events, stale := h.planning.events, h.planning.stale
		h.planning.events, h.planning.stale = nil, false
		h.planning.mu.Unlock()
		if stale {
			events = append(events, configured{h.settings()})
		}
		events = append(events, nil) // time has passed
		var next time.Time
		for _, e := range events {
			var actions []any
			if actions, next = p.step(e, time.Now()); len(actions) > 0 {
				h.act(actions)
			}
		}
		if next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(max(0, time.Until(next)))
		}
	}
}

// act does what the planner wants.
func (h *hub) act(actions []any) {
	for _, a := range actions {
		switch a := a.(type) {
		case ask:
			h.spawn(func() { h.askFor(a.AddrInfo) })
		case drop:
			h.drop(a.peer)
		case search:
			h.spawn(func() {
				h.search(a.peers)
				h.plan(searched{})
			})
		}
	}
}

// askFor asks a relay for a place and announces what comes of it.
func (h *hub) askFor(relay peer.AddrInfo) {
	ctx, cancel := context.WithTimeout(h.ctx, askTimeout)
	defer cancel()
	p := &h.planning
	p.mu.Lock()
	p.asked[relay.ID] = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.asked, relay.ID)
	}()
	r, err := h.reserve(ctx, relay)
	if err != nil {
		h.log.Debug("no place at a relay", "relay", relay.ID, "reason", err)
		p.mu.Lock()
		if len(p.lastErr) >= maxCandidates+maxRelays {
			clear(p.lastErr)
		}
		p.lastErr[relay.ID] = denial{err, time.Now()}
		p.mu.Unlock()
		h.plan(failed{relay.ID})
		return
	}
	p.mu.Lock()
	before := p.undo[relay.ID]
	p.mu.Unlock()
	withdraw := h.node.Announce(r.Addrs...)
	unprotect := h.node.Protect(relay.ID, "relay")
	p.mu.Lock()
	p.places[relay.ID] = r
	p.undo[relay.ID] = func() {
		unprotect()
		withdraw()
	}
	delete(p.lastErr, relay.ID)
	p.mu.Unlock()
	if before != nil {
		before()
	} else {
		h.log.Info("place at a relay", "relay", relay.ID, "addrs", r.Addrs)
	}
	h.plan(reserved{relay.ID, r.Expires})
	if !h.direct(relay.ID) {
		h.plan(lost{relay.ID}) // before there was anything to lose
	}
}

// drop gives a place up.
func (h *hub) drop(relay peer.ID) {
	p := &h.planning
	p.mu.Lock()
	undo := p.undo[relay]
	delete(p.undo, relay)
	delete(p.places, relay)
	p.mu.Unlock()
	if undo != nil {
		undo()
		h.log.Info("no place at a relay any more", "relay", relay)
	}
}

// end gives all places up.
func (p *planning) end() {
	p.mu.Lock()
	undo := p.undo
	p.places, p.undo = map[peer.ID]*Reservation{}, map[peer.ID]func(){}
	p.mu.Unlock()
	for _, f := range undo {
		f()
	}
}

// search connects to peers, of whom some may turn out to be relays when they
// identify themselves: those given and, if that is not enough, those that
// routing finds somewhere.
func (h *hub) search(peers []peer.ID) {
	ctx, cancel := context.WithTimeout(h.ctx, searchTimeout)
	defer cancel()
	for _, c := range h.node.Conns() {
		h.identified(c)
	}
	var infos []peer.AddrInfo
	for _, p := range peers {
		infos = append(infos, peer.AddrInfo{ID: p})
	}
	if len(infos) < maxVisits {
		key := make([]byte, 34)
		rand.Read(key[copy(key, "\x12\x20"):]) // in the form of a peer ID
		closest, err := core.Routers{Of: h.node}.ClosestPeers(ctx, key)
		if err != nil {
			h.log.Debug("search for relays", "error", err)
		}
		infos = append(infos, closest...)
	}
	var wg sync.WaitGroup
	for _, info := range infos[:min(len(infos), maxVisits)] {
		if len(h.node.ConnsTo(info.ID)) > 0 {
			continue
		}
		wg.Go(func() {
			if _, err := h.node.Connect(core.ForceDirect(core.NoLookup(ctx)), info); err != nil {
				h.log.Debug("search for relays", "error", err)
			}
		})
	}
	wg.Wait()
}
