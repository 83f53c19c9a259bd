// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
	"github.com/xnode-p2p/xnode/modules/routing/internal/netsize"
)

const simServer = `{"mode": "server", "lan": "off"}`

// ids are random peer IDs.
func (s *simulation) ids(count int) (ids []peer.ID) {
	for range count {
		ids = append(ids, s.newID())
	}
	return ids
}

func TestEvil_K6_ThirtyPercentOfThreeSubnetsLie(t *testing.T) {
	size, lookups := simSize, simSize/2
	if testing.Short() {
		size, lookups = 100, 50
	}
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(3)
		s.join(t, size*7/10, simServer)
		s.conspire(t, s.ids(size*3/10), subnets, s.closestLiars)
		s.meet()
		for i, k := range s.kads {
			if n := s.liarsIn(k); n > 9 {
				t.Errorf("node %d has %d liars of three subnets in its table", i, n)
			}
		}
		r := s.lookUp(t, lookups)
		t.Logf("%d nodes, 30%% of which lie: %v", size, r)
		if r.rate() < 0.95 {
			t.Error("fewer than 95% found the closest honest node")
		}
		for i, k := range s.kads {
			if n := s.liarsIn(k); n > 9 {
				t.Errorf("node %d has %d liars of three subnets in its table afterwards", i, n)
			}
		}
	})
}

func (s *simulation) liarsIn(k *Kad) (n int) {
	for _, l := range s.liars {
		if k.dhts[0].contacts.has(l.id) {
			n++
		}
	}
	return n
}

// TestEvil_K7_Eclipse has liars sit closest to what is announced and looked for,
// and tells how often that is found. There is no cure in the protocol if they are
// of many networks; then it is noticed.
func TestEvil_K7_Eclipse(t *testing.T) {
	honest, keys := 200, 3
	if testing.Short() {
		honest, keys = 60, 1
	}
	for name, ip := range map[string]func(int) netip.Addr{
		"three": subnets,
		"many":  func(i int) netip.Addr { return scattered(10_000 + i) },
	} {
		for _, liars := range []int{20, 45} {
			synctest.Test(t, func(t *testing.T) {
				s := newSimulation(4)
				s.join(t, honest, simServer)
				var names []string
				for i := range keys {
					name := fmt.Sprint("content", i)
					names = append(names, name)
					s.conspire(t, s.near([]byte(name), 11, liars), ip, s.closestLiars)
				}
				s.meet()
				found, noticed, tries := 0, 0, 0
				for _, name := range names {
					for range 4 {
						tries++
						if s.provideAndFind(t, name) {
							found++
						}
						if s.notices(t, name) {
							noticed++
						}
					}
				}
				t.Logf("%d liars of %s subnets around a key, among %d nodes: found %d of %d, noticed %d", liars, name, honest, found, tries, noticed)
				if name == "three" && found < tries {
					t.Error("not always found")
				}
				if name == "many" && noticed < tries {
					t.Error("not always noticed")
				}
			})
		}
	}
}

// provideAndFind has a node announce content, and another look for it.
func (s *simulation) provideAndFind(t *testing.T, name string) bool {
	from, by := s.rng.IntN(len(s.kads)), s.rng.IntN(len(s.kads)-1)
	if by >= from {
		by++
	}
	if err := s.kads[from].Provide(t.Context(), []byte(name)); err != nil {
		t.Errorf("provide: %v", err)
	}
	for p, err := range s.kads[by].FindProviders(t.Context(), []byte(name), 0) {
		if err == nil && p.ID == s.nodes[from].id {
			return true
		}
	}
	return false
}

// notices tells whether a node that has looked up other keys before finds the
// peers around this one to be too close.
func (s *simulation) notices(t *testing.T, name string) bool {
	k := s.kads[s.rng.IntN(len(s.kads))]
	for range 4 {
		if _, err := k.ClosestPeers(t.Context(), []byte(s.newID())); err != nil {
			t.Error(err)
		}
	}
	found, err := k.ClosestPeers(t.Context(), []byte(name))
	if err != nil {
		t.Error(err)
	}
	size, ok := k.dhts[0].sizes.estimate()
	if !ok {
		return false
	}
	var keys []keyspace.Key
	for _, p := range found {
		keys = append(keys, keyspace.OfPeer(p.ID))
	}
	suspicion, _ := netsize.Suspect(size, keyspace.Of([]byte(name)), keys)
	return suspicion > netsize.Plausible
}

// TestEvil_K8_NobodyIsThere has liars tell of ever more peers that are close to
// a key and cannot be reached, or say nothing.
func TestEvil_K8_NobodyIsThere(t *testing.T) {
	for name, silent := range map[string]bool{"cannot be reached": false, "say nothing": true} {
		synctest.Test(t, func(t *testing.T) {
			s := newSimulation(5)
			s.join(t, 80, simServer)
			key := []byte("target")
			var ghosts []*simNode
			for i, p := range s.near(key, 10, 400) {
				g := s.node(t, p, scattered(20_000+i))
				g.Handle(publicPrefix+suffix, func(st core.Stream) error {
					_, err := st.Read(make([]byte, 1))
					for err == nil {
						_, err = st.Read(make([]byte, 1))
					}
					return err
				})
				if !silent {
					g.elsewhere = true
				}
				ghosts = append(ghosts, g)
			}
			next := make(chan int, 1)
			next <- 0
			s.conspire(t, s.ids(20), func(i int) netip.Addr { return scattered(10_000 + i) }, func([]byte) []*simNode {
				at := <-next
				next <- (at + 40) % len(ghosts)
				return ghosts[at:min(at+40, len(ghosts))]
			})
			s.meet()
			requests := 0
			ctx := core.TraceLookup(t.Context(), func(step core.LookupStep) {
				if !step.Done {
					requests++
				}
			})
			began := time.Now()
			found, err := s.kads[0].ClosestPeers(ctx, key)
			if err != nil {
				t.Fatal(err)
			}
			took := time.Since(began)
			t.Logf("liars tell of peers who %s: %d requests, %v", name, requests, took)
			if took > time.Minute || requests > 200 {
				t.Error("it went on for too long")
			}
			want := s.closest(key, 1, s.nodes[0].id)[0]
			if !slices.ContainsFunc(found, func(p peer.AddrInfo) bool { return p.ID == want }) {
				t.Error("the closest honest node was not found")
			}
		})
	}
}

// TestEvil_K9_ModeFlappingInANetwork has nodes turn from server to client and back. In the
// end they are clients, and in nobody's table.
func TestEvil_K9_ModeFlappingInANetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(6)
		s.join(t, 30, simServer)
		s.meet()
		s.lookUp(t, 20) // so that some are connected
		clients := []int{3, 14, 15}
		for round := range 10 {
			for _, i := range clients {
				s.kads[i].dhts[0].setServer(round%2 == 1)
			}
			s.lookUp(t, 3)
		}
		for _, i := range clients {
			s.kads[i].dhts[0].setServer(false)
		}
		time.Sleep(40 * time.Minute) // two probes fail
		for i, k := range s.kads {
			for _, c := range clients {
				if k.dhts[0].contacts.has(s.nodes[c].id) {
					t.Errorf("node %d still has client %d in its table", i, c)
				}
			}
		}
		r := s.lookUp(t, 20)
		t.Logf("%v", r)
		if r.shared < r.lookups*16 { // of 20, 3 of which are clients now
			t.Error("look-ups find too little")
		}
	})
}
