// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package bbolt keeps what modules store in one file, a bbolt database
// (https://github.com/etcd-io/bbolt).
//
//	"storage": {"module": "bbolt", "path": "{xnode.data}/store.db"}
//
// What is written is on the disk when the write returns; writes that come
// together share the wait for that. A file that is damaged or is no store is
// renamed to store.db.bad-TIME and a new one is made; where no file can be used,
// because another node uses it, say, the node runs with its memory alone. Both
// are said in the log, and neither keeps the node from starting.
//
// The file never becomes smaller: room that is free in it is used again.
package bbolt

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
)

func init() { core.Register(new(Bbolt), core.Beta) }

// defaultPath is where the file is if the configuration does not say.
const defaultPath = "{xnode.data}/store.db"

// Bbolt is the module.
type Bbolt struct {
	// Path of the file. Placeholders are replaced. It is made if there is
	// none, and its folder too; only the user can read it.
	// Default: {xnode.data}/store.db.
	Path string `json:"path,omitempty"`
	// MaxSize bounds the size of the file, at least "1MiB". What does not fit
	// is refused; the bounds of the modules' own tables come before that.
	// Default: "4GiB".
	MaxSize core.Size `json:"max_size,omitempty"`

	path string // absolute, without placeholders
	log  *slog.Logger

	mu      sync.Mutex
	shares  core.Shares // nil unless started
	store   *store
	release func() error
}

// CaddyModule implements [caddy.Module].
func (*Bbolt) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.storage.bbolt", New: func() caddy.Module { return new(Bbolt) }}
}

// Provision implements [caddy.Provisioner]. It does not look at the file.
func (b *Bbolt) Provision(ctx caddy.Context) error {
	b.log = core.Logger(ctx)
	if b.MaxSize == 0 {
		b.MaxSize = 4 << 30
	}
	path := b.Path
	if path == "" {
		path = defaultPath
	}
	path, err := core.Expand(path)
	if err != nil {
		return fmt.Errorf("path: %w", err)
	}
	if b.path, err = filepath.Abs(path); err != nil {
		return fmt.Errorf("path: %w", err)
	}
	return nil
}

// Validate implements [caddy.Validator].
func (b *Bbolt) Validate() error {
	if b.MaxSize < 1<<20 {
		return fmt.Errorf(`max_size: %v is too little; write at least "1MiB"`, b.MaxSize)
	}
	return nil
}

// storeKey is the key of the open file among what the modules of a node share.
type storeKey struct{ path string }

// Start implements [core.Service]. It opens the file, or goes on without it.
func (b *Bbolt) Start(_ context.Context, n core.Node) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, release, err := b.share(n)
	if err != nil {
		return err
	}
	s.setMaxSize(b.MaxSize)
	b.shares, b.store, b.release = n, s, release
	return nil
}

// share returns the open file, which belongs to all who have it.
func (b *Bbolt) share(n core.Shares) (*store, func() error, error) {
	return core.Share(n, storeKey{b.path}, func() (*store, error) { return openStore(b.path, b.MaxSize, b.log), nil })
}

// Table implements [core.Storage].
func (b *Bbolt) Table(name string, quota core.Quota) (core.Table, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shares == nil {
		return nil, fmt.Errorf("table %s: storage bbolt: %w", name, net.ErrClosed)
	}
	s, release, err := b.share(b.shares) // the table has it too
	if err != nil {
		return nil, err
	}
	t, err := s.table(name, quota, release)
	if err != nil {
		return nil, fmt.Errorf("table %q: %w", name, err)
	}
	return t, nil
}

// Close implements [core.Service].
func (b *Bbolt) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shares == nil {
		return nil
	}
	b.shares = nil
	return b.release()
}

var (
	_ core.Storage      = (*Bbolt)(nil)
	_ caddy.Provisioner = (*Bbolt)(nil)
	_ caddy.Validator   = (*Bbolt)(nil)
)
