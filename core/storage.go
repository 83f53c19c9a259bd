// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"errors"
	"fmt"
	"iter"
	"time"
)

// Storage is the kind of module that keeps what is to outlive a run of the
// node, or is too much for its memory. A node has one; [Find] finds it. It may
// be called from many goroutines.
type Storage interface {
	Service

	// Table opens the table of a name, which is made if there is none. The
	// name is that of the module that it belongs to, a slash and what it
	// holds, such as "kad/providers". A table that was opened stays usable
	// until it is closed, even if the storage is closed before. It may be open
	// more than once, as it is while a reload replaces the module that it
	// belongs to; the quota is then that of the latest call.
	Table(name string, quota Quota) (Table, error)
}

// Quota bounds a table. What was written longest ago makes room for the new. A
// table that has more in it when it is opened shrinks as it is written to, a few
// thousand entries at a time.
type Quota struct {
	// Bytes bounds keys and values together. Zero means no bound.
	Bytes Size
	// Entries bounds how many there are. Zero means no bound.
	Entries int
}

// Table is a set of entries, each with a key of its own, in the order of their
// keys. It may be called from many goroutines.
type Table interface {
	// Get returns the value of a key. It fails with [ErrNotFound] if there is
	// none, or if it has expired.
	Get(key []byte) ([]byte, error)
	// Apply makes all changes in their order, or none if it fails. When it
	// returns nil they are as safe as the storage makes anything: a storage
	// on a disk has them there. It does not keep the slices. Changes that
	// [Quota].Check refuses fail.
	Apply(changes ...Change) error
	// Scan yields the entries whose keys have a prefix, in the order of their
	// keys, without those that have expired. The table may change meanwhile:
	// what is yielded is how it was at some time since the scan began, for
	// each entry. An error, if there is one, is the last that it yields.
	Scan(prefix []byte) iter.Seq2[Entry, error]
	// Stat says how much there is. Expired entries count until they have been
	// cleared away.
	Stat() (TableStat, error)
	// Close lets go of the table. It keeps its entries. Whatever else is
	// called after it fails with [net.ErrClosed].
	Close() error
}

// Entry is one entry of a [Table]. Its slices belong to the receiver.
type Entry struct {
	Key, Value []byte
	// Written is when it was last written, to the second.
	Written time.Time
	// Expires is when it ends; zero means never.
	Expires time.Time
}

// Change is one change of a [Table]: with a nil Value the key is deleted, and
// otherwise written, also if Value is empty. Keys have 1 to [MaxStorageKey] bytes,
// values at most [MaxStorageValue].
type Change struct {
	Key, Value []byte
	// Expires is when the entry ends; zero means never.
	Expires time.Time
}

// Bounds of what is in a [Table], in bytes.
const (
	MaxStorageKey   = 1024
	MaxStorageValue = 4 << 20
)

// Check says why a change cannot be made in a table with this quota, or nil.
func (q Quota) Check(c Change) error {
	switch {
	case len(c.Key) == 0:
		return errors.New("a key is empty")
	case len(c.Key) > MaxStorageKey:
		return fmt.Errorf("a key of %d bytes, of at most %d: %w", len(c.Key), MaxStorageKey, ErrTooLarge)
	case len(c.Value) > MaxStorageValue:
		return fmt.Errorf("a value of %d bytes, of at most %d: %w", len(c.Value), MaxStorageValue, ErrTooLarge)
	case c.Value != nil && q.Bytes > 0 && len(c.Key)+len(c.Value) > int(q.Bytes):
		return fmt.Errorf("an entry of %d bytes in a table of at most %d: %w", len(c.Key)+len(c.Value), q.Bytes, ErrTooLarge)
	}
	return nil
}

// Exceeded tells whether a table holds more than the quota.
func (q Quota) Exceeded(s TableStat) bool {
	return q.Bytes > 0 && s.Bytes > int64(q.Bytes) || q.Entries > 0 && s.Entries > q.Entries
}

// TableStat says how much a [Table] holds.
type TableStat struct {
	Entries int `json:"entries"`
	// Bytes are those of keys and values.
	Bytes int64 `json:"bytes"`
}
