// SPDX-License-Identifier: Apache-2.0 OR MIT

package connmgr

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ma "github.com/multiformats/go-multiaddr"
	"pgregory.net/rapid"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

var now = time.Unix(1_700_000_000, 0)

const grace = 20 * time.Second

func cand(p peer.ID, age time.Duration, dir core.Direction, ip string, streams int) Candidate {
	return Candidate{Peer: p, Opened: now.Add(-age), Direction: dir, Remote: ma.StringCast("/ip4/" + ip + "/tcp/1"), Streams: streams}
}

// TestTrimOrder has two connections, of which the first goes.
func TestTrimOrder(t *testing.T) {
	const in, out = core.Inbound, core.Outbound
	cases := []struct {
		name      string
		goes, not Candidate
		tags      map[peer.ID]int
	}{
		{"lower tag", cand("a", time.Hour, out, "1.1.1.1", 9), cand("b", time.Minute, in, "1.1.1.1", 0), map[peer.ID]int{"a": 1, "b": 2}},
		{"untagged", cand("a", time.Hour, out, "1.1.1.1", 9), cand("b", time.Minute, in, "1.1.1.1", 0), map[peer.ID]int{"b": 1}},
		{"negative tag", cand("a", time.Hour, out, "1.1.1.1", 9), cand("b", time.Minute, in, "1.1.1.1", 0), map[peer.ID]int{"a": -1}},
		{"inbound", cand("a", time.Hour, in, "1.1.1.1", 9), cand("b", time.Minute, out, "1.1.1.1", 0), nil},
		{"no streams", cand("a", time.Hour, in, "1.1.1.1", 0), cand("b", time.Minute, in, "1.1.1.2", 1), nil},
		{"younger", cand("a", time.Minute, in, "1.1.1.1", 1), cand("b", time.Hour, in, "1.1.1.1", 2), nil},
		{"younger by a little", cand("a", time.Hour, in, "1.1.1.1", 1), cand("b", time.Hour+time.Second, in, "1.1.1.2", 1), nil},
		{"later in the list", cand("a", time.Hour, in, "1.1.1.1", 1), cand("b", time.Hour, in, "1.1.1.2", 1), nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var m Manager
			for p, v := range c.tags {
				m.Tag(p, "test", v)
			}
			if got := m.Trim(now, []Candidate{c.not, c.goes}, 1, grace); !cmp.Equal(got, []int{1}) {
				t.Errorf("closes %v", got)
			}
		})
	}
}

func TestTrimKeeps(t *testing.T) {
	var m Manager
	unprotect := m.Protect("protected", "test")
	cands := []Candidate{
		cand("protected", time.Hour, core.Inbound, "1.1.1.1", 0),
		cand("young", grace-1, core.Inbound, "1.1.1.1", 0),
		cand("old", grace, core.Inbound, "1.1.1.1", 0),
	}
	for target, want := range map[int][]int{-1: {2}, 0: {2}, 1: {2}, 2: {2}, 3: nil, 4: nil} {
		if got := m.Trim(now, cands, target, grace); !cmp.Equal(got, want) {
			t.Errorf("target %d closes %v", target, got)
		}
	}
	unprotect()
	if got := m.Trim(now, cands, 0, grace); !cmp.Equal(got, []int{2, 0}) {
		t.Errorf("unprotected: closes %v", got)
	}
}

// TestEvil_D5_Eviction: nine of ten connections are sybils', inbound, half of
// them with streams; the node's own connections all stay, and so do the older
// peers from elsewhere when the sybils come from few subnets.
func TestEvil_D5_Eviction(t *testing.T) {
	var m Manager
	var cands []Candidate
	for i := range 900 {
		cands = append(cands, cand(peer.ID(fmt.Sprint("sybil", i)), 70*time.Second, core.Inbound, fmt.Sprintf("6.6.6.%d", i%20), i%2))
	}
	for i := range 50 {
		cands = append(cands, cand(peer.ID(fmt.Sprint("own", i)), 30*time.Second, core.Outbound, "1.2.3.4", 0))
		cands = append(cands, cand(peer.ID(fmt.Sprint("guest", i)), 65*time.Second, core.Inbound, fmt.Sprintf("7.7.%d.7", i), i%2))
	}
	for _, i := range m.Trim(now, cands, 150, grace) {
		if p := string(cands[i].Peer); p[0] != 's' && cands[i].Streams > 0 || p[0] == 'o' {
			t.Errorf("closes %s", p)
		}
	}
}

func TestTags(t *testing.T) {
	var m Manager
	m.Tag("a", "none", 0)
	for i := range 2 * maxTags {
		m.Tag("a", fmt.Sprint(i), 1)
	}
	m.Tag("a", "0", 5)
	if tags, _ := m.Info("a"); len(tags) != maxTags || tags["0"] != 5 || m.sum("a") != maxTags+4 {
		t.Errorf("%d tags, sum %d", len(tags), m.sum("a"))
	}
	for i := range 2 * maxTags {
		m.Tag("a", fmt.Sprint(i), 0)
	}
	for i := range 2 * maxPeers {
		m.Tag(peer.ID(fmt.Sprint(i)), "x", 1)
	}
	if len(m.tags) != maxPeers {
		t.Errorf("%d peers with tags", len(m.tags))
	}
	m.Tag("max", "a", math.MaxInt)
	m.Tag("max", "b", math.MaxInt)
	m.Tag("min", "a", math.MinInt)
	m.Tag("min", "b", math.MinInt)
	if m.sum("max") != math.MaxInt64 || m.sum("min") != -math.MaxInt64 {
		t.Errorf("sums %d, %d", m.sum("max"), m.sum("min"))
	}
}

func TestProtect(t *testing.T) {
	var m Manager
	first, second, other := m.Protect("a", "x"), m.Protect("a", "x"), m.Protect("a", "y")
	m.Tag("a", "t", 3)
	m.Forget("a")
	if tags, names := m.Info("a"); len(tags) > 0 || !cmp.Equal(names, []string{"x", "y"}) {
		t.Errorf("%v, %v", tags, names)
	}
	first()
	first()
	other()
	if _, names := m.Info("a"); !cmp.Equal(names, []string{"x"}) {
		t.Errorf("%v", names)
	}
	second()
	if len(m.protected) > 0 || len(m.tags) > 0 {
		t.Error("something is left")
	}
}

// TestTrimProperty: the result has the right size, no index twice, nobody
// protected and nobody young, and nothing that stays was worth less.
func TestTrimProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m Manager
		protected := map[peer.ID]bool{}
		name := rapid.Custom(func(t *rapid.T) peer.ID {
			return peer.ID(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}).Draw(t, "p"))
		})
		for range rapid.IntRange(0, 8).Draw(t, "tags") {
			m.Tag(name.Draw(t, "tagged"), "t", rapid.IntRange(-3, 3).Draw(t, "value"))
		}
		for range rapid.IntRange(0, 2).Draw(t, "protections") {
			p := name.Draw(t, "protected")
			m.Protect(p, "x")
			protected[p] = true
		}
		cands := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Candidate {
			return cand(name.Draw(t, "peer"), time.Duration(rapid.IntRange(-1, 100).Draw(t, "age"))*time.Second,
				rapid.SampledFrom([]core.Direction{core.Inbound, core.Outbound}).Draw(t, "dir"),
				rapid.SampledFrom([]string{"1.1.1.1", "1.1.1.2", "127.0.0.1"}).Draw(t, "ip"), rapid.IntRange(0, 2).Draw(t, "streams"))
		}), 0, 40).Draw(t, "candidates")
		target := rapid.IntRange(0, 40).Draw(t, "target")

		got := m.Trim(now, cands, target, grace)
		eligible := 0
		for i, c := range cands {
			ok := !protected[c.Peer] && now.Sub(c.Opened) >= grace
			if ok {
				eligible++
			}
			if !slices.Contains(got, i) {
				for _, g := range got {
					if ok && m.sum(c.Peer) < m.sum(cands[g].Peer) {
						t.Fatalf("%v stays and %v goes", c, cands[g])
					}
				}
			} else if !ok {
				t.Fatalf("%v goes", c)
			}
		}
		if want := min(max(len(cands)-target, 0), eligible); len(got) != want {
			t.Fatalf("%d go, want %d", len(got), want)
		}
		if slices.Sort(got); len(slices.Compact(got)) != len(got) {
			t.Fatal("one goes twice")
		}
	})
}

func TestConcurrent(t *testing.T) {
	var m Manager
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			p := peer.ID(fmt.Sprint(g % 2))
			for i := range 200 {
				undo := m.Protect(p, "x")
				m.Tag(p, fmt.Sprint(i), i)
				m.Trim(now, []Candidate{cand(p, time.Hour, core.Inbound, "1.1.1.1", 0)}, 0, 0)
				m.Forget(p)
				undo()
			}
		})
	}
	wg.Wait()
	if len(m.tags)+len(m.protected) > 0 {
		t.Error("something is left")
	}
}
