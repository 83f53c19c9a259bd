// SPDX-License-Identifier: Apache-2.0 OR MIT

package limits

import (
	"testing"

	"github.com/xnode-p2p/xnode/core"
)

func streamOnce(t testing.TB, c *Conn, s *Stream, a core.StreamMemory) {
	if err := c.OpenStream(core.Inbound, s); err != nil {
		t.Fatal(err)
	}
	s.Charge(a)
	if err := s.SetProtocol("/ipfs/ping/1.0.0", 4); err != nil {
		t.Fatal(err)
	}
	s.Done()
}

func BenchmarkStream(b *testing.B) {
	c := open(b, newLimits(b, Config{}, newClock()), core.Inbound, local, 1)
	s, a := Stream{}, c.Stream()
	b.ReportAllocs()
	for b.Loop() {
		streamOnce(b, c, &s, a)
	}
}

func BenchmarkReserve(b *testing.B) {
	c := open(b, newLimits(b, Config{}, newClock()), core.Inbound, local, 1)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Reserve(4096, 255); err != nil {
			b.Fatal(err)
		}
		c.Release(4096)
	}
}

func TestAllocations(t *testing.T) {
	c := open(t, newLimits(t, Config{}, newClock()), core.Inbound, local, 1)
	s, a := Stream{}, c.Stream()
	if n := testing.AllocsPerRun(1000, func() { streamOnce(t, c, &s, a) }); n > 0 {
		t.Errorf("stream: %v allocations", n)
	}
	if n := testing.AllocsPerRun(1000, func() { _ = c.Reserve(4096, 255); c.Release(4096) }); n > 0 {
		t.Errorf("reserve: %v allocations", n)
	}
}
