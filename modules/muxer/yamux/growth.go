// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"math"
	"sync/atomic"

	"github.com/libp2p/go-yamux/v4"

	"github.com/xnode-p2p/xnode/core"
)

// initialPriority is the priority with which the library reserves the initial
// window of a stream; growth of a window has a lower one.
const initialPriority = 255

// growth is the memory that one stream's window has grown by. The initial
// window is charged by the ledger before the library hears of the stream,
// because the library ends the whole connection if it is refused.
type growth struct {
	memory core.Memory
	held   atomic.Int64 // far below zero once done
}

// ReserveMemory implements [yamux.MemoryManager].
func (g *growth) ReserveMemory(n int, priority uint8) error {
	if priority == initialPriority {
		return nil
	}
	if err := g.memory.Reserve(n, priority); err != nil {
		return err
	}
	// The stream may end while its reader lets the window grow.
	if g.held.Add(int64(n)) < 0 {
		g.memory.Release(n)
		return errStreamEnded
	}
	return nil
}

// ReleaseMemory implements [yamux.MemoryManager].
func (g *growth) ReleaseMemory(n int) {
	if g.held.Add(-int64(n)) >= 0 {
		g.memory.Release(n)
	}
}

// Done implements [yamux.MemoryManager]. The library calls it more than once.
func (g *growth) Done() {
	if n := g.held.Swap(math.MinInt64 / 2); n > 0 {
		g.memory.Release(int(n))
	}
}

var _ yamux.MemoryManager = (*growth)(nil)
