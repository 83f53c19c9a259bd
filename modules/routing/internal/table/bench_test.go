// SPDX-License-Identifier: Apache-2.0 OR MIT

package table

import (
	"runtime"
	"testing"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
)

// thousand is a table to which 1,000 peers have answered. With a k of 20 it
// keeps those that Kademlia keeps, about 130, and some spares.
func thousand(k int) *Table {
	tab := New(self, Config{K: k})
	for n := range 1000 {
		tab.Answered(id(n), ip(n), start)
	}
	return tab
}

func BenchmarkNearest(b *testing.B) {
	for name, k := range map[string]int{"k=20": 20, "k=1000": 1000} {
		b.Run(name, func(b *testing.B) {
			tab := thousand(k)
			targets := make([]keyspace.Key, 256)
			for i := range targets {
				targets[i] = keyspace.OfPeer(id(i << 20))
			}
			dst := make([]peer.ID, 0, 20)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				dst = tab.Nearest(dst[:0], targets[i%len(targets)], 20)
			}
		})
	}
}

func BenchmarkAnswered(b *testing.B) {
	tab := thousand(20)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		tab.Answered(id(i%1000), ip(i%1000), start)
	}
}

// BenchmarkMemory says what a table takes that keeps all of 1,000 peers, the
// peer IDs themselves not counted: those it shares with whoever told it.
func BenchmarkMemory(b *testing.B) {
	peers := make([]peer.ID, 1000)
	for n := range peers {
		peers[n] = id(n)
	}
	for name, k := range map[string]int{"k=20": 20, "k=1000": 1000} {
		b.Run(name, func(b *testing.B) {
			const tables = 50
			var members int
			for b.Loop() {
				all := make([]*Table, tables)
				before := heap()
				for i := range all {
					all[i] = New(self, Config{K: k})
					for n, p := range peers {
						all[i].Answered(p, ip(n), start)
					}
				}
				b.ReportMetric(float64(heap()-before)/tables, "B/table")
				members = all[0].Len()
				runtime.KeepAlive(all)
			}
			b.ReportMetric(float64(members), "members")
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
