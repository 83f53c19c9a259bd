// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

const (
	// maxProviding is how much content is announced at a time.
	maxProviding = 8
	// keptPause is how often what is kept is looked through for what is due.
	keptPause = 10 * time.Minute
)

// kept is the content that this node keeps provided. An entry of the table has
// the content's key as its key, and as its value the time of the last
// announcement in seconds, in eight bytes; zero if there was none.
type kept struct {
	table core.Table
}

// note notes when content was announced.
func (s *kept) note(key []byte, at time.Time) error {
	var value [8]byte
	if !at.IsZero() {
		binary.BigEndian.PutUint64(value[:], uint64(at.Unix()))
	}
	if err := s.table.Apply(core.Change{Key: key, Value: value[:]}); err != nil {
		return fmt.Errorf("keep: %w", err)
	}
	return nil
}

// Keep implements [core.DHT]. If the announcement fails it is made later.
func (k *Kad) Keep(ctx context.Context, key []byte) error {
	if err := checkContentKey(key); err != nil {
		return err
	}
	s, err := k.keptContent()
	if err != nil {
		return err
	}
	if err := s.note(key, time.Time{}); err != nil {
		return err
	}
	if err := k.Provide(ctx, key); err != nil {
		return err
	}
	return s.note(key, time.Now())
}

// Unkeep implements [core.DHT].
func (k *Kad) Unkeep(key []byte) error {
	s, err := k.keptContent()
	if err != nil {
		return err
	}
	return s.table.Apply(core.Change{Key: key})
}

// Kept implements [core.DHT].
func (k *Kad) Kept() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		s, err := k.keptContent()
		if err != nil {
			yield(nil, err)
			return
		}
		for e, err := range s.table.Scan(nil) {
			if !yield(e.Key, err) {
				return
			}
		}
	}
}

func (k *Kad) keptContent() (*kept, error) {
	dhts, err := k.running()
	if err != nil {
		return nil, err
	}
	return dhts[0].kept, nil
}

// republish announces what is due, until the DHT ends.
func (k *Kad) republish(d *dht) {
	for {
		select {
		case <-d.done:
			return
		case <-time.After(keptPause):
		}
		if d.contacts.size() > 0 {
			k.announceDue(d)
			k.putDue(d)
		}
	}
}

// announceDue announces all kept content that was announced long ago.
func (k *Kad) announceDue(d *dht) {
	ctx, end := d.begin(context.Background(), 0)
	defer end()
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, maxProviding)
	for e, err := range d.kept.table.Scan(nil) {
		if err != nil {
			d.log.Warn("kept content", "error", err)
			return
		}
		if len(e.Value) != 8 || time.Since(time.Unix(int64(binary.BigEndian.Uint64(e.Value)), 0)) < time.Duration(k.Republish) {
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		wg.Go(func() {
			defer func() { <-slots }()
			err := k.Provide(ctx, e.Key)
			if err == nil {
				err = d.kept.noteAgain(e.Key, time.Now())
			}
			if err != nil && ctx.Err() == nil && !errors.Is(err, core.ErrNotFound) {
				d.log.Warn("announce kept content", "error", err)
			}
		})
	}
}

// noteAgain is note for content that may not be kept any more.
func (s *kept) noteAgain(key []byte, at time.Time) error {
	if _, err := s.table.Get(key); err != nil {
		return err
	}
	return s.note(key, at)
}
