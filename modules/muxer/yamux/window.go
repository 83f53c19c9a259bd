// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"math"
	"time"
)

// libraryWindow is how much the library is told to take on one stream ahead of
// its reader. From the SYN or ACK on that it sends before anybody reads, it has
// room for that much; then it makes new room only when half of it was read. So
// there is always room for all that the ledger lets the remote send.
func libraryWindow(maxWindow uint32) uint32 { return 2 * maxWindow }

// credit grants the remote a full window again once half of it was read. It
// returns how much more the remote may send, which it must be told.
func (l *ledger) credit(st *stream) uint32 {
	if st.readDone || st.reset != 0 || st.gotFIN {
		st.due.Store(math.MaxUint64) // nothing more is wanted
		return 0
	}
	have := st.arrived - st.read.Load() + uint64(st.window)
	if !st.announced || have > uint64(st.size/2) {
		return 0
	}
	now := time.Since(l.start)
	if now-st.epoch < 4*l.rtt.time {
		l.grow(st)
	}
	st.epoch = now
	n := st.size - uint32(have)
	st.window += n
	st.due.Store(st.arrived + uint64(st.window) - uint64(st.size/2))
	return n
}

// grow doubles a window whose half took less than four round trips, and is
// what holds the remote back therefore. Without memory it stays as it is.
func (l *ledger) grow(st *stream) {
	more := min(st.size, l.maxWindow-st.size)
	if more > 0 && st.account.Reserve(int(more), growthPriority) == nil {
		st.size += more
	}
}
