// SPDX-License-Identifier: Apache-2.0 OR MIT

package bbolt

import (
	"crypto/sha256"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// providerRecord is like a record of who provides what: the hash of a content and
// a peer, and some addresses.
func providerRecord(i int, now time.Time) core.Change {
	key := make([]byte, 0, 72)
	content, peer := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i/3))), sha256.Sum256(binary.AppendVarint(nil, int64(i)))
	key = append(append(append(key, 0x12, 0x20), content[:]...), 0, 36)
	key = append(key, peer[:]...)
	value := make([]byte, 60)
	copy(value, peer[:])
	return core.Change{Key: key, Value: value, Expires: now.Add(48 * time.Hour)}
}

// heap is how much memory is in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // what pools hold goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestMillion has a million records, and more that come in their place.
func TestMillion(t *testing.T) {
	if testing.Short() {
		t.Skip("a million records take a while")
	}
	const each = 10_000
	records, more := 1_000_000, 100_000
	if coretest.Race {
		records, more = 100_000, 20_000
	}
	quota := core.Quota{Entries: records}
	path := filepath.Join(t.TempDir(), "store.db")
	b, _ := started(t, path)
	table := opened(t, b, "kad/providers", quota)
	before, peak := heap(), uint64(0)
	now := time.Now()
	write := func(from, count int) {
		t.Helper()
		var writers sync.WaitGroup
		for part := range 2 {
			writers.Go(func() {
				for first := from + part*each; first < from+count; first += 2 * each {
					changes := make([]core.Change, each)
					for i := range changes {
						changes[i] = providerRecord(first+i, now)
					}
					if err := table.Apply(changes...); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		writers.Wait()
		peak = max(peak, heap())
	}
	for from := 0; from < records; from += records / 10 {
		write(from, records/10)
	}
	took := time.Since(now)
	again := time.Now()
	write(records, more)
	stat, err := table.Stat()
	if err != nil || stat.Entries != records {
		t.Errorf("%+v, %v", stat, err)
	}
	t.Logf("%d records in %v, %d in place of others in %v; the file has %d MB, the records %d MB",
		records, took.Round(time.Millisecond), more, time.Since(again).Round(time.Millisecond), size(t, path)/1e6, stat.Bytes/1e6)
	t.Logf("memory: %d KB before, %d KB at most after a write", before/1000, peak/1000)
	if peak > before+32<<20 {
		t.Errorf("the store takes %d bytes of memory", peak-before)
	}
	closed(t, b, table)

	begin := time.Now()
	b, log := started(t, path)
	table = opened(t, b, "kad/providers", quota)
	stat, err = table.Stat()
	opening := time.Since(begin)
	if err != nil || stat.Entries != records {
		t.Errorf("%+v, %v", stat, err)
	}
	t.Logf("opened in %v", opening.Round(time.Microsecond))
	for _, i := range []int{more - 1, more, records - 1, records, records + more - 1} {
		c := providerRecord(i, now)
		if _, err := table.Get(c.Key); (err == nil) != (i >= more) {
			t.Errorf("record %d: %v", i, err)
		}
	}
	closed(t, b, table)
	if lines := log.lines(); len(lines) > 0 {
		t.Errorf("%q", lines)
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// BenchmarkApply is one write of one change; with parallelism they share the disk.
func BenchmarkApply(b *testing.B) {
	store, _ := started(b, filepath.Join(b.TempDir(), "store.db"))
	table := opened(b, store, "test/bench", core.Quota{Entries: 10_000})
	defer table.Close()
	var mu sync.Mutex
	n := 0
	b.SetParallelism(32)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			mu.Lock()
			n++
			c := providerRecord(n, time.Now())
			mu.Unlock()
			if err := table.Apply(c); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkGet is one lookup.
func BenchmarkGet(b *testing.B) {
	store, _ := started(b, filepath.Join(b.TempDir(), "store.db"))
	table := opened(b, store, "test/bench", core.Quota{})
	defer table.Close()
	var changes []core.Change
	for i := range 10_000 {
		changes = append(changes, providerRecord(i, time.Now()))
	}
	if err := table.Apply(changes...); err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		if _, err := table.Get(changes[i%len(changes)].Key); err != nil {
			b.Fatal(err)
		}
	}
}
