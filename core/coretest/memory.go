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

	mu       sync.Mutex
	reserved int
	peak     int
	negative bool
}

// NewMemory returns a budget of limit bytes; a negative limit is none.
func NewMemory(limit int) *Memory { return &Memory{limit: limit} }

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
func (m *Memory) Release(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reserved -= n
	m.negative = m.negative || m.reserved < 0
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

// Stream implements [core.ConnMemory].
func (m *Memory) Stream() core.StreamMemory { return &streamMemory{memory: m} }

// streamMemory is the account of a stream.
type streamMemory struct {
	memory *Memory

	mu       sync.Mutex
	reserved int
	done     bool
}

// Reserve implements [core.Memory].
func (s *streamMemory) Reserve(n int, priority uint8) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return core.ErrConnClosed
	}
	if err := s.memory.Reserve(n, priority); err != nil {
		return err
	}
	s.reserved += n
	return nil
}

// Release implements [core.Memory].
func (s *streamMemory) Release(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return // Done has released it
	}
	s.reserved -= n
	s.memory.Release(n)
}

// Done implements [core.StreamMemory].
func (s *streamMemory) Done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = true
	s.memory.Release(s.reserved)
	s.reserved = 0
}

var _ core.ConnMemory = (*Memory)(nil)
