// SPDX-License-Identifier: Apache-2.0 OR MIT

package eventbus

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xnode-p2p/xnode/core"
)

// newBus returns a bus whose subscribers must not panic.
func newBus(t testing.TB) *Bus {
	return New(func(event, value any, stack []byte) { t.Errorf("panic for %v: %v\n%s", event, value, stack) })
}

func TestOrder(t *testing.T) {
	b := newBus(t)
	var got []string
	for _, name := range []string{"a", "b", "c"} {
		b.Subscribe(func(e any) { got = append(got, fmt.Sprint(name, e)) })
	}
	b.Emit(1)
	b.Emit(2)
	want := []string{"a1", "b1", "c1", "a2", "b2", "c2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTyped(t *testing.T) {
	b := newBus(t)
	var got []string
	stop := core.On(b, func(e core.LocalProtocolsChanged) { got = append(got, e.Protocols...) })
	b.Emit(core.LocalAddrsChanged{})
	b.Emit(core.LocalProtocolsChanged{Protocols: []string{"/a"}})
	stop()
	stop() // twice does no harm
	b.Emit(core.LocalProtocolsChanged{Protocols: []string{"/b"}})
	if diff := cmp.Diff([]string{"/a"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestReentrant(t *testing.T) {
	b := newBus(t)
	var got []int
	b.Subscribe(func(e any) {
		n := e.(int)
		got = append(got, n)
		if n < 3 {
			b.Emit(n + 1)
		}
	})
	var stop func()
	stop = b.Subscribe(func(e any) { stop() })
	b.Subscribe(func(e any) {
		if e.(int) == 3 {
			b.Subscribe(func(e any) { got = append(got, -e.(int)) })
		}
	})
	b.Emit(1)
	b.Emit(9)
	if diff := cmp.Diff([]int{1, 2, 3, 9, -9}, got); diff != "" {
		t.Error(diff)
	}
}

// A subscriber that an earlier one stops during the same event is not called.
func TestStopBefore(t *testing.T) {
	b := newBus(t)
	var stop func()
	b.Subscribe(func(any) { stop() })
	stop = b.Subscribe(func(any) { t.Error("called after stop") })
	b.Emit(1)
}

func TestPanic(t *testing.T) {
	var event, value any
	var stack string
	b := New(func(e, v any, s []byte) { event, value, stack = e, v, string(s) })
	var calls int
	b.Subscribe(func(any) { panic("no") })
	stop := b.Subscribe(func(any) { calls++ })
	b.Emit(7)
	stop()
	if event != 7 || value != "no" || calls != 1 || !strings.Contains(stack, "TestPanic") {
		t.Errorf("event %v, value %v, %d calls, stack %s", event, value, calls, stack)
	}
}

// Goexit in a subscriber, as t.FailNow does it, must not leave a call that
// stop would wait for.
func TestGoexit(t *testing.T) {
	b := newBus(t)
	stop := b.Subscribe(func(any) { runtime.Goexit() })
	var wg sync.WaitGroup
	wg.Go(func() { b.Emit(1) })
	wg.Wait()
	stop()
}

func TestStopWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t)
		var done atomic.Bool
		stop := b.Subscribe(func(any) {
			time.Sleep(time.Second)
			done.Store(true)
		})
		var wg sync.WaitGroup
		wg.Go(func() { b.Emit(1) })
		synctest.Wait()
		start := time.Now()
		stop()
		if !done.Load() || time.Since(start) != time.Second {
			t.Errorf("stop returned after %v, call over: %v", time.Since(start), done.Load())
		}
		wg.Wait()
	})
}

// Two subscribers that stop each other at the same time do not deadlock.
func TestStopEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t)
		var stops [2]func()
		for i := range stops {
			stops[i] = b.Subscribe(func(e any) {
				if e == i {
					time.Sleep(time.Second)
					stops[1-i]()
				}
			})
		}
		var wg sync.WaitGroup
		wg.Go(func() { b.Emit(0) })
		wg.Go(func() { b.Emit(1) })
		wg.Wait()
	})
}

func TestRace(t *testing.T) {
	b := newBus(t)
	var kept, events atomic.Int64
	b.Subscribe(func(any) { kept.Add(1) })
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 500 {
				b.Emit(i)
				events.Add(1)
			}
		})
		wg.Go(func() {
			for range 200 {
				alive := true // written without a lock after stop: stop must have waited
				var mu sync.Mutex
				stop := b.Subscribe(func(any) {
					mu.Lock()
					defer mu.Unlock()
					if !alive {
						t.Error("called after stop")
					}
				})
				stop()
				alive = false
			}
		})
	}
	wg.Wait()
	if kept.Load() != events.Load() {
		t.Errorf("%d calls for %d events", kept.Load(), events.Load())
	}
	if n := len(*b.list.Load()); n != 1 {
		t.Errorf("%d subscribers left", n)
	}
}

func TestEmitAllocatesNothing(t *testing.T) {
	b := newBus(t)
	for range 8 {
		b.Subscribe(func(any) {})
	}
	var event any = core.LocalAddrsChanged{}
	if n := testing.AllocsPerRun(100, func() { b.Emit(event) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkEmit(b *testing.B) {
	bus := newBus(b)
	for range 8 {
		bus.Subscribe(func(any) {})
	}
	var event any = core.LocalAddrsChanged{}
	b.ReportAllocs()
	for b.Loop() {
		bus.Emit(event)
	}
}
