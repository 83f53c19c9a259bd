// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/kadwire"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
	"github.com/xnode-p2p/xnode/modules/routing/internal/table"
)

// simDelay is the latency of the links of simulations.
const simDelay = 50 * time.Millisecond

// simulation is a network of DHT servers on fake time.
type simulation struct {
	*simNet
	rng   *rand.Rand
	nodes []*simNode // those that are honest
	kads  []*Kad     // theirs
	liars []*simNode
	lie   func(*kadwire.Message, *kadwire.Buffer) // adds to an answer of a liar; may be nil
}

func newSimulation(seed uint64) *simulation {
	return &simulation{simNet: newSimNet(simDelay), rng: rand.New(rand.NewPCG(seed, 0))}
}

// scattered and subnets are addresses, each in a group of its own or all in three.
func scattered(i int) netip.Addr { return netip.AddrFrom4([4]byte{byte(60 + i>>8), byte(i), 0, 1}) }
func subnets(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{51, byte(i % 3), byte(i / 3 >> 8), byte(i / 3)})
}

func (s *simulation) newID() peer.ID {
	id := [34]byte{0x12, 0x20}
	for i := 2; i < len(id); i += 8 {
		binary.BigEndian.PutUint64(id[i:], s.rng.Uint64())
	}
	return peer.ID(id[:])
}

// near returns IDs that share so many bits with a key, or more.
func (s *simulation) near(key []byte, bits, count int) (ids []peer.ID) {
	for len(ids) < count {
		if p := s.newID(); keyspace.CommonPrefix(keyspace.OfPeer(p), keyspace.Of(key)) >= bits {
			ids = append(ids, p)
		}
	}
	return ids
}

// join starts honest nodes, which know nobody.
func (s *simulation) join(t testing.TB, count int, config string) {
	for range count {
		n := s.node(t, s.newID(), scattered(len(s.nodes)))
		n.modules = []any{newStorage(t, n)}
		k := load(t, config)
		if err := k.Start(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { k.Close() })
		s.nodes, s.kads = append(s.nodes, n), append(s.kads, k)
	}
}

// conspire starts liars, who tell of what told returns.
func (s *simulation) conspire(t testing.TB, ids []peer.ID, ip func(int) netip.Addr, told func(key []byte) []*simNode) {
	for _, p := range ids {
		n := s.node(t, p, ip(len(s.liars)))
		s.liars = append(s.liars, n)
		n.Handle(publicPrefix+suffix, func(st core.Stream) error {
			r := kadwire.NewReader(st)
			defer r.Free()
			for {
				b, err := r.Next()
				if err != nil {
					return err
				}
				var m kadwire.Message
				if err := m.Decode(b); err != nil {
					return err
				}
				if m.Type == kadwire.AddProvider {
					continue // and forgets it
				}
				answer := kadwire.NewBuffer(m.Type, m.Key, m.Cluster)
				for _, l := range told(m.Key) {
					answer.Closer(kadwire.AppendPeer(nil, l.id, l.Addrs()))
				}
				if s.lie != nil {
					s.lie(&m, answer)
				}
				_, err = st.Write(answer.Frame())
				answer.Free()
				if err != nil {
					return err
				}
			}
		})
	}
}

// closestLiars are the liars closest to a key.
func (s *simulation) closestLiars(key []byte) []*simNode {
	l := slices.Clone(s.liars)
	keyspace.Sort(keyspace.Of(key), l, func(n *simNode) keyspace.Key { return keyspace.OfPeer(n.id) })
	return l[:min(20, len(l))]
}

// meet fills the tables of all honest nodes, as if each had met everybody, in
// an order of its own, and had been refreshed just now.
func (s *simulation) meet() {
	type other struct {
		*simNode
		key keyspace.Key
	}
	var all []other
	for _, n := range slices.Concat(s.nodes, s.liars) {
		all = append(all, other{n, keyspace.OfPeer(n.id)})
	}
	var refreshes [3][]peer.ID // the closest peers to random targets, which are the first of each
	for i := range refreshes {
		target := s.newID()
		refreshes[i] = append(refreshes[i], target)
		keyspace.Sort(keyspace.OfPeer(target), all, func(o other) keyspace.Key { return o.key })
		for _, o := range all[:min(20, len(all))] {
			refreshes[i] = append(refreshes[i], o.id)
		}
	}
	for i, k := range s.kads {
		d, n := k.dhts[0], s.nodes[i]
		for _, r := range refreshes {
			d.sizes.track(keyspace.OfPeer(r[0]), r[1:])
		}
		self := keyspace.OfPeer(n.id)
		var full [keyspace.Bits + 1]int
		s.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, o := range all {
			at := keyspace.CommonPrefix(self, o.key)
			if full[at] == k.BucketSize || o.id == n.id {
				continue
			}
			n.AddPeerAddrs(o.id, 0, o.addr)
			d.contacts.restore(table.Member{ID: o.id, Answered: time.Now(), Group: d.contacts.groupOf(o.Addrs())})
			if d.contacts.has(o.id) {
				full[at]++
			}
		}
		for at := range 20 {
			d.contacts.refreshed(keyspace.Random(self, at, s.rng))
		}
		d.contacts.refreshed(self)
	}
}

// closest are the honest nodes closest to a key.
func (s *simulation) closest(key []byte, n int, without peer.ID) (ids []peer.ID) {
	for _, h := range s.nodes {
		if h.id != without {
			ids = append(ids, h.id)
		}
	}
	keyspace.Sort(keyspace.Of(key), ids, keyspace.OfPeer)
	return ids[:min(n, len(ids))]
}

// simResult is what came of look-ups.
type simResult struct {
	lookups, closest         int // closest: those that found the closest node
	shared, rounds, requests int // sums
	took                     time.Duration
}

func (r simResult) String() string {
	n := float64(r.lookups)
	return fmt.Sprintf("%d look-ups, %.2f%% found the closest node, %.2f of the 20 closest; %.1f requests at %.1f times, %v each",
		r.lookups, 100*r.rate(), float64(r.shared)/n, float64(r.requests)/n, float64(r.rounds)/n, r.took/time.Duration(r.lookups))
}

func (r simResult) rate() float64 { return float64(r.closest) / float64(r.lookups) }

// lookUp looks up random keys from random nodes, ten at a time.
func (s *simulation) lookUp(t testing.TB, count int) (r simResult) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for worker := range 10 {
		rng := rand.New(rand.NewPCG(s.rng.Uint64(), 0))
		wg.Go(func() {
			for i := worker; i < count; i += 10 {
				key := binary.BigEndian.AppendUint64(nil, rng.Uint64())
				from := rng.IntN(len(s.nodes))
				requests, times := 0, map[time.Duration]bool{}
				var counting sync.Mutex // a look-up may be several
				ctx := core.TraceLookup(t.Context(), func(step core.LookupStep) {
					counting.Lock()
					defer counting.Unlock()
					if !step.Done {
						requests++
						times[step.At] = true
					}
				})
				began := time.Now()
				found, err := s.kads[from].ClosestPeers(ctx, key)
				took := time.Since(began)
				if err != nil {
					t.Errorf("closest peers: %v", err)
					return
				}
				want := s.closest(key, 20, s.nodes[from].id)
				mu.Lock()
				r.lookups++
				r.took += took
				r.requests += requests
				r.rounds += len(times)
				for _, p := range found {
					if p.ID == want[0] {
						r.closest++
					}
					if slices.Contains(want, p.ID) {
						r.shared++
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return r
}

// TestSimulation looks up keys in a network of a thousand nodes.
func TestSimulation(t *testing.T) {
	size, lookups := simSize, simSize
	if testing.Short() {
		size, lookups = 100, 100
	}
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(1)
		s.join(t, size, `{"mode": "server", "lan": "off"}`)
		s.meet()
		r := s.lookUp(t, lookups)
		t.Logf("%d nodes, links of %v: %v", size, simDelay, r)
		if r.rate() < 0.999 {
			t.Error("fewer than 99.9% found the closest node")
		}
	})
}

// TestSimulationGrows has nodes join by what one or two others know, and find
// the rest by themselves.
func TestSimulationGrows(t *testing.T) {
	const size, lookups = 40, 40
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(2)
		for i := range size {
			s.join(t, 1, `{"mode": "server", "lan": "off"}`)
			for _, o := range s.nodes[max(0, i/2-1):min(i, i/2+1)] {
				if _, err := s.nodes[i].Connect(t.Context(), peer.AddrInfo{ID: o.id, Addrs: o.Addrs()}); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(3 * time.Minute)
		r := s.lookUp(t, lookups)
		t.Logf("%d nodes that found each other: %v", size, r)
		if r.rate() < 0.999 {
			t.Error("fewer than 99.9% found the closest node")
		}
	})
}
