// SPDX-License-Identifier: Apache-2.0 OR MIT

package wire

import (
	"errors"
	"fmt"
	"iter"

	"google.golang.org/protobuf/encoding/protowire"
)

var (
	// ErrProtobuf says that bytes are not a well-formed protobuf message, or
	// that a field has another wire type than its message declares.
	ErrProtobuf = errors.New("malformed protobuf")

	// ErrTooMany says that a repeated field occurs more often than allowed.
	ErrTooMany = errors.New("too many")
)

// Field is one field of a protobuf message as it stands on the wire.
type Field struct {
	// Num is the number the message's definition gives the field.
	Num protowire.Number
	// Type is the wire type: varint, fixed32, fixed64 or bytes.
	Type protowire.Type

	num  uint64
	data []byte
}

// Bytes returns the content of a field of type bytes, string or message. It is
// a part of the slice given to [Fields], not a copy. A field of another wire
// type is [ErrProtobuf].
func (f Field) Bytes() ([]byte, error) {
	if f.Type != protowire.BytesType {
		return nil, f.mismatch()
	}
	return f.data, nil
}

// Uint64 returns the value of a varint field: uint64, uint32, bool, enum, and
// with a conversion int64 and int32. A field of another wire type is
// [ErrProtobuf].
func (f Field) Uint64() (uint64, error) {
	if f.Type != protowire.VarintType {
		return 0, f.mismatch()
	}
	return f.num, nil
}

// Fixed returns the value of a fixed32, fixed64, float or double field as its
// bits. A field of another wire type is [ErrProtobuf].
func (f Field) Fixed() (uint64, error) {
	if f.Type != protowire.Fixed32Type && f.Type != protowire.Fixed64Type {
		return 0, f.mismatch()
	}
	return f.num, nil
}

func (f Field) mismatch() error {
	return fmt.Errorf("field %d has wire type %d: %w", f.Num, f.Type, ErrProtobuf)
}

// Fields iterates over the fields of the protobuf message b in the order of the
// wire, unknown ones included: a switch without default skips them. It never
// allocates. Truncated input, groups (deprecated, and the only way to nest
// without a length) and field numbers out of range end the iteration with
// [ErrProtobuf].
//
// How often a field occurs is for the caller to bound: see [Quota].
func Fields(b []byte) iter.Seq2[Field, error] {
	return func(yield func(Field, error) bool) {
		total := len(b)
		for len(b) > 0 {
			f, n := parseField(b)
			if n <= 0 {
				yield(Field{}, fmt.Errorf("at byte %d: %w", total-len(b), ErrProtobuf))
				return
			}
			b = b[n:]
			if !yield(f, nil) {
				return
			}
		}
	}
}

// parseField decodes the first field of b; n is its size in bytes, or not
// positive if b is malformed.
func parseField(b []byte) (f Field, n int) {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 {
		return f, n
	}
	f.Num, f.Type = num, typ
	var m int
	switch typ {
	case protowire.VarintType:
		f.num, m = protowire.ConsumeVarint(b[n:])
	case protowire.Fixed32Type:
		var v uint32
		v, m = protowire.ConsumeFixed32(b[n:])
		f.num = uint64(v)
	case protowire.Fixed64Type:
		f.num, m = protowire.ConsumeFixed64(b[n:])
	case protowire.BytesType:
		f.data, m = protowire.ConsumeBytes(b[n:])
	default: // groups, and the two unassigned wire types
		return f, -1
	}
	if m < 0 {
		return f, m
	}
	return f, n + m
}

// Quota is how many more occurrences of a repeated field a message may have.
// Take one before storing an element, so that memory stays bounded while
// decoding and not after it.
type Quota int

// Take uses up one occurrence. When none is left it returns [ErrTooMany].
func (q *Quota) Take() error {
	if *q <= 0 {
		return ErrTooMany
	}
	*q--
	return nil
}
