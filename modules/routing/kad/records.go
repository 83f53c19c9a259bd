// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/modules/routing/internal/kadwire"
)

// errNotEchoed means that a peer has not confirmed that it stored a record.
var errNotEchoed = errors.New("the peer has not confirmed the record")

// PutValue implements [core.ValueStore]. The record is stored here too.
func (k *Kad) PutValue(ctx context.Context, key string, value []byte) error {
	d, err := k.first()
	if err != nil {
		return err
	}
	ctx, end := d.begin(ctx, time.Duration(k.QueryTimeout))
	defer end()
	r := &record.ValueRecord{Key: key, Value: value}
	if err := d.values.put(key, r, time.Now()); err != nil {
		return fmt.Errorf("put value: %w", err)
	}
	if err := d.spread(ctx, []byte(key), d.putter(r)); err != nil {
		return fmt.Errorf("put value: %w", err)
	}
	return nil
}

// putter returns a function that asks a peer to store a record.
func (d *dht) putter(r *record.ValueRecord) func(context.Context, peer.ID) error {
	encoded := (&record.ValueRecord{Key: r.Key, Value: r.Value}).Marshal()
	return func(ctx context.Context, p peer.ID) error {
		ctx, cancel := context.WithTimeout(ctx, time.Duration(d.kad.RequestTimeout))
		defer cancel()
		message := kadwire.NewBuffer(kadwire.PutValue, []byte(r.Key), 0)
		defer message.Free()
		message.Record(encoded)
		d.stats.asked[kadwire.PutValue].Add(1)
		answer, err := d.lines.request(ctx, p, kadwire.PutValue, message.Frame())
		if err != nil {
			// It may be about the record, not about the peer.
			d.stats.failed.Add(1)
			return err
		}
		var echo record.ValueRecord
		if err := echo.Unmarshal(answer.Record); err != nil || !bytes.Equal(echo.Value, r.Value) {
			return fmt.Errorf("%v: %w", p, errNotEchoed)
		}
		return nil
	}
}

// GetValue implements [core.ValueStore].
func (k *Kad) GetValue(ctx context.Context, key string) ([]byte, error) {
	var best []byte
	for value, err := range k.SearchValue(ctx, key) {
		if err != nil && best == nil {
			return nil, err
		}
		if err == nil {
			best = value
		}
	}
	if best == nil {
		return nil, fmt.Errorf("get value: %w", core.ErrNotFound)
	}
	return best, nil
}

// SearchValue implements [core.ValueStore]. When it has ended, those of the
// closest peers that sent a worse record, or none, are sent the best.
func (k *Kad) SearchValue(ctx context.Context, key string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		dhts, err := k.running()
		if err == nil {
			err = k.checkRecordKey(key)
		}
		if err != nil {
			yield(nil, fmt.Errorf("search value: %w", err))
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		found := newStream[[]byte](ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		wg.Go(func() {
			_, err := race(dhts, cancel, func(d *dht) (struct{}, bool, error) {
				return struct{}{}, false, d.searchValue(ctx, key, found.send)
			})
			found.end(err)
		})
		var best []byte
		for value, err := range found.all {
			if err != nil {
				yield(nil, fmt.Errorf("search value: %w", err))
				return
			}
			if best != nil && !k.better(key, value, best) {
				continue
			}
			best = value
			if !yield(value, nil) {
				return
			}
		}
	}
}

// checkRecordKey says why there can be no record of a key.
func (k *Kad) checkRecordKey(key string) error {
	if err := checkKey([]byte(key)); err != nil {
		return err
	}
	namespace, err := record.Namespace(key)
	if err == nil && k.validators[namespace] == nil {
		err = k.validators.Validate(key, nil) // says which there are
	}
	return err
}

// SelectValue implements [core.ValueJudge].
func (k *Kad) SelectValue(key string, values [][]byte) (best int, err error) {
	return k.validators.Select(key, values)
}

// better tells whether a valid value is better than another.
func (k *Kad) better(key string, value, than []byte) bool {
	if bytes.Equal(value, than) {
		return false
	}
	best, err := k.validators.Select(key, [][]byte{than, value})
	return err == nil && best == 1
}

// tally is what a search for a value has found.
type tally struct {
	best   *record.ValueRecord
	votes  map[peer.ID]bool // who has sent a valid record, and whether it is the best
	quorum int              // how many are enough; zero means all
}

// add counts a valid record. It returns whether it is better than all before.
func (t *tally) add(k *Kad, from peer.ID, r *record.ValueRecord) (better bool) {
	switch {
	case t.best == nil || k.better(r.Key, r.Value, t.best.Value):
		clear(t.votes)
		t.best, better = r, true
		t.votes[from] = true
	case bytes.Equal(r.Value, t.best.Value):
		t.votes[from] = true
	}
	return better
}

// searchValue sends the records that this node and others have, each better than
// the one before, until there are as many as the quorum or send returns false.
func (d *dht) searchValue(ctx context.Context, key string, send func([]byte) bool) error {
	ctx, end := d.begin(ctx, time.Duration(d.kad.QueryTimeout))
	defer end()
	t := &tally{votes: make(map[peer.ID]bool), quorum: *d.kad.Quorum}
	sent := 0
	own, err := d.values.get(key)
	switch {
	case err == nil:
		sent++
		t.add(d.kad, d.node.ID(), own)
		if !send(own.Value) {
			return nil
		}
	case !errors.Is(err, core.ErrNotFound):
		d.log.Warn("stored record", "error", err) // others may have it
	}
	wanted := true
	closest, err := d.lookup(ctx, search{
		request: kadwire.GetValue, key: []byte(key),
		heard: func(from peer.ID, _ ma.Multiaddr, answer *kadwire.Message) (found int, enough bool) {
			if answer.Record == nil {
				return 0, false
			}
			r := new(record.ValueRecord)
			if r.Unmarshal(answer.Record) != nil || d.kad.validators.Check(key, r) != nil {
				return 0, false
			}
			sent++
			if t.add(d.kad, from, r) && !send(r.Value) {
				wanted = false
			}
			return 1, !wanted || t.quorum > 0 && sent >= t.quorum
		},
		over: func() bool { return !wanted },
	})
	if t.best != nil {
		d.correct(t, closest)
		return nil
	}
	return err
}

// correct sends the best record to those of the closest peers that have not sent
// it, and stores it here if this node had a worse one. Nobody waits for it.
func (d *dht) correct(t *tally, closest []peer.AddrInfo) {
	var stale []peer.AddrInfo
	for _, p := range closest {
		if !t.votes[p.ID] {
			stale = append(stale, p)
		}
	}
	best := *t.best
	d.spawn(func() {
		ctx, end := d.begin(context.Background(), time.Duration(d.kad.QueryTimeout))
		defer end()
		if _, err := d.values.get(best.Key); err == nil && !t.votes[d.node.ID()] {
			if err := d.values.put(best.Key, &best, time.Now()); err != nil {
				d.log.Debug("correct own record", "error", err)
			}
		}
		var wg sync.WaitGroup
		put := d.putter(&best)
		for _, p := range stale {
			wg.Go(func() {
				if err := put(ctx, p.ID); err != nil {
					d.log.Debug("correct record", "peer", p.ID, "error", err)
				}
			})
		}
		wg.Wait()
	})
}
