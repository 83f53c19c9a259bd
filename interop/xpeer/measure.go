// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/process"
)

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// percentile returns the p-th percentile of the samples in milliseconds, by
// nearest rank; 0 of none. It sorts the samples.
func percentile(samples []time.Duration, p float64) float64 {
	if len(samples) == 0 {
		return 0
	}
	slices.Sort(samples)
	rank := int(math.Ceil(p / 100 * float64(len(samples))))
	return millis(samples[max(rank, 1)-1])
}

// stopwatch measures the wall clock and the processor time, user and system,
// of this process.
type stopwatch struct {
	start time.Time
	cpu   time.Duration
}

func startWatch() stopwatch { return stopwatch{time.Now(), process.OwnCPU()} }

func (w stopwatch) seconds() float64    { return time.Since(w.start).Seconds() }
func (w stopwatch) cpuSeconds() float64 { return (process.OwnCPU() - w.cpu).Seconds() }

// startProfiles begins what --cpuprofile and --memprofile ask for; stop writes
// the files.
func startProfiles(cpu, mem string) (stop func() error, err error) {
	var cpuFile *os.File
	if cpu != "" {
		if cpuFile, err = os.Create(cpu); err != nil {
			return nil, fmt.Errorf("--cpuprofile: %w", err)
		}
		if err := pprof.StartCPUProfile(cpuFile); err != nil {
			return nil, fmt.Errorf("--cpuprofile: %w", err)
		}
	}
	return func() error {
		if cpuFile != nil {
			pprof.StopCPUProfile()
			if err := cpuFile.Close(); err != nil {
				return fmt.Errorf("--cpuprofile: %w", err)
			}
		}
		if mem == "" {
			return nil
		}
		file, err := os.Create(mem)
		if err != nil {
			return fmt.Errorf("--memprofile: %w", err)
		}
		defer file.Close()
		runtime.GC()
		return pprof.Lookup("allocs").WriteTo(file, 0)
	}, nil
}
