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

// bufferSizes are how large buffers are, in bytes: for one small frame, for a few of
// a stream that begins or ends, for messages of a usual size, and for a frame of
// 64 KiB and much that goes with it. All are sizes in which Go allocates.
var bufferSizes = [...]int{512, 2 << 10, 12 << 10, largeBuffer}

const largeBuffer = 72 << 10

// What all sessions of the process borrow from: of many nodes in it, none keeps
// memory for itself that it does not use.
var (
	chunks  [len(chunkSizes)]sync.Pool
	buffers [len(bufferSizes)]sync.Pool
)

// classOf is the smallest of sizes with room for n bytes, or the largest one.
func classOf(n int, sizes []int) int {
	class := 0
	for class < len(sizes)-1 && sizes[class] < n {
		class++
	}
	return class
}

// getChunk returns an empty chunk with room for n bytes, or of the largest size.
func getChunk(n int) *chunk {
	class := classOf(n, chunkSizes[:])
	if c, ok := chunks[class].Get().(*chunk); ok {
		return c
	}
	return &chunk{class: class, b: make([]byte, chunkSizes[class])}
}

func putChunk(c *chunk) {
	c.next, c.r, c.w = nil, 0, 0
	chunks[c.class].Put(c)
}

// getBuffer returns an empty buffer with room for n bytes.
func getBuffer(n int) *buffer {
	if n > largeBuffer { // only if frames may be that long
		return &buffer{b: make([]byte, 0, n)}
	}
	class := classOf(n, bufferSizes[:])
	if b, ok := buffers[class].Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, 0, bufferSizes[class])}
}

// putBuffer takes back what getBuffer returned. One that grew is not kept.
func putBuffer(b *buffer) {
	b.b = b.b[:0]
	if class := classOf(cap(b.b), bufferSizes[:]); cap(b.b) == bufferSizes[class] {
		buffers[class].Put(b)
	}
}
