// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
	_ "github.com/xnode-p2p/xnode/modules/muxer/yamux"
	"github.com/xnode-p2p/xnode/modules/routing/internal/kadwire"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
	_ "github.com/xnode-p2p/xnode/modules/security/noise"
)

// config is that of a whole node in a test.
func config(kad string) string {
	return `{"storage": {"module": "memory"}, "routing": {"kad": {"network": "test", "open_namespaces": ["v"]` + kad + `}}}`
}

// grow starts count nodes with 50 ms between any two; each connects to two that
// were there before it. It returns when they have had time to fill their tables.
func grow(t *testing.T, count int, kad string) []*host.Host {
	t.Helper()
	return growOn(t, hosttest.NewNetwork(memnet.Options{Delay: 25 * time.Millisecond}), count, kad)
}

func growOn(t *testing.T, network *hosttest.Network, count int, kad string) []*host.Host {
	t.Helper()
	nodes := network.Nodes(t, count, config(kad))
	for i := 1; i < count; i++ {
		hosttest.Connect(t, nodes[i], nodes[i/2])
		hosttest.Connect(t, nodes[i], nodes[i*7919%i])
	}
	time.Sleep(time.Minute)
	return nodes
}

func dhtOf(t testing.TB, n *host.Host) *Kad {
	t.Helper()
	k, ok := core.Find[*Kad](n)
	if !ok {
		t.Fatal("no kad runs")
	}
	return k
}

// closestOf returns the nodes closest to a key, without one.
func closestOf(nodes []*host.Host, key []byte, n int, without peer.ID) (ids []peer.ID) {
	for _, h := range nodes {
		if h.ID() != without {
			ids = append(ids, h.ID())
		}
	}
	keyspace.Sort(keyspace.Of(key), ids, keyspace.OfPeer)
	return ids[:min(n, len(ids))]
}

func TestNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := grow(t, 24, "")
		for i, n := range nodes {
			if size := dhtOf(t, n).dhts[0].contacts.size(); size < 15 {
				t.Errorf("node %d has %d contacts", i, size)
			}
		}
		// Anybody finds the peers closest to a key.
		for i := range 10 {
			key := fmt.Appendf(nil, "key %d", i)
			from := nodes[i*2]
			found, err := dhtOf(t, from).ClosestPeers(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]peer.ID, len(found))
			for i, p := range found {
				if got[i] = p.ID; len(p.Addrs) == 0 {
					t.Errorf("no address of %v", p.ID)
				}
			}
			if want := closestOf(nodes, key, 20, from.ID()); !slices.Equal(got, want) {
				t.Errorf("key %d: found %d, not as they should be", i, len(got))
			}
		}
		// And a peer.
		var steps []core.LookupStep
		var mu sync.Mutex
		traced := core.TraceLookup(t.Context(), func(s core.LookupStep) {
			mu.Lock()
			defer mu.Unlock()
			steps = append(steps, s)
		})
		for _, c := range nodes[23].ConnsTo(nodes[20].ID()) {
			c.Close() // or there is nothing to look for
		}
		synctest.Wait()
		info, err := dhtOf(t, nodes[23]).FindPeer(traced, nodes[20].ID())
		mu.Lock()
		ended := 0
		for _, s := range steps {
			if s.Protocol != testProtocol || s.Request != "FIND_NODE" || s.Peer == "" || s.Done && s.Err == nil && (s.Took < 50*time.Millisecond || s.Heard == 0) {
				t.Errorf("step %+v", s)
			}
			if s.Done {
				ended++
			}
		}
		if ended == 0 || ended == len(steps) {
			t.Errorf("%d of %d steps are ends", ended, len(steps))
		}
		mu.Unlock()
		if err != nil || len(info.Addrs) == 0 || !info.Addrs[0].Equal(nodes[20].Addrs()[0]) {
			t.Errorf("find peer: %v, %v", info, err)
		}
		if _, err := dhtOf(t, nodes[23]).FindPeer(t.Context(), peer.FromPublicKey(hosttest.Key(999).Public())); err == nil {
			t.Error("found who is not there")
		}
		// And content.
		if err := dhtOf(t, nodes[3]).Provide(t.Context(), []byte("content")); err != nil {
			t.Fatal(err)
		}
		if err := dhtOf(t, nodes[4]).Provide(t.Context(), []byte("content")); err != nil {
			t.Fatal(err)
		}
		var providers []peer.ID
		for p, err := range dhtOf(t, nodes[21]).FindProviders(t.Context(), []byte("content"), 0) {
			if err != nil {
				t.Fatal(err)
			}
			providers = append(providers, p.ID)
			if len(p.Addrs) == 0 {
				t.Errorf("no address of %v", p.ID)
			}
		}
		slices.Sort(providers)
		want := []peer.ID{nodes[3].ID(), nodes[4].ID()}
		slices.Sort(want)
		if !slices.Equal(providers, want) {
			t.Errorf("providers %v, want %v", providers, want)
		}
		// And a value.
		if err := dhtOf(t, nodes[5]).PutValue(t.Context(), "/v/name", []byte("one")); err != nil {
			t.Fatal(err)
		}
		if v, err := dhtOf(t, nodes[20]).GetValue(t.Context(), "/v/name"); err != nil || string(v) != "one" {
			t.Errorf("value %q, %v", v, err)
		}
		if v, err := dhtOf(t, nodes[20]).GetValue(t.Context(), "/v/nothing"); err == nil {
			t.Errorf("value %q of nothing", v)
		}
		// And each other.
		if _, err := dhtOf(t, nodes[6]).Advertise(t.Context(), "here", 0); err != nil {
			t.Fatal(err)
		}
		met := 0
		for p, err := range dhtOf(t, nodes[19]).FindPeers(t.Context(), "here", 1) {
			if err != nil || p.ID != nodes[6].ID() {
				t.Errorf("met %v, %v", p, err)
			}
			met++
		}
		if met != 1 {
			t.Errorf("met %d", met)
		}
	})
}

func TestCrawlAndMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := hosttest.NewNetwork(memnet.Options{Delay: 25 * time.Millisecond})
		nodes := growOn(t, network, 24, `, "bucket_size": 4`)
		last := network.Node(t, hosttest.Settings{Seed: 1000, Config: config(`, "bucket_size": 4, "mode": "client", "accelerated": {}`)})
		hosttest.Connect(t, last, nodes[3])
		time.Sleep(time.Minute)
		k := dhtOf(t, last)
		found := map[peer.ID]int{}
		for p, err := range k.Crawl(t.Context()) {
			if err != nil || p.Err != nil {
				t.Errorf("%v: %v, %v", p.ID, p.Err, err)
			}
			if p.Agent == "" || len(p.Addrs) == 0 {
				t.Errorf("%v: agent %q, addresses %v", p.ID, p.Agent, p.Addrs)
			}
			found[p.ID] = len(p.Knows)
		}
		if len(found) != len(nodes) {
			t.Errorf("came by %d of %d", len(found), len(nodes))
		}
		for p, knows := range found {
			if knows < 4 {
				t.Errorf("%v knows %d", p, knows)
			}
		}
		n := 0
		for range k.Crawl(t.Context()) { // is not interested in more
			if n++; n == 3 {
				break
			}
		}
		// The accelerated client needs no look-up to find the closest.
		if got := k.dhts[0].atlas.size(); got != len(nodes) {
			t.Errorf("%d on the map", got)
		}
		before := k.dhts[0].stats.asked[kadwire.FindNode].Load()
		for i := range 10 {
			key := fmt.Appendf(nil, "key %d", i)
			closest, err := k.ClosestPeers(t.Context(), key)
			var got []peer.ID
			for _, p := range closest {
				got = append(got, p.ID)
			}
			if want := closestOf(nodes, key, 4, ""); err != nil || !slices.Equal(got, want) {
				t.Errorf("closest: %v, %v, want %v", got, err, want)
			}
			if err := k.Provide(t.Context(), key); err != nil {
				t.Error(err)
			}
		}
		if asked := k.dhts[0].stats.asked[kadwire.FindNode].Load() - before; asked > 0 {
			t.Errorf("%d peers were asked who is closest", asked)
		}
		for p, err := range dhtOf(t, nodes[9]).FindProviders(t.Context(), []byte("key 3"), 1) {
			if err != nil || p.ID != last.ID() {
				t.Errorf("found %v, %v", p.ID, err)
			}
		}
	})
}

func TestOptimisticProvide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := grow(t, 24, `, "bucket_size": 4, "provide": "optimistic"`)
		k := dhtOf(t, nodes[7])
		if _, ok := k.dhts[0].sizes.estimate(); !ok {
			t.Fatal("the size of the network is not known")
		}
		for i := range 10 {
			key := fmt.Appendf(nil, "key %d", i)
			if err := k.Provide(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			found := 0
			for p, err := range dhtOf(t, nodes[11]).FindProviders(t.Context(), key, 1) {
				if err != nil || p.ID != nodes[7].ID() {
					t.Errorf("key %d: found %v, %v", i, p.ID, err)
				}
				found++
			}
			if found != 1 {
				t.Errorf("key %d: found %d", i, found)
			}
		}
	})
}

// TestContactsAreReachedAgain has two nodes lose their connection, and find each
// other long after.
func TestContactsAreReachedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := grow(t, 3, "")
		for range 8 {
			for _, n := range nodes {
				for _, c := range n.Conns() {
					c.Close()
				}
			}
			time.Sleep(3 * time.Hour)
			for i, n := range nodes {
				if got := dhtOf(t, n).dhts[0].contacts.size(); got != 2 {
					t.Errorf("node %d has %d contacts", i, got)
				}
			}
		}
		for _, c := range nodes[0].Conns() {
			c.Close()
		}
		if found, err := dhtOf(t, nodes[0]).ClosestPeers(t.Context(), []byte("x")); err != nil || len(found) != 2 {
			t.Errorf("found %v, %v", found, err)
		}
	})
}
