// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package peerstore remembers other peers: where they can be reached, what
// they speak, and what they have signed. Everything is in memory and bounded.
//
// Peers without a connection exist as long as an address of theirs has not
// expired; with the last one everything known of them goes. Expired addresses
// are never returned, and are taken out a few at a time by whatever writes.
//
// The host has the peers that were met outlive the node: [Book.Kept] is what it
// writes of one, and [Book.Restore] takes that in again.
package peerstore

import (
	"cmp"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// Config are the limits of a book. Zero values take the defaults.
type Config struct {
	// Addrs bounds the addresses of all peers that are not connected,
	// permanent ones aside. Those that expire first make way. Default: 100,000.
	Addrs int
	// Records bounds how many peers that are not connected have more known of
	// them than addresses: signed records, protocols, agent. Those used
	// longest ago lose it. Default: 10,000.
	Records int
	// RecordBytes bounds the size of all that together. Default: 16 MiB.
	RecordBytes int
	// AddrsPerPeer bounds the addresses of one peer without a connection.
	// Default: 64.
	AddrsPerPeer int
	// AddrsPerConnected bounds the addresses of one connected peer. Default: 500.
	AddrsPerConnected int
	// Protocols bounds the protocols of one peer. Default: 1024.
	Protocols int
}

func (c Config) withDefaults() Config {
	return Config{
		Addrs:             cmp.Or(c.Addrs, 100_000),
		Records:           cmp.Or(c.Records, 10_000),
		RecordBytes:       cmp.Or(c.RecordBytes, 16<<20),
		AddrsPerPeer:      cmp.Or(c.AddrsPerPeer, 64),
		AddrsPerConnected: cmp.Or(c.AddrsPerConnected, 500),
		Protocols:         cmp.Or(c.Protocols, 1024),
	}
}

// sweepAtMost bounds how many expired addresses one write takes out.
const sweepAtMost = 64

// Book implements [core.Peers]. It is safe for concurrent use.
type Book struct {
	config Config
	now    func() time.Time
	start  time.Time // the origin of all moments

	mu      sync.RWMutex
	entries map[peer.ID]*entry
	expiry  expiryHeap // unconnected entries with addresses that expire
	addrs   int        // how many such addresses there are
	facts   factList   // unconnected entries with facts, oldest first
}

// New returns an empty book that takes the time from now; nil means time.Now.
func New(config Config, now func() time.Time) *Book {
	if now == nil {
		now = time.Now
	}
	b := &Book{
		config:  config.withDefaults(),
		now:     now,
		start:   now(),
		entries: make(map[peer.ID]*entry),
	}
	b.facts.init()
	return b
}

// moment is a time as nanoseconds since the book was made. The two largest
// values stand for addresses that do not expire.
type moment int64

const (
	permanent = moment(core.PermanentTTL)
	connected = moment(core.ConnectedTTL)
)

func (b *Book) moment() moment { return moment(b.now().Sub(b.start)) }

// KnownPeers implements [core.Peers].
func (b *Book) KnownPeers() []peer.ID {
	b.mu.RLock()
	defer b.mu.RUnlock()
	now := b.moment()
	ids := make([]peer.ID, 0, len(b.entries))
	for id, e := range b.entries {
		if e.reachable(now) {
			ids = append(ids, id)
		}
	}
	return ids
}

// PeerAddrs implements [core.Peers]. Addresses that the peer has signed come
// first, those that expire last come before others.
func (b *Book) PeerAddrs(p peer.ID) []ma.Multiaddr {
	b.mu.RLock()
	defer b.mu.RUnlock()
	e := b.entries[p]
	if e == nil {
		return nil
	}
	return e.list(b.moment())
}

// AddPeerAddrs implements [core.Peers]. An address that is known already lives
// on until the later of the two ends. Addresses of more than 1 KiB and those
// that lead to another peer are left out; connected addresses of a peer without
// a connection are recent ones.
func (b *Book) AddPeerAddrs(p peer.ID, ttl time.Duration, addrs ...ma.Multiaddr) {
	if ttl <= 0 || p.Validate() != nil {
		return
	}
	compact := compactAll(p, addrs)
	if len(compact) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.moment()
	e := b.entry(p)
	b.change(e, now, func() {
		end := e.end(now, ttl)
		for _, a := range compact {
			e.put(a, end, told, b.limit(e), now)
		}
	})
}

// Connected tells the book that there is a first connection to p.
func (b *Book) Connected(p peer.ID) {
	if p.Validate() != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entry(p)
	b.change(e, b.moment(), func() { e.connected = true })
}

// Disconnected tells the book that the last connection to p is gone. The
// addresses that were good while it lasted become recent ones, and the peer's
// share shrinks to that of a peer without a connection.
func (b *Book) Disconnected(p peer.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[p]
	if e == nil || !e.connected {
		return
	}
	now := b.moment()
	b.change(e, now, func() {
		e.connected = false
		end := e.end(now, core.RecentTTL)
		for i := range e.addrs {
			if e.addrs[i].end == connected {
				e.addrs[i].end = end
			}
		}
		e.shrink(b.limit(e), now)
	})
}

// connected its protocols are unknown until it is identified again.
func (b *Book) Forget(p peer.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[p]
	if e == nil {
		return
	}
	b.change(e, b.moment(), func() {
		e.addrs = nil
		e.facts = nil
	})
}

// limit is how many addresses e may have.
func (b *Book) limit(e *entry) int {
	if e.connected {
		return b.config.AddrsPerConnected
	}
	return b.config.AddrsPerPeer
}

// entry returns the entry of p, making it if there is none. Only [Book.change]
// may follow: it drops an entry that has come to nothing.
func (b *Book) entry(p peer.ID) *entry {
	e := b.entries[p]
	if e == nil {
		e = newEntry(p)
		b.entries[e.id] = e
	}
	return e
}

// change runs f, which may change e, and sets the book's accounts right again:
// the count and the order of expiring addresses, the list of facts, and the
// limits on both.
func (b *Book) change(e *entry, now moment, f func()) {
	b.unaccount(e)
	if !e.connected && !e.reachable(now) {
		e.addrs, e.facts = nil, nil // gone already, only not swept yet
	}
	f()
	b.account(e, now)
	b.sweep(now)
	for b.addrs > b.config.Addrs {
		b.evictSoonest()
	}
	for b.facts.count > b.config.Records || b.facts.bytes > b.config.RecordBytes {
		b.dropFacts(b.facts.oldest())
	}
}

// unaccount takes e out of the heap and the list.
func (b *Book) unaccount(e *entry) {
	if e.place != nowhere {
		b.expiry.remove(e)
		b.addrs -= e.expiring
	}
	if e.facts != nil {
		b.facts.remove(e.facts)
	}
}

// account puts e into the heap and the list, or drops it.
func (b *Book) account(e *entry, now moment) {
	if e.connected {
		return
	}
	e.clean(now)
	if len(e.addrs) == 0 {
		b.drop(e)
		return
	}
	if e.measure(); e.expiring > 0 {
		b.expiry.add(e)
		b.addrs += e.expiring
	}
	if e.facts != nil {
		b.facts.append(e.facts)
	}
}

// drop forgets an entry that is in neither heap nor list.
func (b *Book) drop(e *entry) { delete(b.entries, e.id) }

// sweep takes out expired addresses, a bounded number at a time.
func (b *Book) sweep(now moment) {
	for swept := 0; swept < sweepAtMost && len(b.expiry) > 0 && b.expiry[0].soonest <= now; {
		e := b.expiry[0]
		before := e.expiring
		b.unaccount(e)
		b.account(e, now)
		swept += max(1, before-e.expiring)
	}
}

// evictSoonest removes the one address that expires first.
func (b *Book) evictSoonest() {
	e := b.expiry[0]
	b.unaccount(e)
	e.removeSoonest()
	b.account(e, 0)
}

// dropFacts takes from an unconnected peer everything but its addresses, which
// count as merely told from then on.
func (b *Book) dropFacts(f *facts) {
	b.facts.remove(f)
	e := b.entries[f.owner]
	e.facts = nil
	for i := range e.addrs {
		e.addrs[i].source = told
	}
}

var _ core.Peers = (*Book)(nil)
