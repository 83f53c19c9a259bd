// SPDX-License-Identifier: Apache-2.0 OR MIT

package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// maxVarintLen is the longest varint the multiformats specification allows:
// nine bytes of seven bits, so every value is below 2^63.
const maxVarintLen = 9

// ErrVarint says that a varint is longer than nine bytes, or longer than its
// value needs.
var ErrVarint = errors.New("malformed varint")

// Uvarint decodes the unsigned varint at the start of b and tells how many
// bytes it takes. The value is below 2^63. A varint of more than nine bytes or
// one with a superfluous last byte is [ErrVarint]; if b ends within the varint
// the error is [io.ErrUnexpectedEOF].
func Uvarint(b []byte) (v uint64, n int, err error) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1, nil
	}
	for i, c := range b {
		if i == maxVarintLen {
			return 0, 0, ErrVarint
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			if c == 0 && i > 0 {
				return 0, 0, ErrVarint
			}
			return v, i + 1, nil
		}
	}
	if len(b) >= maxVarintLen {
		return 0, 0, ErrVarint
	}
	return 0, 0, io.ErrUnexpectedEOF
}

// ReadUvarint reads one unsigned varint from r, under the rules of [Uvarint].
// If r ends before the first byte the error is [io.EOF] itself; any other error
// of r comes back wrapped.
func ReadUvarint(r io.ByteReader) (uint64, error) {
	var v uint64
	for i := range maxVarintLen {
		c, err := r.ReadByte()
		if err != nil {
			if i == 0 && err == io.EOF {
				return 0, io.EOF
			}
			return 0, fmt.Errorf("varint: %w", unexpected(err))
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			if c == 0 && i > 0 {
				return 0, ErrVarint
			}
			return v, nil
		}
	}
	return 0, ErrVarint
}

// AppendUvarint appends v as an unsigned varint to b. Values of 2^63 and more
// cannot be read back by [Uvarint].
func AppendUvarint(b []byte, v uint64) []byte {
	return binary.AppendUvarint(b, v)
}

// unexpected turns the end of a stream into an error, for places where the
// stream must not end.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
