// SPDX-License-Identifier: Apache-2.0 OR MIT

package record

import (
	"bytes"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core/wire"
)

// Bounds of a record of a value store, in bytes.
const (
	// MaxKey bounds the key.
	MaxKey = 512
	// MaxValue bounds the value.
	MaxValue = 64 << 10
	// MaxValueRecord bounds the encoded record: key, value, a time, and fields
	// yet to come.
	MaxValueRecord = MaxKey + MaxValue + 1024

	maxTime = 64 // an RFC 3339 time with nanoseconds has 35 at most
)

// ValueRecord is what a value store keeps under a key, and the DHT sends.
type ValueRecord struct {
	Key   string
	Value []byte
	// TimeReceived is when whoever keeps the record got it; zero if that is
	// not known. What a peer says about it means nothing: see [Validators].
	TimeReceived time.Time
}

// Numbers of the fields of the Record message. 3 and 4 were an author and a
// signature once.
const (
	valueKey          protowire.Number = 1
	valueValue        protowire.Number = 2
	valueTimeReceived protowire.Number = 5
)

// Marshal returns the record as the Record message of the DHT's specification.
func (r *ValueRecord) Marshal() []byte {
	b := make([]byte, 0, len(r.Key)+len(r.Value)+maxTime+3*4)
	b = appendBytes(b, valueKey, []byte(r.Key))
	b = appendBytes(b, valueValue, r.Value)
	if !r.TimeReceived.IsZero() {
		b = appendBytes(b, valueTimeReceived, r.TimeReceived.UTC().AppendFormat(nil, time.RFC3339Nano))
	}
	return b
}

// Unmarshal decodes a record of at most [MaxValueRecord] bytes; key and value
// have their bounds too. The value shares memory with b. A time that is not in
// the form of RFC 3339 is zero: not all who send one agree on its form.
func (r *ValueRecord) Unmarshal(b []byte) error {
	*r = ValueRecord{}
	if len(b) > MaxValueRecord {
		return fmt.Errorf("value record of %d bytes, limit %d: %w", len(b), MaxValueRecord, wire.ErrTooLarge)
	}
	var key, received []byte
	for f, err := range wire.Fields(b) {
		if err == nil {
			switch f.Num {
			case valueKey:
				err = setOnce(&key, f)
			case valueValue:
				err = setOnce(&r.Value, f)
			case valueTimeReceived:
				err = setOnce(&received, f)
			}
		}
		if err != nil {
			return fmt.Errorf("value record: %w: %w", ErrInvalid, err)
		}
	}
	if err := checkSize("value record: key", len(key), MaxKey); err != nil {
		return err
	}
	if err := checkSize("value record: value", len(r.Value), MaxValue); err != nil {
		return err
	}
	r.Key = string(key)
	if len(received) <= maxTime {
		if t, err := time.Parse(time.RFC3339Nano, string(bytes.TrimSpace(received))); err == nil {
			r.TimeReceived = t
		}
	}
	return nil
}

func checkSize(what string, n, max int) error {
	if n > max {
		return fmt.Errorf("%s of %d bytes, limit %d: %w", what, n, max, wire.ErrTooLarge)
	}
	return nil
}
