// SPDX-License-Identifier: Apache-2.0 OR MIT

package multistream

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/xnode-p2p/xnode/core/wire"
)

const (
	// smallInbox is how much an inbox reads at a time, in bytes: two lines of
	// the usual length and a little payload.
	smallInbox = 128
	// maxEmptyReads is how many reads in a row may bring nothing.
	maxEmptyReads = 100
)

// inbox holds what was read and not yet used: unread = data[r:w]. It has
// smallInbox bytes, or just enough for the longest line if one does not fit.
type inbox struct {
	data  []byte
	r, w  int
	small [smallInbox]byte
}

var inboxes = sync.Pool{New: func() any { return new(inbox) }}

func newInbox() *inbox {
	b := inboxes.Get().(*inbox)
	b.data, b.r, b.w = b.small[:], 0, 0
	return b
}

func (b *inbox) free() {
	b.data = nil
	inboxes.Put(b)
}

func (b *inbox) unread() []byte { return b.data[b.r:b.w] }

// fill reads once, or more often if nothing comes. It is called only while a
// line is incomplete, so there is room for one byte at least.
func (b *inbox) fill(r io.Reader) error {
	switch {
	case b.r == b.w:
		b.r, b.w = 0, 0
	case b.w == len(b.data) && b.r > 0:
		b.r, b.w = 0, copy(b.data, b.unread())
	}
	if b.w == len(b.data) {
		grown := make([]byte, maxLine+2) // a line, and its length in two bytes
		copy(grown, b.unread())
		b.data = grown
	}
	for range maxEmptyReads {
		n, err := r.Read(b.data[b.w:])
		if n > 0 {
			b.w += n
			return nil // an error comes again with the next read
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// takeHeader takes the header. ok is false if more bytes are needed; anything
// that cannot become the header is an error at its first wrong byte.
func (b *inbox) takeHeader() (ok bool, err error) {
	got := b.unread()
	n := min(len(got), len(header))
	if string(got[:n]) != header[:n] {
		return false, fmt.Errorf("%w: want /multistream/1.0.0, got %s", ErrMalformed, shown(got))
	}
	if n < len(header) {
		return false, nil
	}
	b.r += n
	return true, nil
}

// takeLine takes the next line; text is valid until the inbox is filled
// again. ok is false if more bytes are needed.
func (b *inbox) takeLine() (text []byte, ok bool, err error) {
	got := b.unread()
	size, n, err := wire.Uvarint(got)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, false, nil
	}
	switch {
	case err != nil:
		return nil, false, fmt.Errorf("%w: length of a line, got %s: %w", ErrMalformed, shown(got), err)
	case size > maxLine:
		return nil, false, fmt.Errorf("%w: line of %d bytes, limit %d, got %s: %w", ErrMalformed, size, maxLine, shown(got), wire.ErrTooLarge)
	case size == 0:
		return nil, false, fmt.Errorf("%w: empty line", ErrMalformed)
	case len(got)-n < int(size):
		return nil, false, nil
	}
	text = got[n : n+int(size)]
	b.r += n + int(size)
	if text[size-1] != '\n' {
		return nil, false, fmt.Errorf("%w: line without newline, got %s", ErrMalformed, shown(text))
	}
	return text[:size-1], true, nil
}

// shown is what an error shows of the remote's bytes.
func shown(b []byte) string {
	b = b[:min(len(b), maxShown)]
	return `"` + wire.Text(string(b), 4*maxShown) + `"`
}

// appendLine appends a line. The text has at most maxLine-1 bytes.
func appendLine(b []byte, text string) []byte {
	b = wire.AppendUvarint(b, uint64(len(text)+1))
	b = append(b, text...)
	return append(b, '\n')
}

// checkName tells whether a protocol of our own can be proposed.
func checkName(protocol string) error {
	if protocol == "" || protocol == refusal || protocol == list ||
		len(protocol) >= maxLine || strings.Contains(protocol, "\n") {
		return fmt.Errorf("%q is no name for a protocol", wire.Text(protocol, maxShown))
	}
	return nil
}
