// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
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
	// until it is closed, even if the storage is closed before.
	Table(name string, quota Quota) (Table, error)
}

// Quota bounds a table. What was written longest ago makes room for the new.
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
	// Apply makes all changes, or none if it fails. When it returns nil they
	// are as safe as the storage makes anything: a storage on a disk has
	// them there. It does not keep the slices.
	Apply(changes ...Change) error
	// Scan yields the entries whose keys have a prefix, in the order of their
	// keys, without those that have expired. The table may change meanwhile:
	// what is yielded is how it was at some time since the scan began, for
	// each entry. An error, if there is one, is the last that it yields.
	Scan(prefix []byte) iter.Seq2[Entry, error]
	// Stat says how much there is. Expired entries count until they have been
	// cleared away.
	Stat() (TableStat, error)
	// Close lets go of the table. It keeps its entries.
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
// otherwise written. Keys have 1 to [MaxStorageKey] bytes.
type Change struct {
	Key, Value []byte
	// Expires is when the entry ends; zero means never.
	Expires time.Time
}

// MaxStorageKey bounds the keys of a [Table], in bytes.
const MaxStorageKey = 1024

// TableStat says how much a [Table] holds.
type TableStat struct {
	Entries int
	// Bytes are those of keys and values.
	Bytes int64
}
