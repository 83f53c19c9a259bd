// SPDX-License-Identifier: Apache-2.0 OR MIT

package query

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
	"github.com/xnode-p2p/xnode/modules/routing/internal/table"
)

// TestFindsTheClosest looks up random targets in networks of every make, some of
// whose peers are dead, and compares with what somebody sees who sees all.
func TestFindsTheClosest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(3, 20).Draw(t, "k")
		n := newNetwork(rapid.IntRange(1, 120).Draw(t, "size"), rapid.Uint64().Draw(t, "seed"), Config{
			K:     k,
			Alpha: rapid.IntRange(1, 12).Draw(t, "alpha"),
			Beta:  rapid.IntRange(1, 4).Draw(t, "beta"),
			Paths: rapid.IntRange(1, 4).Draw(t, "paths"),
		})
		n.link = func() time.Duration { return time.Duration(n.rng.IntN(300)) * time.Millisecond }
		n.meet(table.Config{K: k})
		target := keyspace.Random(keyspace.Key{}, 0, n.rng)
		from := n.peers[n.rng.IntN(len(n.peers))]
		watch := watcher{t: t, asked: map[peer.ID]bool{}}
		r := n.lookup(from, target, watch.step)
		watch.result(r)
		want := n.closest(target, k, from.id)
		if !slices.Equal(r.Closest, want) {
			t.Errorf("%s: found %d, %d of them right, of %d", r.Reason, len(r.Closest), common(r.Closest, want), len(want))
		}

		// With dead peers: nothing else than the living, and no end of it.
		for _, m := range n.peers {
			m.dead = m != from && n.rng.IntN(3) == 0
		}
		watch = watcher{t: t, asked: map[peer.ID]bool{}}
		r = n.lookup(from, target, watch.step)
		watch.result(r)
		want = n.closest(target, k, from.id)
		for _, p := range r.Closest {
			if n.byID[p].dead {
				t.Error("a dead peer is among the closest")
			}
		}
		alive := false
		for _, p := range from.table.Nearest(nil, target, k) {
			alive = alive || !n.byID[p].dead
		}
		if alive != (len(r.Closest) > 0) {
			t.Errorf("found %d of %d, some seed alive: %v", len(r.Closest), len(want), alive)
		}
	})
}

func common(a, b []peer.ID) (n int) {
	for _, p := range a {
		if slices.Contains(b, p) {
			n++
		}
	}
	return n
}

// watcher checks what must hold in every step of every query.
type watcher struct {
	t interface {
		Fatalf(string, ...any)
	}
	q     *Query
	asked map[peer.ID]bool
	now   time.Time
}

func (w *watcher) step(q *Query, _ Event, now time.Time) {
	w.q = q
	if now.Before(w.now) {
		w.t.Fatalf("woken before now")
	}
	w.now = now
	open := 0
	for i, slot := range q.order {
		n := &q.nodes[slot]
		if i > 0 && !keyspace.Closer(q.target, q.nodes[q.order[i-1]].key, n.key) {
			w.t.Fatalf("out of order")
		}
		if n.state == asked {
			open++
		}
		if n.state != heard {
			w.asked[n.id] = true
		} else if w.asked[n.id] {
			w.t.Fatalf("asked and forgotten")
		}
	}
	if limit := max(q.K, q.Alpha, q.paths); open > limit || !q.last && open > max(q.Alpha, q.paths) {
		w.t.Fatalf("%d questions are open", open)
	}
	if len(q.nodes) > q.Heard || len(w.asked) > q.Asks || len(w.asked) != q.asked {
		w.t.Fatalf("%d nodes, %d asked, counted %d", len(q.nodes), len(w.asked), q.asked)
	}
}

func (w *watcher) result(r Result) {
	if r.Reason == "" || len(r.Closest) > w.q.K || r.Asked < r.Answered+r.Failed || r.Took > w.q.Timeout {
		w.t.Fatalf("%+v", r)
	}
	for i, p := range r.Closest {
		if !w.asked[p] {
			w.t.Fatalf("the result was not asked")
		}
		if i > 0 && !keyspace.Closer(w.q.target, keyspace.OfPeer(r.Closest[i-1]), keyspace.OfPeer(p)) {
			w.t.Fatalf("the result is not in order")
		}
	}
}

// TestWhateverHappens has peers answer what they like, when they like.
func TestWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		some := func(n int) (peers []Peer) {
			for range n {
				id := [34]byte{0x12, 0x20}
				binary.BigEndian.PutUint64(id[26:], uint64(rng.IntN(500)))
				peers = append(peers, Peer{peer.ID(id[:]), table.New("", table.Config{}).Group(addr(rng.IntN(9)))})
			}
			return peers
		}
		q := New(keyspace.Key{}, Config{
			K: rapid.IntRange(1, 8).Draw(t, "k"), Paths: rapid.IntRange(1, 9).Draw(t, "paths"),
			Heard: rapid.IntRange(1, 60).Draw(t, "heard"), Asks: rapid.IntRange(1, 60).Draw(t, "asks"),
		})
		w := watcher{t: t, asked: map[peer.ID]bool{}}
		now := start
		var open []peer.ID
		e := Event(Start{some(rng.IntN(20))})
		for steps := 0; ; steps++ {
			if steps > 10_000 {
				t.Fatal("it does not end")
			}
			w.step(q, e, now)
			a := q.Step(e, now)
			open = append(open, a.Ask...)
			if a.Done {
				w.step(q, e, now)
				w.result(q.Result())
				if got := q.Step(Start{some(5)}, now); !got.Done || len(got.Ask) > 0 {
					t.Fatal("it goes on after its end")
				}
				return
			}
			if now = now.Add(time.Duration(rng.IntN(2000)) * time.Millisecond); now.After(q.Wake()) {
				now, e = q.Wake(), Tick{}
				continue
			}
			switch from := some(1)[0]; rng.IntN(6) {
			case 0:
				e = Tick{}
			case 1:
				e = Answer{from, some(rng.IntN(100))}
			case 2:
				if len(open) > 0 {
					e = Failure{open[rng.IntN(len(open))]}
				}
			default:
				if len(open) > 0 {
					from.ID = open[rng.IntN(len(open))]
					e = Answer{from, some(rng.IntN(100))}
				}
			}
		}
	})
}

// TestThousand measures look-ups in a network of 1,000 peers.
func TestThousand(t *testing.T) {
	size, lookups := 1000, 200
	if testing.Short() {
		size, lookups = 300, 50
	}
	n := newNetwork(size, 1, Config{})
	n.meet(table.Config{})
	for _, dead := range []float64{0, 0.2} {
		for _, m := range n.peers {
			m.dead = n.rng.Float64() < dead
		}
		for _, paths := range []int{1, 2, 4} {
			n.config.Paths = paths
			s := n.measure(lookups)
			t.Logf("%2.0f%% dead, %d paths: %s", 100*dead, paths, s)
			if s.closest < 0.999 {
				t.Errorf("only %.2f%% found the closest", 100*s.closest)
			}
		}
	}
}

// stat is an average over look-ups.
type stat struct {
	closest, share, hops, asked, failed float64
	took                                time.Duration
}

func (s stat) String() string {
	return fmt.Sprintf("%.2f%% found the closest and %.2f%% of the %d closest, with %.1f hops, %.1f questions, %.1f failures, in %v",
		100*s.closest, 100*s.share, 20, s.hops, s.asked, s.failed, s.took)
}

// measure looks up random targets from random peers.
func (n *network) measure(lookups int) (s stat) {
	for range lookups {
		from := n.peers[n.rng.IntN(len(n.peers))]
		for from.dead || from.lies != nil {
			from = n.peers[n.rng.IntN(len(n.peers))]
		}
		target := keyspace.Random(keyspace.Key{}, 0, n.rng)
		r := n.lookup(from, target, nil)
		want := n.closest(target, 20, from.id)
		if slices.Contains(r.Closest, want[0]) {
			s.closest += 1 / float64(lookups)
		}
		s.share += float64(common(r.Closest, want)) / float64(len(want)) / float64(lookups)
		s.hops += float64(r.Hops) / float64(lookups)
		s.asked += float64(r.Asked) / float64(lookups)
		s.failed += float64(r.Failed) / float64(lookups)
		s.took += r.Took / time.Duration(lookups)
	}
	return s
}
