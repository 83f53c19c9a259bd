// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package eventbus carries the events of a node from whoever emits them to
// everyone who asked for them, on the goroutine of the emitter.
package eventbus

import (
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/xnode-p2p/xnode/core"
)

// PanicFunc is told of a subscriber that panicked: the event it was called
// with, the value of the panic, and the stack.
type PanicFunc func(event, value any, stack []byte)

// Bus implements [core.Events]. The list of subscribers is copied when it
// changes, so emitting takes no lock and allocates nothing.
//
// A subscriber may emit, subscribe and stop. One that was stopped while an
// event was on its way is not called any more. Stopping a subscriber from
// within a call of any subscriber of the same bus does not wait: that is the
// only way not to wait for oneself, nor for one that waits for us.
type Bus struct {
	list    atomic.Pointer[[]*subscriber]
	onPanic PanicFunc

	mu sync.Mutex // serialises changes of list
}

// New returns a bus without subscribers. Panics of subscribers are reported to
// onPanic.
func New(onPanic PanicFunc) *Bus {
	b := &Bus{onPanic: onPanic}
	b.list.Store(new([]*subscriber))
	return b
}

// Emit implements [core.Events].
func (b *Bus) Emit(event any) {
	for _, s := range *b.list.Load() {
		s.call(b, event)
	}
}

// Subscribe implements [core.Events].
func (b *Bus) Subscribe(f func(event any)) (stop func()) {
	s := &subscriber{f: f, idle: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	list := append(slices.Clip(*b.list.Load()), s)
	b.list.Store(&list)
	return func() { b.remove(s) }
}

// remove takes s off the list and waits for its calls.
func (b *Bus) remove(s *subscriber) {
	s.stopped.Store(true)
	b.mu.Lock()
	list := slices.DeleteFunc(slices.Clone(*b.list.Load()), func(x *subscriber) bool { return x == s })
	b.list.Store(&list)
	b.mu.Unlock()
	if s.running.Load() > 0 && !insideCall() {
		<-s.idle
	}
}

// subscriber is one registration. A call first raises running and then looks
// at stopped, and remove does it the other way round: either the call sees
// that it must not happen, or remove sees that it is under way.
type subscriber struct {
	f       func(event any)
	running atomic.Int64
	stopped atomic.Bool
	ended   sync.Once
	idle    chan struct{} // closed when no call runs and none will
}

// call runs the subscriber. It must not be inlined: insideCall looks for it.
//
//go:noinline
func (s *subscriber) call(b *Bus, event any) {
	s.running.Add(1)
	defer s.done(b, event)
	if !s.stopped.Load() {
		s.f(event)
	}
}

// done ends a call, however it ended.
func (s *subscriber) done(b *Bus, event any) {
	if value := recover(); value != nil {
		b.onPanic(event, value, debug.Stack())
	}
	if s.running.Add(-1) == 0 && s.stopped.Load() {
		s.ended.Do(func() { close(s.idle) })
	}
}

// callFrame is the end of the name that the stack shows for subscriber.call.
const callFrame = "/eventbus.(*subscriber).call"

// insideCall tells whether this goroutine is within a call of a subscriber.
func insideCall() bool {
	pcs := make([]uintptr, 64)
	for skip := 2; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs)
		frames := runtime.CallersFrames(pcs[:n])
		for {
			frame, more := frames.Next()
			if strings.HasSuffix(frame.Function, callFrame) {
				return true
			}
			if !more {
				break
			}
		}
		if n < len(pcs) {
			return false
		}
	}
}

var _ core.Events = (*Bus)(nil)
