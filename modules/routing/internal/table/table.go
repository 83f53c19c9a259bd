// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package table is Kademlia's routing table: the peers that a node knows, few
// of those that are far in the key space and all of those that are near.
//
// A peer becomes a member only once it has answered a question, and stays one
// as long as it answers. Those that have not answered yet, or for which there is
// no place, wait as spares. [Table.Probe] tells whom to ask for either reason.
// Few members share a group of IP addresses (package ipgroup), so that the table
// cannot be filled by somebody who has many keys but not many networks.
//
// A Table has no lock, clock or goroutine: its owner has them. Who is told to it
// must speak the server's protocol; who no longer does is removed.
package table

import (
	"net/netip"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/ipgroup"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
)

// Config is what a table is like. A zero field stands for its default.
type Config struct {
	// K is how many members a bucket has at most. Default: 20.
	K int
	// Spares is how many peers wait for a place in a bucket at most.
	// Default: 8.
	Spares int
	// PerGroup is how many members there are at most with addresses of one
	// group, in the table and in each bucket. Negative means no limit.
	// Default: 3 and 2.
	PerGroup, PerGroupInBucket int
	// Bits4 and Bits6 are how many leading bits of an address are its group.
	// Default: 16 and 32.
	Bits4, Bits6 int
	// LimitLocal has addresses of local networks and of the own machine
	// counted like all others.
	LimitLocal bool
	// Failures is how many failures in a row cost a member its place. A spare
	// is forgotten after twice as many. Default: 2.
	Failures int
	// Stale is after what time without an answer a member is to be probed.
	// Default: 15m.
	Stale time.Duration
	// Retry is the time between two probes of a peer that does not answer; it
	// doubles with every failure. Default: 1m.
	Retry time.Duration
	// Refresh is after what time without a look-up in its range a bucket is
	// to be refreshed. Default: 10m.
	Refresh time.Duration
	// Changed, if there is one, is called when a peer becomes a member and
	// when it is one no longer. It must not call the table.
	Changed func(p peer.ID, member bool)
}

func (c *Config) setDefaults() {
	for _, d := range []struct {
		field *int
		value int
	}{
		{&c.K, 20}, {&c.Spares, 8}, {&c.PerGroup, 3}, {&c.PerGroupInBucket, 2},
		{&c.Bits4, ipgroup.Bits4}, {&c.Bits6, ipgroup.Bits6}, {&c.Failures, 2},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.Stale, 15 * time.Minute}, {&c.Retry, time.Minute}, {&c.Refresh, 10 * time.Minute},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
}

// Table is a routing table.
type Table struct {
	Config
	self    keyspace.Key
	buckets []bucket // at [i] those who share i leading bits with self; <= keyspace.Bits + 1
	members int
	// answered is when anybody answered last, in Unix seconds.
	answered int64
	// refreshed is when the buckets were, and at the end self was, looked up.
	refreshed [keyspace.MaxPreimage + 2]int64
}

// New returns an empty table for the peer self.
func New(self peer.ID, c Config) *Table {
	c.setDefaults()
	return &Table{Config: c, self: keyspace.OfPeer(self)}
}

// Len returns how many members there are.
func (t *Table) Len() int { return t.members }

// Has tells whether a peer is a member.
func (t *Table) Has(p peer.ID) bool {
	key := keyspace.OfPeer(p)
	b := t.bucket(key)
	return b != nil && b.members.find(key) >= 0
}

// Candidate tells of a peer that could be a member, and the address that it is
// connected from or would be dialled at; an address that is not valid is in no
// group. It returns whether there is a place for the peer: if so the caller asks
// it something and reports that with Answered or Failed.
func (t *Table) Candidate(p peer.ID, ip netip.Addr, now time.Time) (ask bool) {
	e := entry{id: p, key: keyspace.OfPeer(p), group: t.Group(ip)}
	if e.key == t.self {
		return false
	}
	b := t.grow(e.key)
	if b.members.find(e.key) >= 0 || !t.fits(b, e.group) {
		return false
	}
	ask = b.open(t.K)
	if i := b.spares.find(e.key); i >= 0 {
		b.spares[i].group = e.group
		if ask = ask && t.retry(&b.spares[i], now); ask {
			b.spares[i].tried = now.Unix()
		}
		return ask
	}
	if ask {
		e.tried = now.Unix()
	}
	b.keep(e, t.Spares, now.Add(-t.Stale).Unix())
	return ask
}

// Answered tells that a peer has answered a question, and the address that it is
// connected from. It returns whether the peer is a member now.
func (t *Table) Answered(p peer.ID, ip netip.Addr, now time.Time) (member bool) {
	e := entry{id: p, key: keyspace.OfPeer(p), group: t.Group(ip), answered: now.Unix(), tried: now.Unix()}
	if e.key == t.self {
		return false
	}
	t.answered = e.answered
	b := t.grow(e.key)
	if i := b.members.find(e.key); i >= 0 {
		old := b.members[i]
		if e.group == old.group {
			b.members[i] = e
			return true
		}
		// It came with another address, for which there may be no place.
		b.members[i].group = 0
		if t.fits(b, e.group) {
			b.members[i] = e
			return true
		}
		t.remove(b, i, now)
		return false
	}
	b.spares.remove(b.spares.find(e.key))
	if !t.fits(b, e.group) {
		return false
	}
	if len(b.members) == t.K {
		i := b.members.worst()
		if b.members[i].failures == 0 {
			b.keep(e, t.Spares, now.Add(-t.Stale).Unix())
			return false
		}
		failing := b.members[i]
		t.drop(b, i)
		b.keep(failing, t.Spares, now.Add(-t.Stale).Unix())
	}
	t.add(b, e)
	return true
}

// Failed tells that a peer has not answered a question. That nobody answers
// is no fault of the peers: failures count only if somebody has answered
// since the peer was last asked.
func (t *Table) Failed(p peer.ID, now time.Time) {
	key := keyspace.OfPeer(p)
	b := t.bucket(key)
	if b == nil {
		return
	}
	if i := b.members.find(key); i >= 0 {
		e := t.fail(&b.members[i], now)
		if int(e.failures) >= t.Failures {
			t.remove(b, i, now)
			b.keep(e, t.Spares, now.Add(-t.Stale).Unix())
		}
	} else if i := b.spares.find(key); i >= 0 {
		if e := t.fail(&b.spares[i], now); int(e.failures) >= 2*t.Failures {
			b.spares.remove(i)
		}
	}
}

func (t *Table) fail(e *entry, now time.Time) entry {
	if t.answered >= max(e.tried, 1) {
		e.failures++
	}
	e.tried = now.Unix()
	return *e
}

// Remove forgets a peer, such as one that no longer speaks the server's
// protocol.
func (t *Table) Remove(p peer.ID, now time.Time) {
	key := keyspace.OfPeer(p)
	b := t.bucket(key)
	if b == nil {
		return
	}
	b.spares.remove(b.spares.find(key))
	if i := b.members.find(key); i >= 0 {
		t.remove(b, i, now)
	}
}

// Group returns the group that an address counts for in this table; zero is
// none.
func (t *Table) Group(ip netip.Addr) ipgroup.Group {
	if t.LimitLocal {
		return ipgroup.Any(ip, t.Bits4, t.Bits6)
	}
	return ipgroup.Of(ip, t.Bits4, t.Bits6)
}

// fits tells whether there may be one more member of a group.
func (t *Table) fits(b *bucket, g ipgroup.Group) bool {
	return g == 0 ||
		(t.PerGroupInBucket < 0 || b.members.count(g) < t.PerGroupInBucket) &&
			(t.PerGroup < 0 || t.count(g) < t.PerGroup)
}

func (t *Table) count(g ipgroup.Group) (n int) {
	for i := range t.buckets {
		n += t.buckets[i].members.count(g)
	}
	return n
}

// bucket returns the bucket of a key, or nil if nobody was ever in it.
func (t *Table) bucket(key keyspace.Key) *bucket {
	if i := keyspace.CommonPrefix(t.self, key); i < len(t.buckets) {
		return &t.buckets[i]
	}
	return nil
}

// grow returns the bucket of a key, which is made if there is none.
func (t *Table) grow(key keyspace.Key) *bucket {
	i := keyspace.CommonPrefix(t.self, key)
	if i >= len(t.buckets) {
		t.buckets = append(t.buckets, make([]bucket, i+1-len(t.buckets))...)
	}
	return &t.buckets[i]
}

func (t *Table) add(b *bucket, e entry) {
	b.members.append(e, t.K)
	t.members++
	if t.Changed != nil {
		t.Changed(e.id, true)
	}
}

// drop takes a member away.
func (t *Table) drop(b *bucket, i int) {
	p := b.members[i].id
	b.members.remove(i)
	t.members--
	if t.Changed != nil {
		t.Changed(p, false)
	}
}

// remove takes a member away and gives its place to a spare that has answered
// lately.
func (t *Table) remove(b *bucket, i int, now time.Time) {
	t.drop(b, i)
	fresh := now.Add(-t.Stale).Unix()
	best := -1
	for i := range b.spares {
		e := &b.spares[i]
		if e.failures == 0 && e.answered > fresh && t.fits(b, e.group) &&
			(best < 0 || e.answered > b.spares[best].answered) {
			best = i
		}
	}
	if best >= 0 {
		e := b.spares[best]
		b.spares.remove(best)
		t.add(b, e)
	}
}
