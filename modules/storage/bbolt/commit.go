// SPDX-License-Identifier: Apache-2.0 OR MIT

package bbolt

import (
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/xnode-p2p/xnode/core"
)

// Bounds of what is written in one transaction. A single Apply is not divided.
const (
	maxBatchChanges = 4096
	maxBatchBytes   = 4 << 20
)

// commits makes one transaction of the writes that come while another one is under
// way: all of them wait for the disk together.
type commits struct {
	queueMu sync.Mutex
	queue   []*write // one each caller, who waits

	turn    sync.Mutex // held during a transaction
	maxSize int        // of the file; under turn once the store is open
}

// write is one call of Apply.
type write struct {
	table   *table
	changes []core.Change
	bytes   int

	// Under turn.
	done bool
	err  error
}

// apply makes changes of a table durable. Who gets the turn does it for all who
// wait.
func (s *store) apply(t *table, changes []core.Change) error {
	w := &write{table: t, changes: changes}
	for _, c := range changes {
		w.bytes += len(c.Key) + len(c.Value)
	}
	s.queueMu.Lock()
	s.queue = append(s.queue, w)
	s.queueMu.Unlock()

	s.turn.Lock()
	defer s.turn.Unlock()
	for !w.done {
		s.commit(s.take())
	}
	return w.err
}

// take returns the writes of the next transaction.
func (c *commits) take() []*write {
	c.queueMu.Lock()
	defer c.queueMu.Unlock()
	n, changes, size := 0, 0, 0
	for n < len(c.queue) && (n == 0 || changes+len(c.queue[n].changes) <= maxBatchChanges && size+c.queue[n].bytes <= maxBatchBytes) {
		changes += len(c.queue[n].changes)
		size += c.queue[n].bytes
		n++
	}
	batch := c.queue[:n:n]
	c.queue = c.queue[n:]
	if len(c.queue) == 0 {
		c.queue = nil
	}
	return batch
}

// commit writes a batch in one transaction, which succeeds or fails for all.
func (s *store) commit(batch []*write) {
	err := s.use(func(f *file) error {
		f.db.MaxSize = s.maxSize
		return f.db.Update(func(tx *bolt.Tx) error {
			now := time.Now()
			for _, w := range batch {
				if err := w.table.apply(tx, w.changes, now); err != nil {
					return err
				}
			}
			return nil
		})
	})
	for _, w := range batch {
		w.done, w.err = true, err
	}
}

// setMaxSize bounds the file from now on.
func (s *store) setMaxSize(size core.Size) {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.maxSize = int(size)
}
