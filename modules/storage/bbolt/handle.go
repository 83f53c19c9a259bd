// SPDX-License-Identifier: Apache-2.0 OR MIT

package bbolt

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"net"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/xnode-p2p/xnode/core"
)

// Bounds of what a scan takes out of the file at once: no transaction is open while
// its entries are looked at.
const (
	chunkEntries = 128
	chunkBytes   = 1 << 20
)

// handle is a table that somebody has opened.
type handle struct {
	*table
	release func() error
	closed  atomic.Bool
}

// error adds the name of the table to an error.
func (h *handle) error(err error) error { return fmt.Errorf("table %s: %w", h.name, err) }

// reads calls f with the table, if there is one, in a transaction.
func (h *handle) reads(f func(*part) error) error {
	if h.closed.Load() {
		return net.ErrClosed
	}
	return h.store.view(func(tx *bolt.Tx) error {
		p, err := h.table.read(tx)
		if p == nil || err != nil {
			return err
		}
		return f(p)
	})
}

// Get implements [core.Table].
func (h *handle) Get(key []byte) ([]byte, error) {
	var found []byte
	err := h.reads(func(p *part) error {
		stored := p.entries.Get(key)
		if stored == nil {
			return nil
		}
		head, value, err := decode(key, stored)
		if err == nil && !head.expired(time.Now()) {
			found = append([]byte{}, value...)
		}
		return err
	})
	switch {
	case err != nil:
		h.warn(err)
		return nil, h.error(err)
	case found == nil:
		return nil, h.error(core.ErrNotFound)
	}
	return found, nil
}

// warn says once in a run that an entry was damaged.
func (h *handle) warn(err error) {
	if errors.Is(err, errSpoiled) {
		h.store.spoiled.Do(func() {
			h.store.log.Warn("an entry of the store is damaged and will not be used; check the disk", "path", h.store.path, "table", h.name)
		})
	}
}

// Apply implements [core.Table].
func (h *handle) Apply(changes ...core.Change) error {
	if h.closed.Load() {
		return h.error(net.ErrClosed)
	}
	quota := *h.quota.Load()
	for _, c := range changes {
		if err := quota.Check(c); err != nil {
			return h.error(err)
		}
	}
	if len(changes) == 0 {
		return nil
	}
	if err := h.store.apply(h.table, changes); err != nil {
		return h.error(err)
	}
	return nil
}

// Scan implements [core.Table]. Damaged entries are left out.
func (h *handle) Scan(prefix []byte) iter.Seq2[core.Entry, error] {
	prefix = bytes.Clone(prefix)
	return func(yield func(core.Entry, error) bool) {
		s := scan{prefix: prefix}
		for !s.ended {
			s.chunk, s.ended = nil, true // which it is if there is no table
			if err := h.reads(s.read); err != nil {
				yield(core.Entry{}, h.error(err))
				return
			}
			if s.spoiled {
				h.warn(errSpoiled)
			}
			for _, e := range s.chunk {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// scan is the state of a scan between its transactions.
type scan struct {
	prefix  []byte
	last    []byte // the last key that was looked at; nil before the first
	chunk   []core.Entry
	ended   bool
	spoiled bool
}

// read takes out the next entries.
func (s *scan) read(p *part) error {
	now, size, looked := time.Now(), 0, 0
	c := p.entries.Cursor()
	k, v := c.Seek(s.prefix)
	if s.last != nil {
		if k, v = c.Seek(s.last); bytes.Equal(k, s.last) {
			k, v = c.Next()
		}
	}
	for ; k != nil && bytes.HasPrefix(k, s.prefix); k, v = c.Next() {
		if s.last != nil && bytes.Compare(k, s.last) <= 0 {
			return damage("keys are out of order")
		}
		if looked == chunkEntries || size >= chunkBytes {
			s.ended = false
			return nil
		}
		looked++
		size += len(k) + len(v)
		if len(k) > core.MaxStorageKey {
			return damage("a key has %d bytes", len(k))
		}
		s.last = append(s.last[:0:0], k...)
		head, value, err := decode(k, v)
		switch {
		case err != nil:
			s.spoiled = true
		case !head.expired(now):
			s.chunk = append(s.chunk, head.entry(k, value))
		}
	}
	return nil
}

// Stat implements [core.Table].
func (h *handle) Stat() (stat core.TableStat, err error) {
	err = h.reads(func(p *part) error {
		stat = p.stat()
		return nil
	})
	if err != nil {
		return core.TableStat{}, h.error(err)
	}
	return stat, nil
}

// Close implements [core.Table].
func (h *handle) Close() error {
	if h.closed.Swap(true) {
		return nil
	}
	return h.release()
}

var _ core.Table = (*handle)(nil)
