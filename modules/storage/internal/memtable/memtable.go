// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package memtable has tables in memory, for the storages that have nothing else
// and for those that cannot use what they have.
package memtable

import (
	"errors"
	"fmt"
	"iter"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

const (
	// chunk bounds how many entries a scan takes at once.
	chunk = 128
	// shrinkAtMost bounds how many entries one Apply takes out, beside those
	// that it replaces.
	shrinkAtMost = 4096
	// sweepAtLeast is how many entries one Apply looks at, and twice its
	// changes, to clear away those that have expired.
	sweepAtLeast = 16
)

// Store is a set of tables. The zero Store is empty.
type Store struct {
	mu     sync.Mutex
	tables map[string]*table // one each name that modules use
}

// Table opens a table; see [core.Storage].
func (s *Store) Table(name string, quota core.Quota) (core.Table, error) {
	if name == "" {
		return nil, errors.New("a table needs a name")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tables[name]
	if t == nil {
		if s.tables == nil {
			s.tables = make(map[string]*table)
		}
		t = new(table)
		t.order.init()
		s.tables[name] = t
	}
	t.mu.Lock()
	t.quota = quota
	t.mu.Unlock()
	return &handle{name: name, table: t}, nil
}

// table is the entries of all who have opened a name.
type table struct {
	mu    sync.RWMutex
	quota core.Quota
	root  *node
	order ring // bounded by quota, as the tree is
	stat  core.TableStat
	hand  string // the key at which the clearing of expired entries goes on
}

// handle is a table that somebody has opened.
type handle struct {
	name   string
	table  *table
	closed atomic.Bool
}

// error adds the name of the table to an error.
func (h *handle) error(err error) error { return fmt.Errorf("table %s: %w", h.name, err) }

func (h *handle) check() error {
	if h.closed.Load() {
		return h.error(net.ErrClosed)
	}
	return nil
}

// Get implements [core.Table].
func (h *handle) Get(key []byte) ([]byte, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	h.table.mu.RLock()
	defer h.table.mu.RUnlock()
	n := h.table.root.find(string(key))
	if n == nil || n.expired(time.Now()) {
		return nil, h.error(core.ErrNotFound)
	}
	return []byte(n.value), nil
}

// Apply implements [core.Table].
func (h *handle) Apply(changes ...core.Change) error {
	if err := h.check(); err != nil {
		return err
	}
	h.table.mu.Lock()
	defer h.table.mu.Unlock()
	for _, c := range changes {
		if err := h.table.quota.Check(c); err != nil {
			return h.error(err)
		}
	}
	now := time.Now()
	for _, c := range changes {
		h.table.change(c, now)
	}
	h.table.sweep(sweepAtLeast+2*len(changes), now)
	for range shrinkAtMost + len(changes) {
		if !h.table.quota.Exceeded(h.table.stat) {
			break
		}
		h.table.remove(h.table.order.oldest())
	}
	return nil
}

func (t *table) change(c core.Change, now time.Time) {
	key := string(c.Key)
	if n := t.root.find(key); n != nil {
		t.remove(n)
	}
	if c.Value == nil {
		return
	}
	n := newNode(key, string(c.Value), now.Truncate(time.Second), c.Expires)
	t.root = t.root.insert(n)
	t.order.append(n)
	t.stat.Entries++
	t.stat.Bytes += n.size()
}

func (t *table) remove(n *node) {
	t.root = t.root.remove(n.key)
	n.unlink()
	t.stat.Entries--
	t.stat.Bytes -= n.size()
}

// sweep looks at the next count entries and removes those that have expired.
func (t *table) sweep(count int, now time.Time) {
	for range count {
		n := t.root.after(t.hand, false)
		if n == nil {
			t.hand = "" // no key is empty: begin again
			return
		}
		t.hand = n.key
		if n.expired(now) {
			t.remove(n)
		}
	}
}

// Scan implements [core.Table].
func (h *handle) Scan(prefix []byte) iter.Seq2[core.Entry, error] {
	start := string(prefix)
	return func(yield func(core.Entry, error) bool) {
		next, orEqual := start, true
		for {
			if err := h.check(); err != nil {
				yield(core.Entry{}, err)
				return
			}
			list, last := h.table.read(start, next, orEqual)
			for _, e := range list {
				if !yield(e, nil) {
					return
				}
			}
			if last == "" {
				return
			}
			next, orEqual = last, false
		}
	}
}

// read returns the next entries with a prefix, and the last key that it has
// looked at; that is empty if there are no more.
func (t *table) read(prefix, next string, orEqual bool) (list []core.Entry, last string) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	now := time.Now()
	for range chunk {
		n := t.root.after(next, orEqual)
		if n == nil || !strings.HasPrefix(n.key, prefix) {
			return list, ""
		}
		next, orEqual = n.key, false
		if !n.expired(now) {
			list = append(list, core.Entry{Key: []byte(n.key), Value: []byte(n.value), Written: n.written, Expires: n.expires})
		}
	}
	return list, next
}

// Stat implements [core.Table].
func (h *handle) Stat() (core.TableStat, error) {
	if err := h.check(); err != nil {
		return core.TableStat{}, err
	}
	h.table.mu.RLock()
	defer h.table.mu.RUnlock()
	return h.table.stat, nil
}

// Close implements [core.Table].
func (h *handle) Close() error {
	h.closed.Store(true)
	return nil
}

var _ core.Table = (*handle)(nil)
