// SPDX-License-Identifier: Apache-2.0 OR MIT

package relay

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

// tally counts what a relay has done since it is one.
type tally struct {
	reserved, connected uint64
	refused             map[Status]uint64 // bounded by the statuses that it answers with
}

// note counts a refusal.
func (t *tally) note(s Status) {
	if t.refused == nil {
		t.refused = make(map[Status]uint64)
	}
	t.refused[s]++
}

// RelayStats implements [core.Relay]. It may be called at any time.
func (r *Relay) RelayStats() core.RelayStats {
	h, err := r.running()
	if err != nil {
		return core.RelayStats{Places: []core.RelayPlace{}}
	}
	return core.RelayStats{Service: h.serviceStats(time.Now()), Places: h.planning.stats()}
}

// serviceStats describes the relay; nil if the node is none.
func (h *hub) serviceStats(now time.Time) *core.RelayService {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.service == nil {
		return nil
	}
	h.ledger.sweep(now)
	s := &core.RelayService{
		MaxReservations: h.service.Reservations,
		MaxCircuits:     h.service.Circuits,
		Limit:           core.RelayLimit(h.service.limit()),
		Reservations:    make([]core.RelayReservation, 0, len(h.ledger.places)),
		Circuits:        h.circuits.stats(),
		Reserved:        h.tally.reserved,
		Connected:       h.tally.connected,
		Refused:         make(map[string]uint64, len(h.tally.refused)),
		Bytes:           h.circuits.bytes.Load(),
	}
	for status, n := range h.tally.refused {
		s.Refused[status.String()] = n
	}
	for p, place := range h.ledger.places {
		s.Reservations = append(s.Reservations, core.RelayReservation{
			Peer: p, Addr: place.at, Expires: place.expires, Left: place.void, Circuits: h.ledger.circuits[p],
		})
	}
	slices.SortFunc(s.Reservations, func(a, b core.RelayReservation) int {
		return cmp.Or(a.Expires.Compare(b.Expires), cmp.Compare(a.Peer, b.Peer))
	})
	return s
}

// stats lists the circuits that are open.
func (c *circuits) stats() []core.RelayCircuit {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]core.RelayCircuit, 0, len(c.open))
	for o := range c.open {
		list = append(list, core.RelayCircuit{
			From: o.from, To: o.to, Opened: o.opened, Limit: core.RelayLimit(o.limit), Forth: o.forth.Load(), Back: o.back.Load(),
		})
	}
	slices.SortFunc(list, func(a, b core.RelayCircuit) int {
		return cmp.Or(a.Opened.Compare(b.Opened), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	return list
}

// stats lists the node's own places, and the relays that have given none.
func (p *planning) stats() []core.RelayPlace {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]core.RelayPlace, 0, len(p.places)+len(p.lastErr))
	for _, id := range slices.Sorted(maps.Keys(p.places)) {
		r := p.places[id]
		list = append(list, core.RelayPlace{Relay: id, Expires: r.Expires, Addrs: slices.Clone(r.Addrs), Limit: core.RelayLimit(r.Limit)})
	}
	for _, id := range slices.Sorted(maps.Keys(p.lastErr)) {
		if p.places[id] == nil { // else it is about a place that is asked for again
			list = append(list, core.RelayPlace{Relay: id, Err: p.lastErr[id].err.Error(), Asked: p.lastErr[id].at})
		}
	}
	return list
}

var _ core.Relay = (*Relay)(nil)
