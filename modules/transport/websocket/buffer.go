// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import "sync"

// The sizes of the buffers, in bytes. A connection that waits for data holds
// the small one, which is a part of it; the large ones are borrowed.
const (
	smallBuffer = 512
	// largeBuffer has room for 64 KiB of data as a security packs them, and is
	// a whole number of the pages in which Go allocates.
	largeBuffer = 80 << 10

	// busy is how much a read brings while a connection is in use for bulk data:
	// the next one gets the large buffer.
	busy = smallBuffer
)

// buffers lends large buffers to the connections of a transport.
type buffers struct{ pool sync.Pool }

func (p *buffers) get() []byte {
	if b, ok := p.pool.Get().(*[largeBuffer]byte); ok {
		return b[:]
	}
	return new([largeBuffer]byte)[:]
}

// put takes back what get returned. Buffers of other sizes are not its own.
func (p *buffers) put(b []byte) {
	if len(b) == largeBuffer {
		p.pool.Put((*[largeBuffer]byte)(b))
	}
}
