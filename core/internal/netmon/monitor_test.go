// SPDX-License-Identifier: Apache-2.0 OR MIT

package netmon

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

func TestChangesAreNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var addrs atomic.Pointer[[]ma.Multiaddr]
		set := func(texts ...string) {
			var list []ma.Multiaddr
			for _, s := range texts {
				list = append(list, ma.StringCast(s))
			}
			addrs.Store(&list)
		}
		var changes, ticks atomic.Int32
		m := &Monitor{
			Addrs:   func() []ma.Multiaddr { return *addrs.Load() },
			Changed: func() { changes.Add(1) },
			Tick:    func() { ticks.Add(1) },
		}
		set("/ip4/10.0.0.1", "/ip4/127.0.0.1")
		ctx, cancel := context.WithCancel(t.Context())
		hints := make(chan struct{}, 1)
		done := make(chan struct{})
		m.wg.Go(func() {
			m.watch(ctx, hints)
			close(done)
		})
		expect := func(when string, c, n int32) {
			t.Helper()
			synctest.Wait()
			if changes.Load() != c || ticks.Load() != n {
				t.Errorf("%s: %d changes and %d ticks, want %d and %d", when, changes.Load(), ticks.Load(), c, n)
			}
		}
		time.Sleep(interval)
		expect("nothing has changed", 0, 1)
		set("/ip4/127.0.0.1", "/ip4/10.0.0.1", "/ip4/10.0.0.1")
		time.Sleep(interval)
		expect("another order", 0, 2)
		set("/ip4/10.0.0.2", "/ip4/127.0.0.1")
		time.Sleep(interval)
		expect("another address", 1, 3)
		set("/ip4/127.0.0.1")
		hint(hints)
		hint(hints)
		time.Sleep(settling)
		expect("a hint", 2, 4)
		hint(hints)
		time.Sleep(settling)
		expect("a hint of nothing", 2, 5)
		hint(hints)
		synctest.Wait()
		cancel()
		<-done
	})
}

func TestMonitorStops(t *testing.T) {
	m := &Monitor{Addrs: func() []ma.Multiaddr { return nil }, Changed: func() {}, Tick: func() {}}
	m.Close() // does no harm
	m.Start()
	m.Close()
	m.Close()
}
