// SPDX-License-Identifier: Apache-2.0 OR MIT

package table

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/ipgroup"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
)

// TestWhateverHappens lets peers come, go, move and fail, and checks what must
// hold at all times.
func TestWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		changes := map[peer.ID]bool{}
		tab := New(self, Config{
			K:      rapid.IntRange(1, 5).Draw(t, "k"),
			Spares: rapid.IntRange(1, 3).Draw(t, "spares"),
			Changed: func(p peer.ID, member bool) {
				if changes[p] == member {
					t.Fatalf("told twice that %q is %v", p, member)
				}
				changes[p] = member
			},
		})
		answered := map[peer.ID]bool{}
		now := start
		peers := rapid.Custom(func(t *rapid.T) peer.ID { return id(rapid.IntRange(0, 60).Draw(t, "peer")) })
		addrs := rapid.Custom(func(t *rapid.T) netip.Addr {
			if n := rapid.IntRange(0, 12).Draw(t, "addr"); n > 0 {
				return ip(n)
			}
			return noIP
		})
		t.Repeat(map[string]func(*rapid.T){
			"candidate": func(t *rapid.T) { tab.Candidate(peers.Draw(t, "p"), addrs.Draw(t, "ip"), now) },
			"answered": func(t *rapid.T) {
				p := peers.Draw(t, "p")
				answered[p] = true
				if got := tab.Answered(p, addrs.Draw(t, "ip"), now); got != tab.Has(p) {
					t.Fatalf("member %v, has %v", got, tab.Has(p))
				}
			},
			"failed": func(t *rapid.T) { tab.Failed(peers.Draw(t, "p"), now) },
			"remove": func(t *rapid.T) {
				p := peers.Draw(t, "p")
				if tab.Remove(p, now); tab.Has(p) {
					t.Fatal("there after it was removed")
				}
			},
			"probe": func(t *rapid.T) {
				due := tab.Probe(rapid.IntRange(0, 10).Draw(t, "n"), now)
				if again := tab.Probe(100, now); slices.ContainsFunc(again, func(p peer.ID) bool { return slices.Contains(due, p) }) {
					t.Fatal("probed twice")
				}
			},
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "s")) * time.Second)
			},
			"": func(t *rapid.T) { check(t, tab, answered, changes) },
		})
	})
}

func check(t *rapid.T, tab *Table, answered, changes map[peer.ID]bool) {
	groups := map[ipgroup.Group]int{}
	seen := map[peer.ID]bool{}
	var all []Member
	for m := range tab.Members() {
		all = append(all, m)
		if groups[m.Group]++; m.Group != 0 && groups[m.Group] > tab.PerGroup {
			t.Fatalf("%d members of group %x", groups[m.Group], m.Group)
		}
		if seen[m.ID] || !answered[m.ID] || !changes[m.ID] {
			t.Fatalf("%x: twice %v, answered %v, told of %v", m.ID, seen[m.ID], answered[m.ID], changes[m.ID])
		}
		seen[m.ID] = true
	}
	if len(all) != tab.Len() {
		t.Fatalf("%d members, counted %d", len(all), tab.Len())
	}
	for i, b := range tab.buckets {
		if len(b.members) > tab.K || len(b.spares) > tab.Spares {
			t.Fatalf("%d members and %d spares", len(b.members), len(b.spares))
		}
		inBucket := map[ipgroup.Group]int{}
		for _, e := range slices.Concat(b.members, b.spares) {
			if keyspace.CommonPrefix(e.key, tab.self) != i || e.key != keyspace.OfPeer(e.id) {
				t.Fatalf("%x is in the wrong bucket", e.id)
			}
		}
		for _, e := range b.members {
			if inBucket[e.group]++; e.group != 0 && inBucket[e.group] > tab.PerGroupInBucket {
				t.Fatalf("%d members of group %x in a bucket", inBucket[e.group], e.group)
			}
		}
		for _, e := range b.spares {
			if b.members.find(e.key) >= 0 {
				t.Fatalf("%x is member and spare", e.id)
			}
		}
	}

	// The nearest, by sorting all.
	target := keyspace.OfPeer(id(rapid.IntRange(0, 200).Draw(t, "target")))
	n := rapid.IntRange(0, 12).Draw(t, "n")
	keyspace.Sort(target, all, func(m Member) keyspace.Key { return keyspace.OfPeer(m.ID) })
	slices.SortStableFunc(all, func(a, b Member) int { return min(a.Failures, 1) - min(b.Failures, 1) })
	var want []peer.ID
	for _, m := range all[:min(n, len(all))] {
		want = append(want, m.ID)
	}
	if got := tab.Nearest(nil, target, n); !slices.Equal(got, want) {
		t.Fatalf("nearest %d: %x, want %x", n, got, want)
	}
}
