// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package seqno lets no message through whose number is not above those of all
// messages of its author on the topic that came before, so that messages which a
// node has forgotten cannot be sent to it again.
//
//	"validators": [{"module": "seqno"}]
//
// Authors must count upwards, as all libp2p stacks do that number messages by
// the clock. Messages that overtake each other on different ways are lost: it is
// for topics on which a newer message replaces the older.
package seqno

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
)

func init() { core.Register(new(Validator), core.Beta) }

// Validator is the xnode.pubsub.validator.seqno module. A message that is too old
// is ignored, and nobody to blame. So is one without an author.
type Validator struct {
	// Authors is how many authors' numbers are remembered; one on two topics
	// counts twice. Who was heard of longest ago makes room for a new one.
	// Default: 100000.
	Authors int `json:"authors,omitempty"`
	// Save is how often the numbers are written to the node's storage. With what
	// is there the validator goes on after a restart; where the node ends without
	// warning, what came since is forgotten.
	// Default: "10s".
	Save core.Duration `json:"save,omitempty"`

	log *slog.Logger

	mu      sync.Mutex
	numbers *numbers

	table core.Table // nil if the node has no storage
	stop  context.CancelFunc
	wg    sync.WaitGroup
}

// CaddyModule implements [caddy.Module].
func (*Validator) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.pubsub.validator.seqno", New: func() caddy.Module { return new(Validator) }}
}

// Provision implements [caddy.Provisioner].
func (v *Validator) Provision(ctx caddy.Context) error {
	v.log = core.Logger(ctx)
	if v.Authors == 0 {
		v.Authors = 100_000
	}
	if v.Save == 0 {
		v.Save = core.Duration(10 * time.Second)
	}
	v.numbers = newNumbers(v.Authors)
	return nil
}

// Validate implements [caddy.Validator].
func (v *Validator) Validate() error {
	if v.Authors < 1 || v.Authors > 10_000_000 {
		return fmt.Errorf("authors: want 1 to 10000000, have %d", v.Authors)
	}
	if d := time.Duration(v.Save); d < 100*time.Millisecond || d > time.Hour {
		return fmt.Errorf("save: want 100ms to 1h, have %s", d)
	}
	return nil
}

// ValidateMessage implements [core.TopicValidator].
func (v *Validator) ValidateMessage(_ context.Context, m *core.TopicMessage) core.TopicVerdict {
	if m.From == "" {
		return core.TopicIgnore
	}
	if len(m.Seqno) != 8 {
		return core.TopicReject
	}
	a, number := author{m.From, m.Topic}, binary.BigEndian.Uint64(m.Seqno)
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.numbers.raise(a, number) {
		return core.TopicIgnore
	}
	if v.table != nil {
		v.numbers.dirty[a] = number
	}
	return core.TopicAccept
}

// ValidatesInOrder implements [core.OrderedTopicValidator].
func (*Validator) ValidatesInOrder() {}

// Start implements [core.Service].
func (v *Validator) Start(_ context.Context, n core.Node) error {
	storage, ok := core.Find[core.Storage](n)
	if !ok {
		return nil
	}
	table, err := storage.Table("pubsub.validator.seqno/authors", core.Quota{Entries: v.Authors})
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	v.mu.Lock()
	v.table = table
	v.mu.Unlock()
	if err := v.load(table); err != nil {
		return errors.Join(fmt.Errorf("storage: %w", err), v.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	v.stop = cancel
	v.wg.Go(func() { v.saveEvery(ctx, table) })
	return nil
}

// load takes what others have written.
func (v *Validator) load(table core.Table) error {
	for e, err := range table.Scan(nil) {
		if err != nil {
			return err
		}
		v.mu.Lock()
		v.numbers.take(e.Key, e.Value)
		v.mu.Unlock()
	}
	return nil
}

func (v *Validator) saveEvery(ctx context.Context, table core.Table) {
	ticker := time.NewTicker(time.Duration(v.Save))
	defer ticker.Stop()
	for first := true; ; first = false {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		var err error
		if first { // what the instance wrote last that this one replaces
			err = v.load(table)
		}
		if err = errors.Join(err, v.save(table)); err != nil {
			v.log.Warn("numbers of messages not saved", "error", err)
		}
	}
}

// save writes what has changed.
func (v *Validator) save(table core.Table) error {
	v.mu.Lock()
	changes := v.numbers.changes()
	v.mu.Unlock()
	if len(changes) == 0 {
		return nil
	}
	return table.Apply(changes...)
}

// Close implements [core.Service].
func (v *Validator) Close() error {
	if v.stop != nil {
		v.stop()
	}
	v.wg.Wait()
	v.mu.Lock()
	table := v.table
	v.table = nil
	v.mu.Unlock()
	if table == nil {
		return nil
	}
	return errors.Join(v.save(table), table.Close())
}

var (
	_ core.OrderedTopicValidator = (*Validator)(nil)
	_ core.Service               = (*Validator)(nil)
	_ caddy.Provisioner          = (*Validator)(nil)
	_ caddy.Validator            = (*Validator)(nil)
)
