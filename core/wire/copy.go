// SPDX-License-Identifier: Apache-2.0 OR MIT

package wire

import (
	"io"
	"sync"
)

// copyBuffers keeps the buffers of [Copy] between calls: to make one costs more
// than a short stream.
var copyBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// Copy copies from src to dst until src ends, as [io.Copy] does, with a buffer
// that is used again. It is for streams, which may be many and short.
func Copy(dst io.Writer, src io.Reader) (written int64, err error) {
	buffer := copyBuffers.Get().(*[32 << 10]byte)
	defer copyBuffers.Put(buffer)
	return io.CopyBuffer(dst, src, buffer[:])
}
