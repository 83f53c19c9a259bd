// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
)

// maxGuests is how many peers without a stream are remembered for what they
// asked lately.
const maxGuests = 4096

// bucket is a token bucket. It is filled from the time on at which it is empty.
type bucket struct {
	empty time.Time // when the bucket was, or would have been, empty
}

// take takes a token and returns how long to wait for it.
func (b *bucket) take(now time.Time, rate, burst int) time.Duration {
	each := time.Second / time.Duration(rate)
	if full := now.Add(-each * time.Duration(burst)); b.empty.Before(full) {
		b.empty = full
	}
	b.empty = b.empty.Add(each)
	return b.empty.Sub(now)
}

// guest is a peer that asks.
type guest struct {
	mu            sync.Mutex
	requests      bucket
	announcements bucket

	streams int // under the lock of guests
}

// guests are the peers that ask, or have asked lately: a peer that comes back
// has no more tokens than it had.
type guests struct {
	mu  sync.Mutex
	all map[peer.ID]*guest // those with streams, and at most 2*maxGuests in all beyond them
}

// enter returns the guest a peer is, for as long as a stream.
func (g *guests) enter(p peer.ID) *guest {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all == nil {
		g.all = make(map[peer.ID]*guest)
	}
	v := g.all[p]
	if v == nil {
		v = new(guest)
		g.all[p] = v
	}
	v.streams++
	return v
}

// leave ends a stream. If there are too many guests, some of those that are gone
// are forgotten.
func (g *guests) leave(v *guest) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v.streams--
	if len(g.all) <= 2*maxGuests {
		return
	}
	for p, v := range g.all {
		if len(g.all) <= maxGuests {
			return
		}
		if v.streams == 0 {
			delete(g.all, p)
		}
	}
}

// delay takes a token for a request, and one for an announcement if it is one,
// and returns how long to wait before it is answered.
func (v *guest) delay(now time.Time, k *Kad, announcement bool) time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	wait := v.requests.take(now, k.Requests, 10*k.Requests)
	if announcement {
		wait = max(wait, v.announcements.take(now, k.Announcements, 100*k.Announcements))
	}
	return wait
}
