// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"slices"
	"sync"

	"github.com/xnode-p2p/xnode/core"
)

// fakeEvents is a [core.Events]. Unlike a node's, it does not let a subscriber
// stop itself.
type fakeEvents struct {
	mu          sync.Mutex
	subscribers []*subscriber
}

type subscriber struct {
	mu      sync.Mutex // held while f runs
	stopped bool
	f       func(any)
}

// Emit implements [core.Events].
func (e *fakeEvents) Emit(event any) {
	e.mu.Lock()
	subscribers := slices.Clone(e.subscribers)
	e.mu.Unlock()
	for _, s := range subscribers {
		s.call(event)
	}
}

func (s *subscriber) call(event any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.f(event)
	}
}

// Subscribe implements [core.Events].
func (e *fakeEvents) Subscribe(f func(event any)) (stop func()) {
	s := &subscriber{f: f}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.subscribers = append(e.subscribers, s)
	return func() {
		e.mu.Lock()
		e.subscribers = slices.DeleteFunc(e.subscribers, func(o *subscriber) bool { return o == s })
		e.mu.Unlock()
		s.mu.Lock() // waits for a call under way
		defer s.mu.Unlock()
		s.stopped = true
	}
}

// subscriptions counts the subscribers.
func (e *fakeEvents) subscriptions() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.subscribers)
}

var _ core.Events = (*fakeEvents)(nil)
