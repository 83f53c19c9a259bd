// SPDX-License-Identifier: Apache-2.0 OR MIT

package noise

import "sync"

// The sizes of the buffers, in bytes. A connection that waits for a record
// holds the smallest, which is a part of it; the others are borrowed.
const (
	smallBuffer  = 512
	mediumBuffer = 4 << 10
	// largeBuffer has room for the largest record and a bit of the next, so
	// that 64 KiB of data, which make two records, are one write. It is a
	// whole number of the pages in which Go allocates.
	largeBuffer = 72 << 10
)

// buffers lends buffers to the connections of a module.
type buffers struct {
	medium, large sync.Pool
}

// get returns a medium buffer if n bytes fit, and else a large one.
func (p *buffers) get(n int) []byte {
	if n <= mediumBuffer {
		if b, ok := p.medium.Get().(*[mediumBuffer]byte); ok {
			return b[:]
		}
		return new([mediumBuffer]byte)[:]
	}
	if b, ok := p.large.Get().(*[largeBuffer]byte); ok {
		return b[:]
	}
	return new([largeBuffer]byte)[:]
}

// put takes back what get returned. Buffers of other sizes are not its own.
func (p *buffers) put(b []byte) {
	switch len(b) {
	case mediumBuffer:
		p.medium.Put((*[mediumBuffer]byte)(b))
	case largeBuffer:
		p.large.Put((*[largeBuffer]byte)(b))
	}
}
