// SPDX-License-Identifier: Apache-2.0 OR MIT

package wire

import (
	"errors"
	"fmt"
	"io"
)

// readPiece is how much memory, in bytes, a length prefix alone can make
// ReadMessage allocate. Beyond it the buffer grows with what has arrived.
const readPiece = 64 << 10

// ErrTooLarge says that a peer announced or sent more than is allowed.
var ErrTooLarge = errors.New("too large")

// ReadMessage reads one message prefixed with its length as an unsigned varint.
// A length above max bytes is [ErrTooLarge] and nothing behind the prefix is
// read. It allocates at most 64 KiB, or twice what has arrived if that is more.
//
// No byte behind the message is consumed, so r can be handed on. If r ends
// before the message begins the error is [io.EOF] itself, if it ends within the
// message the error wraps [io.ErrUnexpectedEOF]. The length is read byte by
// byte; an r that implements [io.ByteReader] saves those calls.
func ReadMessage(r io.Reader, max int) ([]byte, error) { return ReadMessageInto(nil, r, max) }

// ReadMessageInto is [ReadMessage] with the memory of buf, if that is enough.
func ReadMessageInto(buf []byte, r io.Reader, max int) ([]byte, error) {
	br, ok := r.(io.ByteReader)
	if !ok {
		br = &byteReader{r: r}
	}
	size, err := ReadUvarint(br)
	if err == io.EOF {
		return nil, io.EOF
	}
	if err != nil {
		return nil, fmt.Errorf("message length: %w", err)
	}
	if max < 0 || size > uint64(max) {
		return nil, fmt.Errorf("message of %d bytes, limit %d: %w", size, max, ErrTooLarge)
	}
	n := int(size)
	if n <= cap(buf) {
		buf = buf[:n]
	} else {
		buf = make([]byte, min(n, readPiece))
	}
	for got := 0; ; {
		m, err := io.ReadFull(r, buf[got:])
		got += m
		if err != nil {
			return nil, fmt.Errorf("message of %d bytes, got %d: %w", n, got, unexpected(err))
		}
		if got == n {
			return buf, nil
		}
		grown := make([]byte, min(n, 2*got))
		copy(grown, buf)
		buf = grown
	}
}

// WriteMessage writes b prefixed with its length, in exactly one Write call, so
// that a message is one frame on a muxer and one record on a secure channel.
func WriteMessage(w io.Writer, b []byte) error {
	buf := make([]byte, 0, maxVarintLen+len(b))
	buf = AppendUvarint(buf, uint64(len(b)))
	buf = append(buf, b...)
	if _, err := w.Write(buf); err != nil {
		return fmt.Errorf("message of %d bytes: %w", len(b), err)
	}
	return nil
}

// byteReader reads single bytes from a reader without buffering.
type byteReader struct {
	r io.Reader
	b [1]byte
}

// ReadByte implements [io.ByteReader].
func (br *byteReader) ReadByte() (byte, error) {
	_, err := io.ReadFull(br.r, br.b[:])
	return br.b[0], err
}
