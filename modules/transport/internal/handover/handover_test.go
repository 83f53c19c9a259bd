// SPDX-License-Identifier: Apache-2.0 OR MIT

package handover

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// given starts to give c, and returns how that ends.
func given(line *Line[int], c int) (wait func() error) {
	var wg sync.WaitGroup
	var err error
	wg.Go(func() { err = line.Give(context.Background(), c) })
	return func() error { wg.Wait(); return err }
}

func wantTaken(t *testing.T, p *Place[int], want int) {
	t.Helper()
	if got, err := p.Take(); got != want || err != nil {
		t.Errorf("took %d, %v; want %d", got, err, want)
	}
}

func TestTheNewestGetsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var line Line[int]
		first, second := line.Join(), line.Join()
		for i := range 3 {
			wait := given(&line, i)
			wantTaken(t, second, i)
			if err := wait(); err != nil {
				t.Error(err)
			}
		}
		second.Leave()
		second.Leave()
		if _, err := second.Take(); err != net.ErrClosed {
			t.Errorf("take after leaving: %v, want net.ErrClosed", err)
		}
		wait := given(&line, 7)
		wantTaken(t, first, 7)
		if err := wait(); err != nil {
			t.Error(err)
		}
	})
}

// One that waits goes to whoever is the newest when it is taken.
func TestWhatWaitsIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var line Line[int]
		first := line.Join()
		wait := given(&line, 1)
		synctest.Wait()
		second := line.Join()
		third := line.Join()
		synctest.Wait()
		first.Leave()
		third.Leave()
		wantTaken(t, second, 1)
		if err := wait(); err != nil {
			t.Error(err)
		}
	})
}

// One that has joined and does not take yet keeps nobody waiting.
func TestTheNewestBeginsWithItsFirstTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var line Line[int]
		first := line.Join()
		take := func(p *Place[int]) (taken func() int) {
			var wg sync.WaitGroup
			var c int
			wg.Go(func() { c, _ = p.Take() })
			return func() int { wg.Wait(); return c }
		}
		byFirst := take(first)
		synctest.Wait()
		second := line.Join()
		wait := given(&line, 1)
		if got := byFirst(); got != 1 {
			t.Errorf("the first took %d, want 1", got)
		}
		wait()
		byFirst, bySecond := take(first), take(second)
		synctest.Wait()
		wait = given(&line, 2)
		if got := bySecond(); got != 2 {
			t.Errorf("the second took %d, want 2", got)
		}
		wait()
		second.Leave()
		wait = given(&line, 3)
		if got := byFirst(); got != 3 {
			t.Errorf("the first took %d, want 3", got)
		}
		wait()
	})
}

func TestLeavingEndsTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var line Line[int]
		p := line.Join()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := p.Take(); err != net.ErrClosed {
				t.Errorf("take: %v, want net.ErrClosed", err)
			}
		})
		synctest.Wait()
		p.Leave()
		wg.Wait()
	})
}

func TestNobodyThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var line Line[int]
		if err := line.Give(t.Context(), 1); err != net.ErrClosed {
			t.Errorf("give to nobody: %v, want net.ErrClosed", err)
		}
		p := line.Join()
		wait := given(&line, 2)
		synctest.Wait()
		p.Leave()
		if err := wait(); err != net.ErrClosed {
			t.Errorf("give to who left: %v, want net.ErrClosed", err)
		}
	})
}

func TestGiveEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var line Line[int]
		line.Join()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := line.Give(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("give: %v, want a deadline", err)
		}
	})
}

func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var line Line[int]
		cause := errors.New("the socket is gone")
		p := line.Join()
		wait := given(&line, 1)
		synctest.Wait()
		line.End(cause)
		line.End(errors.New("another"))
		if err := wait(); err != cause {
			t.Errorf("give: %v, want %v", err, cause)
		}
		for _, p := range []*Place[int]{p, line.Join()} {
			if _, err := p.Take(); err != cause {
				t.Errorf("take: %v, want %v", err, cause)
			}
			p.Leave()
		}
	})
}

// Givers, takers, joiners and leavers at once: everything given is taken once.
func TestUnderLoad(t *testing.T) {
	var line Line[int]
	bottom := line.Join()
	const each, givers = 200, 4
	seen := make(chan int, each*givers)
	var takers, others sync.WaitGroup
	take := func(p *Place[int]) {
		takers.Go(func() {
			for {
				c, err := p.Take()
				if err != nil {
					return
				}
				seen <- c
			}
		})
	}
	take(bottom)
	for g := range givers {
		others.Go(func() {
			for i := range each {
				if err := line.Give(t.Context(), g*each+i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range givers {
		others.Go(func() {
			for range each {
				p := line.Join()
				take(p)
				p.Leave()
			}
		})
	}
	others.Wait()
	bottom.Leave()
	takers.Wait()
	close(seen)
	count := make(map[int]int)
	for c := range seen {
		count[c]++
	}
	if len(count) != each*givers {
		t.Errorf("%d of %d were taken", len(count), each*givers)
	}
}

func BenchmarkGive(b *testing.B) {
	var line Line[int]
	p := line.Join()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			if _, err := p.Take(); err != nil {
				return
			}
		}
	})
	b.ReportAllocs()
	for b.Loop() {
		if err := line.Give(b.Context(), 1); err != nil {
			b.Fatal(err)
		}
	}
	p.Leave()
	wg.Wait()
}
