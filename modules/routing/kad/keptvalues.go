// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/record"
)

// keptValues are the records that this node keeps stored with others, as whoever
// made a record has to: others forget it. An entry of the table has the record's
// key as its key, and as its value the time at which it was last stored in
// seconds, in eight bytes, zero if it was not, and the record's value.
type keptValues struct {
	table core.Table
}

func (s *keptValues) note(key string, value []byte, at time.Time) error {
	b := make([]byte, 8, 8+len(value))
	if !at.IsZero() {
		binary.BigEndian.PutUint64(b, uint64(at.Unix()))
	}
	if err := s.table.Apply(core.Change{Key: []byte(key), Value: append(b, value...)}); err != nil {
		return fmt.Errorf("keep: %w", err)
	}
	return nil
}

// forget forgets a record, unless another one has come in its place.
func (s *keptValues) forget(e core.Entry) error {
	if now, err := s.table.Get(e.Key); err != nil || len(now) < 8 || string(now[8:]) != string(e.Value[8:]) {
		return err
	}
	return s.table.Apply(core.Change{Key: e.Key})
}

// KeepValue implements [core.DHT]. If nobody can be told now, it is stored later.
func (k *Kad) KeepValue(ctx context.Context, key string, value []byte) error {
	s, err := k.keptValues()
	if err == nil {
		err = k.validators.Validate(key, value)
	}
	if err == nil {
		err = s.note(key, value, time.Time{})
	}
	if err != nil {
		return err
	}
	if err := k.PutValue(ctx, key, value); err != nil {
		return err
	}
	return s.note(key, value, time.Now())
}

// UnkeepValue implements [core.DHT].
func (k *Kad) UnkeepValue(key string) error {
	s, err := k.keptValues()
	if err != nil {
		return err
	}
	return s.table.Apply(core.Change{Key: []byte(key)})
}

func (k *Kad) keptValues() (*keptValues, error) {
	dhts, err := k.running()
	if err != nil {
		return nil, err
	}
	return dhts[0].keptValues, nil
}

// putDue stores all kept records that were stored long ago, one after the other:
// there are few. Those that have ended, and those that others know a better one
// of, are no longer kept.
func (k *Kad) putDue(d *dht) {
	ctx, end := d.begin(context.Background(), 0)
	defer end()
	for e, err := range d.keptValues.table.Scan(nil) {
		if err != nil {
			d.log.Warn("kept records", "error", err)
			return
		}
		if ctx.Err() != nil {
			return
		}
		if len(e.Value) < 8 || time.Since(time.Unix(int64(binary.BigEndian.Uint64(e.Value)), 0)) < time.Duration(k.Republish) {
			continue
		}
		switch err := k.putAgain(ctx, string(e.Key), e.Value[8:]); {
		case err == nil:
			if now, err := d.keptValues.table.Get(e.Key); err == nil && string(now) == string(e.Value) {
				if err := d.keptValues.note(string(e.Key), e.Value[8:], time.Now()); err != nil {
					d.log.Warn("store kept record", "error", err)
				}
			}
		case errors.Is(err, record.ErrWorse), errors.Is(err, record.ErrExpired), errors.Is(err, record.ErrInvalid):
			d.log.Info("a record is no longer kept", "reason", err)
			if err := d.keptValues.forget(e); err != nil {
				d.log.Warn("kept records", "error", err)
			}
		case ctx.Err() == nil:
			d.log.Warn("store kept record", "error", err)
		}
	}
}

// putAgain stores a record, unless others have a better one.
func (k *Kad) putAgain(ctx context.Context, key string, value []byte) error {
	if err := k.validators.Validate(key, value); err != nil {
		return err
	}
	if best, err := k.GetValue(ctx, key); err == nil && k.better(key, best, value) {
		return fmt.Errorf("%q: %w", key, record.ErrWorse)
	}
	return k.PutValue(ctx, key, value)
}
