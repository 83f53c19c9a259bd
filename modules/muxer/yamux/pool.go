// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import "sync"

// chunk holds data that came and was not read, b[r:w].
type chunk struct {
	next  *chunk
	r, w  int
	class int
	b     []byte
}

// chunkSizes are how large chunks are, in bytes. The largest three take a frame of
// 16, 32 and 64 KiB, which are usual; all are sizes in which Go allocates.
var chunkSizes = [...]int{512, 4 << 10, 20 << 10, 40 << 10, maxChunk}

const maxChunk = 72 << 10

// buffer holds frames that are about to be written.
type buffer struct{ b []byte }

const (
	// smallBuffer has room for a few frames of a stream that begins or ends.
	smallBuffer = 2 << 10
	// largeBuffer has room for a frame of 64 KiB and much that goes with it. It
	// is a whole number of the pages in which Go allocates.
	largeBuffer = 72 << 10
)

// pool lends memory to the sessions of a module.
type pool struct {
	chunks       [len(chunkSizes)]sync.Pool
	small, large sync.Pool
}

// chunk returns an empty chunk with room for n bytes, or of the largest size.
func (p *pool) chunk(n int) *chunk {
	class := 0
	for class < len(chunkSizes)-1 && chunkSizes[class] < n {
		class++
	}
	if c, ok := p.chunks[class].Get().(*chunk); ok {
		return c
	}
	return &chunk{class: class, b: make([]byte, chunkSizes[class])}
}

func (p *pool) putChunk(c *chunk) {
	c.next, c.r, c.w = nil, 0, 0
	p.chunks[c.class].Put(c)
}

// buffer returns an empty buffer with room for n bytes.
func (p *pool) buffer(n int) *buffer {
	from, size := &p.small, smallBuffer
	switch {
	case n > largeBuffer: // only if frames may be that long
		return &buffer{b: make([]byte, 0, n)}
	case n > smallBuffer:
		from, size = &p.large, largeBuffer
	}
	if b, ok := from.Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, 0, size)}
}

// putBuffer takes back what buffer returned. One that grew is not kept.
func (p *pool) putBuffer(b *buffer) {
	b.b = b.b[:0]
	switch cap(b.b) {
	case smallBuffer:
		p.small.Put(b)
	case largeBuffer:
		p.large.Put(b)
	}
}
