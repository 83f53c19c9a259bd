// SPDX-License-Identifier: Apache-2.0 OR MIT

package relay

import (
	"net/netip"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/peer"
)

// ledger has the places at a relay and the circuits through it. It is a plain
// value: who uses it holds a lock and says what time it is.
type ledger struct {
	places   map[peer.ID]place // bounded by Service.Reservations
	origins  map[netip.Prefix]int
	due      time.Time       // nothing runs out before
	circuits map[peer.ID]int // bounded by twice Service.Circuits
	total    int
}

// place is a reservation. It counts until it has run out, even if nobody can be
// connected to any more: to reserve and leave is no way to have many.
type place struct {
	expires time.Time
	at      ma.Multiaddr // from where it was asked for
	origin  [2]netip.Prefix
	void    bool // the peer has left
}

func newLedger() *ledger {
	return &ledger{
		places:   make(map[peer.ID]place),
		origins:  make(map[netip.Prefix]int),
		circuits: make(map[peer.ID]int),
	}
}

// originsOf returns the two networks that a peer's place counts with; invalid
// where the transport has no IP addresses.
func originsOf(a ma.Multiaddr) (o [2]netip.Prefix) {
	ip, ok := peer.IP(a)
	if !ok {
		return o
	}
	narrow, wide := 32, 16
	if ip.Is6() {
		narrow, wide = 56, 32
	}
	o[0], _ = ip.Prefix(narrow)
	o[1], _ = ip.Prefix(wide)
	return o
}

// reserve gives p, who is at from, a place, or a longer one.
func (l *ledger) reserve(s *Service, p peer.ID, from ma.Multiaddr, now time.Time) (expires time.Time, err *StatusError) {
	if !s.Reserve.allows(p, from) {
		return expires, refused(StatusPermissionDenied, "the relay does not know %s", p.Short())
	}
	l.sweep(now)
	before, again := l.places[p]
	if again {
		l.count(before, -1)
	}
	next := place{expires: now.Add(time.Duration(s.ReservationTime)).Truncate(time.Second), at: from, origin: originsOf(from)}
	switch {
	case !again && len(l.places) >= s.Reservations:
		err = refused(StatusResourceLimitExceeded, "%d places, all taken; nat/relay/service/reservations", s.Reservations)
	case l.full(next.origin[0], s.ReservationsPerIP):
		err = refused(StatusResourceLimitExceeded, "%d places for %s, all taken; nat/relay/service/reservations_per_ip", s.ReservationsPerIP, next.origin[0])
	case l.full(next.origin[1], s.ReservationsPerNet):
		err = refused(StatusResourceLimitExceeded, "%d places for %s, all taken; nat/relay/service/reservations_per_net", s.ReservationsPerNet, next.origin[1])
	}
	if err != nil {
		if again {
			l.count(before, 1)
		}
		return expires, err
	}
	l.places[p] = next
	l.count(next, 1)
	if len(l.places) == 1 || next.expires.Before(l.due) {
		l.due = next.expires
	}
	return next.expires, nil
}

func (l *ledger) full(o netip.Prefix, limit int) bool { return o.IsValid() && l.origins[o] >= limit }

// count adds a place to its networks, or takes it off.
func (l *ledger) count(p place, n int) {
	for _, o := range p.origin {
		if !o.IsValid() {
			continue
		}
		if l.origins[o] += n; l.origins[o] == 0 {
			delete(l.origins, o)
		}
	}
}

// sweep removes the places that have run out.
func (l *ledger) sweep(now time.Time) {
	if len(l.places) == 0 || now.Before(l.due) {
		return
	}
	l.due = time.Time{}
	for p, place := range l.places {
		if !now.Before(place.expires) {
			l.count(place, -1)
			delete(l.places, p)
		} else if l.due.IsZero() || place.expires.Before(l.due) {
			l.due = place.expires
		}
	}
}

// left notes that p has no connection any more.
func (l *ledger) left(p peer.ID) {
	if place, ok := l.places[p]; ok {
		place.void = true
		l.places[p] = place
	}
}

// connect begins a circuit from src, who is at from, to dst. It ends with
// disconnect.
func (l *ledger) connect(s *Service, src peer.ID, from ma.Multiaddr, dst peer.ID, now time.Time) *StatusError {
	l.sweep(now)
	place, ok := l.places[dst]
	switch {
	case !s.Connect.allows(src, from):
		return refused(StatusPermissionDenied, "the relay does not know %s", src.Short())
	case !ok || place.void:
		return refused(StatusNoReservation, "%s has no place at the relay", dst.Short())
	case l.total >= s.Circuits:
		return refused(StatusResourceLimitExceeded, "%d connections, which is all; nat/relay/service/circuits", s.Circuits)
	case l.circuits[src] >= s.CircuitsPerPeer:
		return refused(StatusResourceLimitExceeded, "%d connections of %s; nat/relay/service/circuits_per_peer", s.CircuitsPerPeer, src.Short())
	case l.circuits[dst] >= s.CircuitsPerPeer:
		return refused(StatusResourceLimitExceeded, "%d connections of %s; nat/relay/service/circuits_per_peer", s.CircuitsPerPeer, dst.Short())
	}
	l.total++
	l.circuits[src]++
	l.circuits[dst]++
	return nil
}

// disconnect ends a circuit.
func (l *ledger) disconnect(src, dst peer.ID) {
	l.total--
	for _, p := range []peer.ID{src, dst} {
		if l.circuits[p]--; l.circuits[p] == 0 {
			delete(l.circuits, p)
		}
	}
}
