// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/modules/routing/internal/kadwire"
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
// and tells how often that is found: always if they are of three networks, whose
// share is bounded, and always if they are of many, since that is noticed and
// others are asked too.
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
				if found < tries {
					t.Error("not always found")
				}
				if name == "many" && noticed < tries {
					t.Error("not always noticed")
				}
			})
		}
	}
}

// TestEvil_K7_ThirtyPercentOfManyNetworksAroundAKey has all liars, each of a
// network of its own, sit around one key, closer than anybody else. They forget
// what they are told, say that they have kept it, and answer with a record that
// was replaced long ago. What honest nodes store is stored with the closest of
// the honest nodes, and found.
func TestEvil_K7_ThirtyPercentOfManyNetworksAroundAKey(t *testing.T) {
	honest := 300
	if testing.Short() || coretest.Race {
		honest = 100
	}
	ways, kept := []string{"look-ups", "look-ups", "look-ups", "a map"}, 0
	for i, name := range ways {
		accelerated := ""
		if name == "a map" {
			accelerated = `, "accelerated": {}`
		}
		synctest.Test(t, func(t *testing.T) {
			s := newSimulation(uint64(7 + i))
			s.join(t, honest-1, simServer)
			s.join(t, 1, `{"mode": "server", "lan": "off"`+accelerated+`}`)
			const key = "/n/news"
			s.lie = func(m *kadwire.Message, answer *kadwire.Buffer) {
				switch m.Type {
				case kadwire.GetValue:
					answer.Record((&record.ValueRecord{Key: key, Value: []byte{1}}).Marshal())
				case kadwire.PutValue:
					answer.Record(m.Record)
				}
			}
			s.conspire(t, s.near([]byte(key), 11, honest*3/7), func(i int) netip.Addr { return scattered(10_000 + i) }, s.closestLiars)
			for _, k := range s.kads {
				k.validators["n"] = rising{}
			}
			s.meet()
			writer, reader := s.kads[honest-1], s.kads[7]
			want := s.closest([]byte(key), 20, s.nodes[honest-1].id)
			with := func(has func(d *dht) bool) (n int) {
				for i, k := range s.kads {
					if slices.Contains(want, s.nodes[i].id) && has(k.dhts[0]) {
						n++
					}
				}
				return n
			}

			if err := writer.Provide(t.Context(), []byte(key)); err != nil {
				t.Fatal(err)
			}
			if err := writer.PutValue(t.Context(), key, []byte{2}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			provided := with(func(d *dht) (found bool) {
				err := d.providers.get([]byte(key), time.Now(), func(p peer.ID, _ []byte) bool {
					found = found || p == s.nodes[honest-1].id
					return true
				})
				if err != nil {
					t.Error(err)
				}
				return found
			})
			stored := with(func(d *dht) bool { r, err := d.values.get(key); return err == nil && r.Value[0] == 2 })

			var requests atomic.Int32
			ctx := core.TraceLookup(t.Context(), func(step core.LookupStep) {
				if !step.Done {
					requests.Add(1)
				}
			})
			began := time.Now()
			found := false
			for p, err := range reader.FindProviders(ctx, []byte(key), 0) {
				if err != nil {
					t.Error(err)
				}
				found = found || p.ID == s.nodes[honest-1].id
			}
			took := time.Since(began)
			value, err := reader.GetValue(t.Context(), key)
			t.Logf("%s: %d liars around a key, among %d nodes: announced to %d of the 20 closest honest ones, a record stored with %d; found with %d requests in %v",
				name, len(s.liars), honest, provided, stored, requests.Load(), took)
			kept += provided + stored
			if !found {
				t.Error("the provider was not found")
			}
			if err != nil || value[0] != 2 {
				t.Errorf("value %v, %v", value, err)
			}
		})
	}
	// Of a node that is alone in its part of the space hardly anybody knows: the
	// bucket it would be in is full of liars.
	if kept < len(ways)*2*20*8/10 {
		t.Errorf("%d of %d were with the closest honest nodes", kept, len(ways)*2*20)
	}
}

// TestEvil_K7_SmallNetwork has liars sit around a key of a network that is not
// much larger than what a look-up finds. It is noticed there too.
func TestEvil_K7_SmallNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(11)
		s.join(t, 45, simServer)
		s.conspire(t, s.near([]byte("content"), 11, 22), func(i int) netip.Addr { return scattered(10_000 + i) }, s.closestLiars)
		s.meet()
		for range 5 {
			if !s.provideAndFind(t, "content") {
				t.Error("not found")
			}
		}
	})
}

// TestGrownNetwork has a network become ten times as large at once. Whoever knew
// it when it was small does not take those who are new for liars.
func TestGrownNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(12)
		s.join(t, 25, simServer)
		s.meet()
		s.lookUp(t, 25*8) // of which each remembers what it found
		s.join(t, 225, simServer)
		s.meet()
		seemed := 0
		for _, k := range s.kads[:25] {
			d := k.dhts[0]
			key := []byte(s.newID())
			found, err := d.lookup(t.Context(), search{request: kadwire.FindNode, key: key, plain: true})
			if err != nil {
				t.Fatal(err)
			}
			closest := make([]peer.ID, len(found))
			for i, p := range found {
				closest[i] = p.ID
			}
			size, _ := d.size()
			if s, _ := suspect(size, keyspace.Of(key), closest); s != netsize.Plausible {
				seemed++
			}
			if size, crowded := d.crowded(t.Context(), search{key: key}, closest); crowded {
				t.Errorf("among %.0f nodes the closest are taken for liars", size)
			}
		}
		t.Logf("it seemed so to %d of 25", seemed)
		if seemed == 0 {
			t.Error("nothing was tested")
		}
	})
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
			var requests atomic.Int32
			ctx := core.TraceLookup(t.Context(), func(step core.LookupStep) {
				if !step.Done {
					requests.Add(1)
				}
			})
			began := time.Now()
			found, err := s.kads[0].ClosestPeers(ctx, key)
			if err != nil {
				t.Fatal(err)
			}
			took := time.Since(began)
			t.Logf("liars tell of peers who %s: %d requests, %v", name, requests.Load(), took)
			if took > time.Minute || requests.Load() > 200 {
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
