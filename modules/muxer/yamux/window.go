// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"math"

	"github.com/xnode-p2p/xnode/core"
)

const (
	// initialWindow is what either side may send on a new stream before it
	// is granted more. The specification fixes it.
	initialWindow = 256 << 10
	// maxCredit is what a side may be allowed to send at most: window updates
	// that add up to more are a breach of the protocol.
	maxCredit = 1<<32 - 1

	// initialPriority is the priority with which the initial window of a
	// stream is reserved, and growthPriority that for a window that grows.
	initialPriority = 255
	growthPriority  = 128
)

// newAccount returns an account for a stream, which has the initial window.
func newAccount(memory core.ConnMemory) (core.StreamMemory, error) {
	account := memory.Stream()
	if err := account.Reserve(initialWindow, initialPriority); err != nil {
		account.Done()
		return nil, err
	}
	return account, nil
}

// credit grants the remote a full window again once half of it was read. It
// returns how much more the remote may send, which it must be told.
func (s *session) credit(st *stream) uint32 {
	if st.readDone || st.reset != 0 || st.gotFIN {
		st.due.Store(math.MaxUint64) // nothing more is wanted
		return 0
	}
	have := st.arrived - st.read.Load() + uint64(st.window)
	if have > uint64(st.size/2) {
		return 0
	}
	now := s.now()
	if now-st.epoch < 4*s.rtt.time {
		s.grow(st)
	}
	if s.rtt.due(now) {
		s.post(s.rtt.ask(now))
	}
	st.epoch = now
	n := st.size - uint32(have)
	st.window += n
	st.due.Store(st.arrived + uint64(st.window) - uint64(st.size/2))
	return n
}

// grow doubles a window whose half took less than four round trips, and is
// what holds the remote back therefore. Without memory it stays as it is.
func (s *session) grow(st *stream) {
	more := min(st.size, uint32(s.muxer.MaxWindow)-st.size)
	if more > 0 && st.account.Reserve(int(more), growthPriority) == nil {
		st.size += more
	}
}

// refill grants the remote more credit if it is time for that.
func (s *session) refill(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		return
	}
	if n := s.credit(st); n > 0 {
		flags := s.greet(st)
		s.post(newHeader(typeWindowUpdate, flags, st.id, n))
		s.flush()
	}
}
