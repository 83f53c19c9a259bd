// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
)

// maxBackoffs bounds the remembered failures; past it the one that ends first goes.
const maxBackoffs = 8192

// backoff remembers which addresses of which peers failed lately. It is kept
// for each pair of the two: a peer cannot be made unreachable by somebody who
// announces dead addresses for it.
type backoff struct {
	mu      sync.Mutex
	entries map[backoffKey]backoffEntry // bounded by maxBackoffs
}

type backoffKey struct {
	peer peer.ID
	addr string
}

type backoffEntry struct {
	until time.Time
	wait  time.Duration // which has led to until
}

// waits reports whether the address must be left alone still.
func (b *backoff) waits(k backoffKey, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return now.Before(b.entries[k].until)
}

// failed notes a failure.
func (b *backoff) failed(k backoffKey, now time.Time, c DialConfig) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.entries == nil {
		b.entries = make(map[backoffKey]backoffEntry)
	}
	e, ok := b.entries[k]
	if !ok && len(b.entries) >= maxBackoffs {
		b.evictLocked(now, time.Duration(c.BackoffMax))
	}
	most := time.Duration(c.BackoffMax)
	switch {
	case now.Sub(e.until) > most: // long ago, or never
		e.wait = time.Duration(c.Backoff)
	case e.wait > most/2:
		e.wait = most
	default:
		e.wait *= 2
	}
	e.until = now.Add(e.wait)
	b.entries[k] = e
}

// succeeded forgets the failures of an address.
func (b *backoff) succeeded(k backoffKey) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.entries, k)
}

// forget forgets all failures.
func (b *backoff) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.entries)
}

// evictLocked drops what has ended long ago, or else the entry that ends first.
func (b *backoff) evictLocked(now time.Time, most time.Duration) {
	var first backoffKey
	var until time.Time
	for k, e := range b.entries {
		if now.Sub(e.until) > most {
			delete(b.entries, k)
			continue
		}
		if until.IsZero() || e.until.Before(until) {
			first, until = k, e.until
		}
	}
	if len(b.entries) >= maxBackoffs {
		delete(b.entries, first)
	}
}
