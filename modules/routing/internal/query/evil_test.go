// SPDX-License-Identifier: Apache-2.0 OR MIT

package query

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
	"github.com/xnode-p2p/xnode/modules/routing/internal/table"
)

// conspire adds liars who tell of each other alone.
func (n *network) conspire(ids []peer.ID, ip func(i int) netip.Addr) {
	liars := make([]*member, len(ids))
	for i, p := range ids {
		liars[i] = n.joinAs(p, ip(i))
	}
	for _, m := range liars {
		m.lies = func(target keyspace.Key) (told []peer.ID) {
			keyspace.Sort(target, liars, func(m *member) keyspace.Key { return m.key })
			for _, m := range liars[:min(20, len(liars))] {
				told = append(told, m.id)
			}
			return told
		}
	}
}

// subnets are addresses in three groups, and scattered ones each in its own.
func subnets(i int) netip.Addr   { return netip.AddrFrom4([4]byte{51, byte(i % 3), byte(i / 3), 1}) }
func scattered(i int) netip.Addr { return addr(10_000 + i) }

// fakes returns peer IDs that nobody has.
func (n *network) fakes(count int) (ids []peer.ID) {
	for range count {
		id := [34]byte{0x12, 0x20}
		binary.BigEndian.PutUint64(id[18:], n.rng.Uint64())
		binary.BigEndian.PutUint64(id[26:], n.rng.Uint64())
		ids = append(ids, peer.ID(id[:]))
	}
	return ids
}

// near returns fakes that share so many bits with a target, or more.
func (n *network) near(target keyspace.Key, bits, count int) (ids []peer.ID) {
	for len(ids) < count {
		if f := n.fakes(1)[0]; keyspace.CommonPrefix(keyspace.OfPeer(f), target) >= bits {
			ids = append(ids, f)
		}
	}
	return ids
}

func TestEvil_K5_LongAnswers(t *testing.T) {
	n := newNetwork(100, 5, Config{})
	n.meet(table.Config{})
	target := keyspace.Of([]byte("target"))
	liar := n.byID[n.closest(target, 1, "")[0]]
	long := n.fakes(10_000)
	liar.lies = func(keyspace.Key) []peer.ID { return long }
	most := 0
	r := n.lookup(n.honest(), target, func(q *Query, _ Event, _ time.Time) { most = max(most, len(q.nodes)) })
	if most > 20+100+40 {
		t.Errorf("%d peers of one answer were used", most-120)
	}
	if want := n.closest(target, 5, ""); r.Closest[0] != liar.id || !slices.Equal(r.Closest[1:6], want) {
		t.Errorf("%s: others than the closest", r.Reason)
	}
}

func TestEvil_K6_ThirtyPercentLie(t *testing.T) {
	const honest, liars, lookups = 210, 90, 100
	for name, ip := range map[string]func(int) netip.Addr{"three": subnets, "many": scattered} {
		n := newNetwork(honest, 2, Config{})
		n.conspire(n.fakes(liars), ip)
		n.meet(table.Config{})
		s := n.measure(lookups)
		t.Logf("%d%% liars of %s subnets: %s", 100*liars/(honest+liars), name, s)
		if s.closest < 0.99 {
			t.Errorf("only %.2f%% found the closest", 100*s.closest)
		}
	}
}

// TestEvil_K7_Eclipse has liars sit closest to a key, and tells how often a
// record that one peer puts there is found by another.
func TestEvil_K7_Eclipse(t *testing.T) {
	const honest, keys = 300, 10
	for _, liars := range []int{20, 45} {
		for name, ip := range map[string]func(int) netip.Addr{"three": subnets, "many": scattered} {
			n := newNetwork(honest, 3, Config{})
			target := keyspace.Random(keyspace.Key{}, 0, n.rng)
			n.conspire(n.near(target, 11, liars), ip)
			n.meet(table.Config{})
			for _, k := range []int{20, 80} {
				n.config = Config{K: k}
				stored, found := n.store(target, keys)
				t.Logf("%d liars of %s subnets, k %d: on %.1f honest peers, found %d of %d",
					liars, name, k, float64(stored)/float64(keys), found, keys)
				// Peers of many networks are no different from honest ones:
				// only more of the closest help.
				if (name == "three" || k == 80) && found < keys {
					t.Error("not always found")
				}
			}
		}
	}
}

// store has one peer store a record with the closest, and another look for it,
// again and again. It returns on how many honest peers it was in all, and how
// often it was found.
func (n *network) store(target keyspace.Key, times int) (stored, found int) {
	for range times {
		var keep []peer.ID
		for _, p := range n.lookup(n.honest(), target, nil).Closest {
			if n.byID[p].lies == nil {
				keep = append(keep, p)
			}
		}
		stored += len(keep)
		hit := 0
		n.lookup(n.honest(), target, func(_ *Query, e Event, _ time.Time) {
			if a, ok := e.(Answer); ok && slices.Contains(keep, a.From.ID) {
				hit = 1
			}
		})
		found += hit
	}
	return stored, found
}

func (n *network) honest() *member {
	for {
		if m := n.peers[n.rng.IntN(len(n.peers))]; !m.dead && m.lies == nil {
			return m
		}
	}
}

// TestEvil_K7_LiarsLeadAstray has liars everywhere, of many networks, who all
// lead to a ring of liars around whatever is looked for. Whoever walks on one
// path follows the first of them.
func TestEvil_K7_LiarsLeadAstray(t *testing.T) {
	honest, liars, targets, lookups := 210, 90, 12, 5
	n := newNetwork(honest, 2, Config{})
	for i, p := range n.fakes(liars) {
		n.joinAs(p, scattered(i))
	}
	n.meet(table.Config{})
	reached := map[int]int{}
	for range targets {
		target := keyspace.Random(keyspace.Key{}, 0, n.rng)
		ring := n.near(target, 9, 25)
		lie := func(keyspace.Key) []peer.ID { return ring }
		for _, m := range n.peers[honest:] {
			m.lies = lie
		}
		for i, p := range ring {
			n.byID[p] = &member{id: p, key: keyspace.OfPeer(p), ip: scattered(liars + i), table: n.peers[0].table, lies: lie}
		}
		want := n.closest(target, 1, "")[0]
		for _, n.config.Paths = range []int{1, 4, 8} {
			for range lookups {
				hit := 0
				n.lookup(n.honest(), target, func(_ *Query, e Event, _ time.Time) {
					if a, ok := e.(Answer); ok && a.From.ID == want {
						hit = 1
					}
				})
				reached[n.config.Paths] += hit
			}
		}
	}
	all := targets * lookups
	t.Logf("reached the closest honest peer, of %d times, by the number of paths: %v", all, reached)
	if reached[4] < all*85/100 || reached[1] >= reached[4] {
		t.Error("more paths do not help")
	}
}

// chain has a peer tell of one that is nearer by a bit, which does the same.
func (n *network) chain(first *member, target keyspace.Key, ip func(int) netip.Addr) {
	cpl := keyspace.CommonPrefix(first.key, target)
	var next func(keyspace.Key) []peer.ID
	next = func(keyspace.Key) []peer.ID {
		cpl++
		p := n.near(target, min(cpl, 12), 1)[0] // beyond, any will do
		if n.byID[p] == nil {
			n.byID[p] = &member{id: p, key: keyspace.OfPeer(p), table: first.table, ip: ip(cpl), lies: next}
		}
		return []peer.ID{p}
	}
	first.lies = next
}

func TestEvil_K8_EachNearerThanTheLast(t *testing.T) {
	for name, ip := range map[string]func(int) netip.Addr{"three": subnets, "many": scattered} {
		n := newNetwork(100, 4, Config{})
		n.meet(table.Config{})
		target := keyspace.Of([]byte("target"))
		n.chain(n.byID[n.closest(target, 1, "")[0]], target, ip)
		want := n.closest(target, 1, "")[0]
		reached := false
		r := n.lookup(n.honest(), target, func(_ *Query, e Event, _ time.Time) {
			a, ok := e.(Answer)
			reached = reached || ok && a.From.ID == want
		})
		t.Logf("a chain of %s subnets: %s after %v, %d asked, %d hops", name, r.Reason, r.Took, r.Asked, r.Hops)
		if r.Took >= time.Minute || r.Asked > 100 || r.Hops > 20 {
			t.Error("it went on for too long")
		}
		if !reached || name == "three" && !slices.Contains(r.Closest, want) {
			t.Error("the closest honest peer is not found")
		}
	}
}

func TestEvil_K8_NobodyIsThere(t *testing.T) {
	n := newNetwork(100, 6, Config{})
	n.conspire(n.fakes(30), scattered)
	n.meet(table.Config{})
	target := keyspace.Of([]byte("target"))
	for name, silent := range map[string]bool{"cannot be reached": false, "say nothing": true} {
		for _, m := range n.peers[100:] {
			m.lies = func(keyspace.Key) []peer.ID { // others every time
				ids := n.near(target, 8, 40)
				for _, p := range ids {
					if silent {
						n.byID[p] = &member{dead: true}
					}
				}
				return ids
			}
		}
		s := n.lookup(n.peers[0], target, nil)
		t.Logf("liars tell of peers who %s: %s after %v, %d asked, %d failed", name, s.Reason, s.Took, s.Asked, s.Failed)
		if s.Took > time.Minute || s.Asked > 200 {
			t.Error("it went on for too long")
		}
		if want := n.closest(target, 1, "")[0]; !slices.Contains(s.Closest, want) {
			t.Error("the closest honest peer is not found")
		}
	}
}

func TestEvil_K8_SlowAnswers(t *testing.T) {
	n := newNetwork(200, 7, Config{})
	n.meet(table.Config{})
	for name, link := range map[string]time.Duration{"just in time": 9 * time.Second, "too late": 11 * time.Second} {
		n.link = func() time.Duration { return link }
		r := n.lookup(n.honest(), keyspace.Of([]byte(fmt.Sprint(link))), nil)
		t.Logf("answers %s: %s after %v, %d asked, %d answered", name, r.Reason, r.Took, r.Asked, r.Answered)
		if r.Took > time.Minute {
			t.Error("it took too long")
		}
	}
}
