// SPDX-License-Identifier: Apache-2.0 OR MIT

package kadwire

import (
	"bufio"
	"fmt"
	"io"
	"sync"

	"github.com/xnode-p2p/xnode/core/wire"
)

const (
	// readPiece is how much memory, in bytes, a length alone can take. Beyond
	// that it grows with what has arrived.
	readPiece = 16 << 10
	// readAhead is how much a reader buffers, in bytes: a request as a rule.
	readAhead = 512
)

// Reader reads messages off a stream.
type Reader struct {
	r   *bufio.Reader
	buf []byte
}

var readers = sync.Pool{New: func() any { return &Reader{r: bufio.NewReaderSize(nil, readAhead)} }}

// NewReader reads from r.
func NewReader(r io.Reader) *Reader {
	reader := readers.Get().(*Reader)
	reader.r.Reset(r)
	return reader
}

// Free gives the reader back, which nobody may use from then on.
func (r *Reader) Free() {
	r.r.Reset(nil)
	if cap(r.buf) > readPiece {
		r.buf = nil
	}
	readers.Put(r)
}

// Next returns the bytes of the next message. They are valid until the next
// call. If the stream ends before the message begins, the error is [io.EOF]. A
// message of more than [MaxMessage] bytes is [wire.ErrTooLarge], and is not read.
func (r *Reader) Next() ([]byte, error) {
	if cap(r.buf) > readPiece {
		r.buf = nil
	}
	size, err := wire.ReadUvarint(r.r)
	if err == io.EOF {
		return nil, io.EOF
	}
	if err != nil {
		return nil, fmt.Errorf("message length: %w", err)
	}
	if size > MaxMessage {
		return nil, fmt.Errorf("message of %d bytes, limit %d: %w", size, MaxMessage, wire.ErrTooLarge)
	}
	n := int(size)
	if cap(r.buf) < min(n, readPiece) {
		r.buf = make([]byte, min(max(n, readAhead), readPiece))
	}
	for got := 0; ; {
		r.buf = r.buf[:min(n, cap(r.buf))]
		m, err := io.ReadFull(r.r, r.buf[got:])
		if got += m; err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("message of %d bytes, got %d: %w", n, got, err)
		}
		if got == n {
			return r.buf, nil
		}
		grown := make([]byte, min(n, 2*got))
		copy(grown, r.buf)
		r.buf = grown
	}
}

// Keep makes the bytes that Next returned the caller's.
func (r *Reader) Keep() { r.buf = nil }

// Buffered reports whether the next message has begun to arrive.
func (r *Reader) Buffered() bool { return r.r.Buffered() > 0 }
