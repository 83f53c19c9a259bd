// SPDX-License-Identifier: Apache-2.0 OR MIT

package bbolt

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/modules/storage/internal/memtable"
)

// asideAtMost is how many damaged files one run replaces. Past that the disk is
// to blame, and would only fill up.
const asideAtMost = 3

// store is a file and its tables.
type store struct {
	path string
	log  *slog.Logger
	// memory is in place of the file if that could not be used from the start.
	memory *memtable.Store

	mu     sync.RWMutex // held for reading while the file is used
	file   *file        // nil once closed, or if a damaged one could not be replaced
	closed bool
	aside  int // damaged files that were replaced

	commits // the writes

	tablesMu sync.Mutex
	tables   map[string]*table // one each name that modules use

	spoiled sync.Once // the warning about entries
}

// openStore opens the file at path, whatever is there.
func openStore(path string, maxSize core.Size, log *slog.Logger) *store {
	s := &store{path: path, log: log, tables: make(map[string]*table)}
	s.maxSize = int(maxSize)
	f, err := openFile(path, s.maxSize)
	if damaged, ok := errors.AsType[*damageError](err); ok {
		f, err = s.replace(damaged)
	}
	if err != nil {
		log.Warn("the store cannot be used: what modules store is in memory and will be lost when the node stops",
			"path", path, "reason", err, "remedy", "mend that and restart, or choose another path in storage")
		s.memory = new(memtable.Store)
		return s
	}
	s.file = f
	return s
}

// replace puts a damaged file aside and makes a new one.
func (s *store) replace(damage *damageError) (*file, error) {
	s.aside++
	if s.aside > asideAtMost {
		return nil, fmt.Errorf("%d stores in a row were damaged; the last: %w", s.aside, damage)
	}
	name, err := setAside(s.path)
	if err != nil {
		return nil, fmt.Errorf("it is damaged (%w) and cannot be renamed: %w", damage, err)
	}
	s.log.Warn("the store is damaged and was put aside; a new, empty one takes its place",
		"path", s.path, "moved_to", name, "reason", damage)
	return openFile(s.path, s.maxSize)
}

// setAside renames the file at path and returns its new name.
func setAside(path string) (name string, err error) {
	name = path + ".bad-" + time.Now().UTC().Format("20060102T150405Z")
	for i := 2; ; i++ {
		if _, err := os.Lstat(name); errors.Is(err, os.ErrNotExist) {
			break
		}
		name = fmt.Sprintf("%s.bad-%s-%d", path, time.Now().UTC().Format("20060102T150405Z"), i)
	}
	if err := os.Rename(path, name); err != nil {
		return "", err
	}
	syncFolder(filepath.Dir(path))
	return name, nil
}

// view reads from the file.
func (s *store) view(read func(*bolt.Tx) error) error {
	return s.use(func(f *file) error { return f.db.View(read) })
}

// use calls what with the file. A file that turns out to be damaged is replaced;
// the error of that is the caller's all the same.
func (s *store) use(what func(*file) error) error {
	s.mu.RLock()
	f, closed := s.file, s.closed
	if f == nil {
		s.mu.RUnlock()
		if closed {
			return net.ErrClosed
		}
		return fmt.Errorf("%s: damaged, and could not be replaced: restart the node", s.path)
	}
	err := guard(func() error { return what(f) })
	s.mu.RUnlock()
	if damage, ok := errors.AsType[*damageError](err); ok {
		s.damaged(f, damage)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	return nil
}

// damaged replaces a file, unless somebody else has done so.
func (s *store) damaged(f *file, damage *damageError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != f || s.closed {
		return
	}
	f.abandon()
	var err error
	if s.file, err = s.replace(damage); err != nil {
		s.file = nil
		s.log.Error("the store is damaged: nothing is stored any more", "path", s.path, "reason", err)
	}
}

// Close implements [io.Closer].
func (s *store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.file
	s.file, s.closed = nil, true
	if f == nil {
		return nil
	}
	return f.close()
}
