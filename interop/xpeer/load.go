// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// load is one operation done count times by parallel workers.
type load struct {
	count    int
	parallel int
	first    error // of the last run, when some failed
}

func (l *load) define(flags *flag.FlagSet, count, parallel int) {
	flags.IntVar(&l.count, "count", count, "how many in all")
	flags.IntVar(&l.parallel, "parallel", parallel, "how many at a time")
}

func (l *load) check() error {
	if l.count < 1 || l.parallel < 1 {
		return usagef("--count %d --parallel %d: want 1 or more of each", l.count, l.parallel)
	}
	l.parallel = min(l.parallel, l.count)
	return nil
}

// loadResult is what a load measured.
type loadResult struct {
	PerSecond float64 // of the operations that succeeded
	ClientCPU float64 // seconds of this process
	MedianMS  float64
	P99MS     float64
	Errors    int
}

// run calls one for worker 0 … parallel-1 until count calls are made. one returns
// operation proper took. It fails when none succeeded or ctx ended.
func (l *load) run(ctx context.Context, one func(worker int) (time.Duration, error)) (loadResult, error) {
	var taken atomic.Int64
	took := make([][]time.Duration, l.parallel)
	errs := make([]int, l.parallel)
	firsts := make([]error, l.parallel)
	watch := startWatch()
	var wg sync.WaitGroup
	for w := range l.parallel {
		wg.Go(func() {
			for ctx.Err() == nil && taken.Add(1) <= int64(l.count) {
				d, err := one(w)
				if err != nil {
					if errs[w]++; firsts[w] == nil {
						firsts[w] = err
					}
					continue
				}
				took[w] = append(took[w], d)
			}
		})
	}
	wg.Wait()
	seconds, cpu := watch.seconds(), watch.cpuSeconds()

	var all []time.Duration
	failed := 0
	l.first = nil
	for w := range l.parallel {
		all = append(all, took[w]...)
		failed += errs[w]
		if l.first == nil {
			l.first = firsts[w]
		}
	}
	if err := ctx.Err(); err != nil {
		return loadResult{}, fmt.Errorf("%d of %d done: %w", len(all), l.count, err)
	}
	if len(all) == 0 {
		return loadResult{}, fmt.Errorf("none of %d succeeded: %w", l.count, l.first)
	}
	return loadResult{
		PerSecond: float64(len(all)) / seconds, ClientCPU: cpu,
		MedianMS: percentile(all, 50), P99MS: percentile(all, 99), Errors: failed,
	}, nil
}
