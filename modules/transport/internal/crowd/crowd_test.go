// SPDX-License-Identifier: Apache-2.0 OR MIT

package crowd

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
)

const limit = 64

// party is a crowd whose guests have names.
type party struct {
	*Crowd
	gone []string
}

func newParty() *party { return &party{Crowd: New(limit)} }

func (p *party) enter(t *testing.T, name, ip string) *Guest {
	t.Helper()
	g, _ := p.Enter(netip.MustParseAddr(ip), func() { p.gone = append(p.gone, name) })
	if g == nil {
		t.Fatal("the crowd is closed")
	}
	return g
}

func (p *party) wantGone(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(p.gone, want) {
		t.Errorf("given up %v, want %v", p.gone, want)
	}
	p.gone = nil
}

func TestEvil_D4_HeaviestSourceGoes(t *testing.T) {
	for name, from := range map[string]func(i int) string{
		"IPv4 address": func(int) string { return "192.0.2.1" },
		"mapped":       func(i int) string { return []string{"192.0.2.1", "::ffff:192.0.2.1"}[i%2] },
		"IPv6 network": func(i int) string { return fmt.Sprintf("2001:db8:0:%x::%x", i%256, i) },
		"zones":        func(i int) string { return fmt.Sprintf("fe80::1%%%d", i) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newParty()
			p.enter(t, "honest", "198.51.100.1")
			for i := range 3 * limit {
				p.enter(t, fmt.Sprint(i), from(i))
			}
			p.enter(t, "late", "198.51.100.2")
			var want []string
			for i := range 2*limit + 2 {
				want = append(want, fmt.Sprint(i))
			}
			p.wantGone(t, want...)
			if len(p.counts) != 3 || p.Len() != limit {
				t.Errorf("%d guests from %d sources", p.Len(), len(p.counts))
			}
		})
	}
}

func TestEvil_A9_OldestOfManySourcesGoes(t *testing.T) {
	p := newParty()
	for i := range limit + 3 {
		g, crowded := p.Enter(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), func() { p.gone = append(p.gone, fmt.Sprint(i)) })
		if g == nil || crowded != (i >= limit) {
			t.Errorf("%d: %v, crowded %v", i, g, crowded)
		}
	}
	p.wantGone(t, "0", "1", "2")
}

func TestLeave(t *testing.T) {
	p := newParty()
	first := p.enter(t, "first", "192.0.2.1")
	second := p.enter(t, "second", "192.0.2.1")
	first.Leave()
	first.Leave()
	if p.Len() != 1 || p.counts[source(netip.MustParseAddr("192.0.2.1"))] != 1 {
		t.Errorf("%d guests, %v", p.Len(), p.counts)
	}
	for range limit {
		p.enter(t, "other", "192.0.2.1")
	}
	p.wantGone(t, "second")
	second.Leave()
	p.Close()
	if len(p.gone) != limit || p.Len() != 0 || len(p.counts) != 0 {
		t.Errorf("%d given up, %d left from %d sources", len(p.gone), p.Len(), len(p.counts))
	}
}

func TestClose(t *testing.T) {
	p := newParty()
	g := p.enter(t, "one", "192.0.2.1")
	p.Close()
	p.Close()
	p.wantGone(t, "one")
	g.Leave()
	if late, crowded := p.Enter(netip.Addr{}, func() { t.Error("given up") }); late != nil || crowded {
		t.Error("takes connections in after Close")
	}
}

func TestManyAtOnce(t *testing.T) {
	c := New(limit)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 4 * limit {
				given := false // under the crowd's lock until Leave
				g, _ := c.Enter(netip.AddrFrom4([4]byte{10, 0, byte(i), byte(j % 7)}), func() { given = true })
				if n := c.Len(); n > limit {
					t.Errorf("%d guests", n)
				}
				if j%3 > 0 {
					continue
				}
				g.Leave()
				given = !given // what the race detector looks at
			}
		})
	}
	wg.Wait()
	c.Close()
	if c.Len() != 0 || len(c.counts) != 0 {
		t.Errorf("%d left from %d sources", c.Len(), len(c.counts))
	}
}

// BenchmarkFull has a connection enter a crowd that is full, as in a flood.
func BenchmarkFull(b *testing.B) {
	c := New(512)
	var from [16]byte
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		from[5], from[6] = byte(i>>8), byte(i)
		c.Enter(netip.AddrFrom16(from), func() {})
	}
}
