// SPDX-License-Identifier: Apache-2.0 OR MIT

package host

import (
	"errors"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/peerstore"
	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	// keepTable is where the peers are kept.
	keepTable = "peerstore/peers"
	// keepInterval is how often they are written, those that have changed.
	keepInterval = time.Minute
	// keepBatch is how many of them are written at once.
	keepBatch = 256
)

// keepQuota bounds what is kept of peers.
var keepQuota = core.Quota{Entries: 10_000, Bytes: 32 << 20}

// keeper has the peerstore outlive the node, if there is a storage.
type keeper struct {
	book *peerstore.Book
	log  *slog.Logger

	mu      sync.Mutex // held while peers are read and written
	storage core.Storage
	table   core.Table         // nil without a storage
	written map[peer.ID]uint64 // hashes of what is in the table; bounded by keepQuota
	seed    maphash.Seed
	failed  bool // the last time; so that it is said once
	stop    chan struct{}
	running sync.WaitGroup
}

func newKeeper(book *peerstore.Book, log *slog.Logger) *keeper {
	return &keeper{book: book, log: log, seed: maphash.MakeSeed()}
}

// use keeps peers in a storage from now on; nil means nowhere. The peers that it
// has are restored. What fails is logged: the node works without it.
func (k *keeper) use(s core.Storage) {
	k.mu.Lock()
	same := k.storage == s
	k.mu.Unlock()
	if same {
		return
	}
	k.close()
	if s == nil {
		return
	}
	table, err := s.Table(keepTable, keepQuota)
	if err != nil {
		k.log.Warn("peers are not kept", "reason", err)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.storage, k.table, k.written, k.failed = s, table, make(map[peer.ID]uint64), false
	k.restore()
	stop := make(chan struct{})
	k.stop = stop
	k.running.Go(func() { k.run(stop) })
}

// restore reads all peers.
func (k *keeper) restore() {
	for e, err := range k.table.Scan(nil) {
		if err != nil {
			k.log.Warn("peers are not restored", "reason", err)
			return
		}
		if err := k.book.Restore(peer.ID(e.Key), e.Value); err != nil {
			k.log.Debug("a peer is not restored", "reason", err)
		}
	}
}

func (k *keeper) run(stop chan struct{}) {
	tick := time.NewTicker(keepInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			k.save()
		case <-stop:
			return
		}
	}
}

// save writes the peers that have changed.
func (k *keeper) save() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.table == nil {
		return
	}
	met := k.book.Met()
	if len(met) > keepQuota.Entries {
		met = met[:keepQuota.Entries]
	}
	hashes := make(map[peer.ID]uint64, len(met))
	var err error
	var changes []core.Change
	write := func() {
		err = errors.Join(err, k.table.Apply(changes...))
		changes = nil
	}
	for _, p := range met {
		text, until := k.book.Kept(p)
		if text == nil || len(text) > core.MaxStorageValue {
			continue
		}
		hashes[p] = maphash.Bytes(k.seed, text)
		if hashes[p] != k.written[p] {
			changes = append(changes, core.Change{Key: []byte(p), Value: text, Expires: until})
		}
		if len(changes) == keepBatch {
			write()
		}
	}
	if len(changes) > 0 {
		write()
	}
	if err == nil {
		k.written = hashes
	} else if !k.failed {
		k.log.Warn("peers are not kept", "reason", err)
	}
	k.failed = err != nil
}

// close writes what there is and lets go of the storage.
func (k *keeper) close() {
	k.mu.Lock()
	stop := k.stop
	k.stop = nil
	k.mu.Unlock()
	if stop == nil {
		return
	}
	close(stop)
	k.running.Wait()
	k.save()
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.table.Close(); err != nil {
		k.log.Warn("peers may not be kept", "reason", err)
	}
	k.storage, k.table, k.written = nil, nil, nil
}
