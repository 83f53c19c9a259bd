// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestTurnIsOfOne(t *testing.T) {
	var turn turn
	var wg sync.WaitGroup
	count, tried := 0, 0
	for range 8 {
		wg.Go(func() {
			for i := range 1000 {
				if i%3 > 0 {
					turn.take()
				} else if !turn.try() {
					continue
				} else {
					tried++
				}
				count++
				turn.give()
			}
		})
	}
	wg.Wait()
	if want := 8*666 + tried; count != want {
		t.Errorf("%d turns, want %d", count, want)
	}
	if !turn.try() || turn.try() {
		t.Error("it is not free, or not taken")
	}
}

func TestTurnIsWaitedForDurably(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turn turn
		turn.take()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				turn.take()
				time.Sleep(time.Second)
				turn.give()
			})
		}
		synctest.Wait()
		if turn.try() {
			t.Error("taken from who has it")
		}
		start := time.Now()
		turn.give()
		if turn.try() {
			t.Error("taken from who waited")
		}
		wg.Wait()
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("3 turns took %v", took)
		}
	})
}

func BenchmarkTurn(b *testing.B) {
	var turn turn
	b.Run("alone", func(b *testing.B) {
		for b.Loop() {
			turn.take()
			turn.give()
		}
	})
	b.Run("contended", func(b *testing.B) {
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				turn.take()
				turn.give()
			}
		})
	})
}
