// SPDX-License-Identifier: Apache-2.0 OR MIT

package mplex

import "sync"

// The sizes of the chunks in which received data lies, in bytes.
const (
	smallChunk = 4 << 10
	largeChunk = 64 << 10
)

// smallBuffer is the size of a buffer for short frames that are sent, in bytes.
// A large one has as much more than the longest frame takes, for others to join.
const smallBuffer = 4 << 10

// chunk is a part of what a stream has received: b[r:w] waits for the reader.
type chunk struct {
	next *chunk
	r, w int
	b    []byte
}

// buffers lends memory to the connections of a module.
type buffers struct {
	largeBuffer              int // the size of a buffer for long frames
	smallChunks, largeChunks sync.Pool
	smallOut, largeOut       sync.Pool
}

func newBuffers(message int) *buffers {
	b := &buffers{largeBuffer: message + smallBuffer}
	b.smallChunks.New = func() any { return &chunk{b: make([]byte, smallChunk)} }
	b.largeChunks.New = func() any { return &chunk{b: make([]byte, largeChunk)} }
	b.smallOut.New = func() any { return newOut(smallBuffer) }
	b.largeOut.New = func() any { return newOut(b.largeBuffer) }
	return b
}

func newOut(size int) *[]byte {
	b := make([]byte, 0, size)
	return &b
}

// chunkSize is the size of the chunk for a message of which n bytes are to come.
func chunkSize(n int) int {
	if n <= smallChunk {
		return smallChunk
	}
	return largeChunk
}

func (b *buffers) chunk(size int) *chunk {
	if size == smallChunk {
		return b.smallChunks.Get().(*chunk)
	}
	return b.largeChunks.Get().(*chunk)
}

func (b *buffers) putChunk(c *chunk) {
	c.next, c.r, c.w = nil, 0, 0
	if len(c.b) == smallChunk {
		b.smallChunks.Put(c)
	} else {
		b.largeChunks.Put(c)
	}
}

// out returns an empty buffer with room for n bytes.
func (b *buffers) out(n int) *[]byte {
	if n <= smallBuffer {
		return b.smallOut.Get().(*[]byte)
	}
	return b.largeOut.Get().(*[]byte)
}

// putOut takes back what out returned, unless it has grown.
func (b *buffers) putOut(p *[]byte) {
	*p = (*p)[:0]
	switch cap(*p) {
	case smallBuffer:
		b.smallOut.Put(p)
	case b.largeBuffer:
		b.largeOut.Put(p)
	}
}
