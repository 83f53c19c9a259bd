// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"sync"
	"testing"

	"github.com/xnode-p2p/xnode/core"
)

// Memory is a [core.ConnMemory] that counts.
type Memory struct {
	limit int

	mu        sync.Mutex
	perStream int // negative if there is no limit
	reserved  int
	peak      int
	negative  bool
}

// NewMemory returns a budget of limit bytes; a negative limit is none.
func NewMemory(limit int) *Memory { return &Memory{limit: limit, perStream: -1} }

// Reserve implements [core.Memory]. A priority p may use (p+1)/256 of the limit.
func (m *Memory) Reserve(n int, priority uint8) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if allowed := m.limit * (int(priority) + 1) / 256; m.limit >= 0 && m.reserved+n > allowed {
		return &core.LimitError{Scope: "coretest", Resource: "bytes", Limit: int64(m.limit), Knob: "the argument of NewMemory"}
	}
	m.reserved += n
	m.peak = max(m.peak, m.reserved)
	return nil
}

// Release implements [core.Memory].
func (m *Memory) Release(n int) { m.release(n, false) }

func (m *Memory) release(n int, tooMuch bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reserved -= n
	m.negative = m.negative || tooMuch || m.reserved < 0
}

// Reserved returns how much is taken now, in bytes.
func (m *Memory) Reserved() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reserved
}

// Peak returns how much was taken at most, in bytes.
func (m *Memory) Peak() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.peak
}

// Check fails the test unless everything was given back, and nothing twice.
func (m *Memory) Check(t testing.TB) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.reserved != 0 || m.negative {
		t.Errorf("%d bytes are still reserved (more released than reserved: %v)", m.reserved, m.negative)
	}
}

// LimitStreams sets what each account may take that Stream opens from then on,
// in bytes, whatever the priority.
func (m *Memory) LimitStreams(limit int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.perStream = limit
}

// Stream implements [core.ConnMemory]. What it returns is a [*StreamMemory].
func (m *Memory) Stream() core.StreamMemory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &StreamMemory{memory: m, limit: m.perStream}
}

// StreamMemory is the account of a stream, which counts for a [Memory] too.
type StreamMemory struct {
	memory *Memory
	limit  int // negative if there is none

	mu       sync.Mutex
	reserved int
	closed   bool
	done     chan struct{} // nil until somebody waits
}

// Reserve implements [core.Memory].
func (s *StreamMemory) Reserve(n int, priority uint8) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return core.ErrConnClosed
	}
	if s.limit >= 0 && s.reserved+n > s.limit {
		return &core.LimitError{Scope: "coretest stream", Resource: "bytes", Limit: int64(s.limit), Knob: "the argument of LimitStreams"}
	}
	if err := s.memory.Reserve(n, priority); err != nil {
		return err
	}
	s.reserved += n
	return nil
}

// Release implements [core.Memory]. More than was taken breaks the books of the
// [Memory], as its Check says.
func (s *StreamMemory) Release(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return // Done has released it
	}
	s.reserved -= n
	s.memory.release(n, s.reserved < 0)
}

// Done implements [core.StreamMemory].
func (s *StreamMemory) Done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	s.memory.Release(s.reserved)
	s.reserved = 0
	if s.done != nil {
		close(s.done)
	}
}

// Reserved returns how much the account has now, in bytes.
func (s *StreamMemory) Reserved() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reserved
}

// Ended is closed once Done has been called.
func (s *StreamMemory) Ended() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done == nil {
		s.done = make(chan struct{})
		if s.closed {
			close(s.done)
		}
	}
	return s.done
}

var _ core.ConnMemory = (*Memory)(nil)
