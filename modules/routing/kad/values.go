// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/record"
)

// values are the records that others have given this node, by their keys.
type values struct {
	table      core.Table
	validators record.Validators
	validity   time.Duration // how long a record is kept

	seed  maphash.Seed
	locks [16]sync.Mutex // each for the keys whose hash it is: held from reading the old value until the new one is written
}

func newValues(k *Kad) *values {
	return &values{validators: k.validators, validity: time.Duration(k.Validity), seed: maphash.MakeSeed()}
}

// put stores a record of a key. It is refused if it is not valid, or worse than
// what is stored.
func (s *values) put(key string, r *record.ValueRecord, now time.Time) error {
	if err := s.validators.Check(key, r); err != nil {
		return err
	}
	mu := &s.locks[maphash.String(s.seed, key)%uint64(len(s.locks))]
	mu.Lock()
	defer mu.Unlock()
	var old []byte
	if known, err := s.get(key); err == nil {
		old = known.Value
	} else if !errors.Is(err, core.ErrNotFound) {
		return err
	}
	if err := s.validators.Replaces(key, r.Value, old); err != nil {
		return err
	}
	stored := record.ValueRecord{Key: key, Value: r.Value, TimeReceived: now}
	err := s.table.Apply(core.Change{Key: []byte(key), Value: stored.Marshal(), Expires: now.Add(s.validity)})
	if err != nil {
		return fmt.Errorf("store record: %w", err)
	}
	return nil
}

// raw returns the encoded record of a key. It fails with [core.ErrNotFound].
func (s *values) raw(key []byte) ([]byte, error) {
	b, err := s.table.Get(key)
	if err != nil && !errors.Is(err, core.ErrNotFound) {
		err = fmt.Errorf("stored record: %w", err)
	}
	return b, err
}

// get returns the record of a key, if there is one that is still what it was
// when it was stored, and valid. It fails with [core.ErrNotFound].
func (s *values) get(key string) (*record.ValueRecord, error) {
	b, err := s.raw([]byte(key))
	if err != nil {
		return nil, err
	}
	r := new(record.ValueRecord)
	if r.Unmarshal(b) != nil || s.validators.Check(key, r) != nil {
		return nil, core.ErrNotFound
	}
	return r, nil
}
