// SPDX-License-Identifier: Apache-2.0 OR MIT

package bbolt

import (
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/xnode-p2p/xnode/core"
)

// The bucket of a table has the tally and two buckets: the entries by their keys,
// and the keys by the numbers of the writes, which is the order of their age.
var (
	tallyKey      = []byte("tally")
	entriesBucket = []byte("entries")
	orderBucket   = []byte("order")
)

// tablePrefix is what the names of the tables' buckets begin with.
const tablePrefix = "table/"

const (
	// shrinkAtMost bounds how many entries one write takes out, beside
	// those that it replaces.
	shrinkAtMost = 4096
	// shrinkStep is how many of them are looked up at once.
	shrinkStep = 64
	// sweepAtLeast is how many entries one write looks at, and twice its
	// changes, to clear away those that have expired.
	sweepAtLeast = 16
	// orderFill is how full the pages of the order are: it grows at its end.
	orderFill = 0.95
)

// table is a table of the store, for all who have opened it.
type table struct {
	store  *store
	name   string
	bucket []byte
	quota  atomic.Pointer[core.Quota]

	hand []byte // where the sweep goes on; under the store's turn
}

// table opens a table. It has release called when it is closed, or if it fails.
func (s *store) table(name string, quota core.Quota, release func() error) (core.Table, error) {
	if name == "" {
		return nil, errors.Join(errors.New("a table needs a name"), release())
	}
	if s.memory != nil {
		t, err := s.memory.Table(name, quota)
		return t, errors.Join(err, release())
	}
	s.tablesMu.Lock()
	defer s.tablesMu.Unlock()
	t := s.tables[name]
	if t == nil {
		t = &table{store: s, name: name, bucket: []byte(tablePrefix + name)}
		s.tables[name] = t
	}
	t.quota.Store(&quota)
	return &handle{table: t, release: release}, nil
}

// part is an open table in a transaction.
type part struct {
	bucket         *bolt.Bucket
	entries, order *bolt.Bucket
	tally
}

// read opens the table; it is nil if there is none yet.
func (t *table) read(tx *bolt.Tx) (*part, error) {
	b := tx.Bucket(t.bucket)
	if b == nil {
		return nil, nil
	}
	p := &part{bucket: b, entries: b.Bucket(entriesBucket), order: b.Bucket(orderBucket)}
	if p.entries == nil || p.order == nil {
		return nil, damage("table %s lacks a part", t.name)
	}
	var err error
	p.tally, err = decodeTally(b.Get(tallyKey))
	return p, err
}

// write opens the table, making it if there is none.
func (t *table) write(tx *bolt.Tx) (*part, error) {
	if p, err := t.read(tx); p != nil || err != nil {
		return p, err
	}
	b, err := tx.CreateBucket(t.bucket)
	if err != nil {
		return nil, err
	}
	for _, name := range [][]byte{entriesBucket, orderBucket} {
		if _, err := b.CreateBucket(name); err != nil {
			return nil, err
		}
	}
	return t.read(tx)
}

// apply makes the changes of one write in a transaction, and goes on with what has
// to be done all the time: clearing away what has expired, keeping to the quota.
func (t *table) apply(tx *bolt.Tx, changes []core.Change, now time.Time) error {
	p, err := t.write(tx)
	if err != nil {
		return err
	}
	p.order.FillPercent = orderFill
	for _, c := range changes {
		if err := p.change(c, now); err != nil {
			return err
		}
	}
	if err := t.sweep(p, sweepAtLeast+2*len(changes), now); err != nil {
		return err
	}
	if err := t.shrink(p, shrinkAtMost+len(changes)); err != nil {
		return err
	}
	return p.bucket.Put(tallyKey, p.encode())
}

func (p *part) change(c core.Change, now time.Time) error {
	if err := p.remove(c.Key); err != nil || c.Value == nil {
		return err
	}
	h := header{seq: p.next, written: now.UnixNano(), expires: nanoseconds(c.Expires)}
	if err := p.entries.Put(c.Key, encode(h, c.Key, c.Value)); err != nil {
		return damage("an entry: %w", err)
	}
	if err := p.order.Put(place(h.seq), c.Key); err != nil {
		return damage("the order of a table: %w", err)
	}
	p.next++
	p.tally.entries++
	p.bytes += int64(len(c.Key) + len(c.Value))
	return nil
}

// remove takes out the entry of a key, if there is one.
func (p *part) remove(key []byte) error {
	stored := p.entries.Get(key)
	if stored == nil {
		return nil
	}
	if !plausible(key, stored) {
		return damage("an entry has an impossible length, %d and %d bytes", len(key), len(stored))
	}
	seq, size := peek(stored).seq, int64(len(key)+len(stored)-headerSize)
	if err := p.entries.Delete(key); err != nil {
		return damage("an entry: %w", err)
	}
	if err := p.order.Delete(place(seq)); err != nil {
		return damage("the order of a table: %w", err)
	}
	p.tally.entries = max(0, p.tally.entries-1)
	p.bytes = max(0, p.bytes-size)
	return nil
}

// place is the key of a write in the order.
func place(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// sweep looks at the next count entries and removes those that have expired.
func (t *table) sweep(p *part, count int, now time.Time) error {
	var gone [][]byte // at most count
	c := p.entries.Cursor()
	k, v := c.Seek(t.hand)
	for ; count > 0 && k != nil; count-- {
		if plausible(k, v) && peek(v).expired(now) {
			gone = append(gone, append([]byte(nil), k...))
		}
		k, v = c.Next()
	}
	t.hand = append([]byte(nil), k...) // or nil: begin again
	for _, key := range gone {
		if err := p.remove(key); err != nil {
			return err
		}
	}
	return nil
}

// shrink removes what was written longest ago until the quota is met, at most
// count entries.
func (t *table) shrink(p *part, count int) error {
	for quota := *t.quota.Load(); count > 0 && quota.Exceeded(p.stat()); {
		oldest := p.oldest(min(count, shrinkStep))
		if len(oldest) == 0 {
			// The count is wrong: something was damaged.
			p.tally.entries, p.bytes = 0, 0
			return nil
		}
		for _, o := range oldest {
			if !quota.Exceeded(p.stat()) {
				break
			}
			if err := p.evict(o); err != nil {
				return err
			}
			count--
		}
	}
	return nil
}

// aged is an entry in the order.
type aged struct {
	seq uint64
	key []byte
}

// oldest lists the entries that were written longest ago.
func (p *part) oldest(count int) []aged {
	list := make([]aged, 0, count)
	c := p.order.Cursor()
	for k, v := c.First(); k != nil && len(list) < count; k, v = c.Next() {
		if len(k) == 8 && len(v) <= core.MaxStorageKey {
			list = append(list, aged{binary.BigEndian.Uint64(k), append([]byte(nil), v...)})
		}
	}
	return list
}

// evict removes an entry, or its place in the order alone if another one has come
// under its key, which only happens to damaged files.
func (p *part) evict(o aged) error {
	stored := p.entries.Get(o.key)
	if stored != nil && plausible(o.key, stored) && peek(stored).seq == o.seq {
		return p.remove(o.key)
	}
	if err := p.order.Delete(place(o.seq)); err != nil {
		return damage("the order of a table: %w", err)
	}
	return nil
}
