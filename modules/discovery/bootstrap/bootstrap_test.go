// SPDX-License-Identifier: Apache-2.0 OR MIT

package bootstrap_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
	_ "github.com/xnode-p2p/xnode/modules/discovery/bootstrap"
	_ "github.com/xnode-p2p/xnode/modules/muxer/yamux"
	_ "github.com/xnode-p2p/xnode/modules/security/noise"
)

// idOf is the ID of the node with a seed.
func idOf(seed uint64) peer.ID { return peer.FromPublicKey(hosttest.Key(seed).Public()) }

// at is the address of the node with a seed, at the place of that number.
func at(seed uint64) string { return fmt.Sprintf("/memory/%d/p2p/%s", 1000+seed, idOf(seed)) }

// settled starts the node with a seed at its place.
func settled(t *testing.T, network *hosttest.Network, seed uint64) *host.Host {
	t.Helper()
	h := network.Node(t, hosttest.Settings{Seed: seed})
	plan := network.Plan(t, "")
	plan.Listen = []ma.Multiaddr{ma.StringCast(fmt.Sprintf("/memory/%d", 1000+seed))}
	if _, err := h.Acquire(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	return h
}

func config(peers ...string) string {
	return fmt.Sprintf(`{"discovery": {"bootstrap": {"peers": ["%s"]}}}`, strings.Join(peers, `","`))
}

func TestLifecycle(t *testing.T) {
	coretest.TestLifecycle(t, func(t *testing.T) core.Service {
		return coretest.MustLoad[core.Discoverer](t, "bootstrap",
			fmt.Sprintf(`{"peers": ["%s", "/dnsaddr/example.org"]}`, at(2)))
	})
}

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.Discoverer](t, "bootstrap", []coretest.Config{
		{Name: "one", JSON: fmt.Sprintf(`{"peers": ["%s"]}`, at(1))},
		{Name: "names", JSON: `{"peers": ["/dnsaddr/example.org", "/dnsaddr/example.org/p2p/` + idOf(1).String() + `"], "min_connections": 2}`},
		{Name: "none", JSON: `{}`, WantErr: "peers: there are none"},
		{Name: "no multiaddr", JSON: `{"peers": ["192.0.2.1:4001"]}`, WantErr: `peers/0: "192.0.2.1:4001" is no multiaddr`},
		{Name: "nobody", JSON: `{"peers": ["/ip4/192.0.2.1/tcp/1"]}`, WantErr: "add /p2p/ID"},
		{Name: "nowhere", JSON: fmt.Sprintf(`{"peers": ["/p2p/%s"]}`, idOf(1)), WantErr: "does not say where"},
		{Name: "negative", JSON: fmt.Sprintf(`{"peers": ["%s"], "min_connections": -1}`, at(1)), WantErr: "min_connections: -1"},
		{Name: "placeholder", JSON: `{"peers": ["{nope.nope}"]}`, WantErr: "peers/0"},
	})
}

// settle lets an amount of fake time go by.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func connected(h *host.Host, seed uint64) bool { return len(h.ConnsTo(idOf(seed))) > 0 }

// A node starts before its bootstrap peers, and joins when they come; again
// when they have gone and come back.
func TestPeersComeLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := hosttest.NewNetwork(memnet.Options{})
		node := network.Node(t, hosttest.Settings{Seed: 1, Config: config(at(2), at(3))})
		settle(time.Hour)
		if len(node.Conns()) > 0 {
			t.Fatal("connected to nobody")
		}
		for round := range 2 {
			a := settled(t, network, 2)
			b := settled(t, network, 3)
			settle(15 * time.Minute) // the longest wait, and some
			if !connected(node, 2) || !connected(node, 3) {
				t.Errorf("round %d: %d connections", round, len(node.Conns()))
			}
			a.Close()
			b.Close()
			settle(time.Hour)
		}
	})
}

// A connection that goes is made anew within seconds.
func TestReconnectsSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := hosttest.NewNetwork(memnet.Options{})
		settled(t, network, 2)
		node := network.Node(t, hosttest.Settings{Seed: 1, Config: config(at(2))})
		settle(time.Second)
		for range 3 {
			if !connected(node, 2) {
				t.Fatal("not connected")
			}
			node.Disconnect(idOf(2))
			settle(10 * time.Second)
		}
	})
}

// With enough connections of whatever sort, nobody is dialled.
func TestEnoughConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := hosttest.NewNetwork(memnet.Options{})
		const peers = 6
		var addrs []string
		for seed := uint64(2); seed < 2+peers; seed++ {
			settled(t, network, seed)
			addrs = append(addrs, at(seed))
		}
		node := network.Node(t, hosttest.Settings{Seed: 1, Config: config(addrs...)})
		settle(time.Hour)
		if got := len(node.Conns()); got != 4 {
			t.Errorf("%d connections, want 4", got)
		}
		other := network.Node(t, hosttest.Settings{Seed: 100})
		hosttest.Connect(t, other, node)
		node.Disconnect(node.Conns()[0].RemotePeer())
		settle(time.Hour)
		if got := len(node.Conns()); got != 4 {
			t.Errorf("%d connections with another one, want 4", got)
		}
	})
}

// The list changes by a reload: connections stay, new peers are dialled, old
// ones no longer.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := hosttest.NewNetwork(memnet.Options{})
		settled(t, network, 2)
		settled(t, network, 3)
		node := network.Node(t, hosttest.Settings{Seed: 1})
		before, err := node.Acquire(t.Context(), network.Plan(t, config(at(2))))
		if err != nil {
			t.Fatal(err)
		}
		settle(time.Second)
		if !connected(node, 2) {
			t.Fatal("not connected")
		}
		conn := node.ConnsTo(idOf(2))[0]
		if _, err := node.Acquire(t.Context(), network.Plan(t, config(at(3)))); err != nil {
			t.Fatal(err)
		}
		if err := before.Release(); err != nil {
			t.Fatal(err)
		}
		settle(time.Minute)
		if !connected(node, 3) || len(node.ConnsTo(idOf(2))) != 1 || node.ConnsTo(idOf(2))[0] != conn {
			t.Errorf("%d connections", len(node.Conns()))
		}
		node.Disconnect(idOf(2))
		settle(time.Hour)
		if connected(node, 2) {
			t.Error("a peer that is no longer listed was dialled")
		}
	})
}

// zone is a DNS whose records change.
type zone struct {
	mu      sync.Mutex
	entries []string
	asked   int
}

func (z *zone) LookupIPAddr(context.Context, string) ([]net.IPAddr, error) {
	return nil, errors.New("no hosts here")
}

func (z *zone) LookupTXT(context.Context, string) ([]string, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked++
	if len(z.entries) == 0 {
		return nil, errors.New("no such name")
	}
	return z.entries, nil
}

func (z *zone) set(addrs ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.entries = nil
	for _, a := range addrs {
		z.entries = append(z.entries, "dnsaddr="+a)
	}
}

// A name that nobody knows yet is looked up again, and so is one whose records
// may have changed.
func TestNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := hosttest.NewNetwork(memnet.Options{})
		for seed := uint64(2); seed < 5; seed++ {
			settled(t, network, seed)
		}
		z := new(zone)
		node := network.Node(t, hosttest.Settings{Seed: 1, Names: z, Config: config("/dnsaddr/example.org")})
		settle(time.Hour)
		if z.asked < 3 || z.asked > 20 {
			t.Errorf("an unknown name was looked up %d times in an hour", z.asked)
		}
		z.set(at(2), at(1), "/memory/5", "/memory/6/p2p/"+idOf(9).String())
		settle(time.Hour)
		if !connected(node, 2) {
			t.Error("not connected")
		}
		z.set(at(3))
		settle(time.Hour)
		node.Disconnect(idOf(2))
		settle(time.Hour)
		if connected(node, 2) || !connected(node, 3) {
			t.Error("the list is not that of the changed records")
		}
	})
}

// The node is one of its own bootstrap peers, another one is somebody else,
// and a third has a name that nobody knows: the rest works.
func TestBadPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := hosttest.NewNetwork(memnet.Options{})
		settled(t, network, 2)
		node := network.Node(t, hosttest.Settings{Seed: 1, Names: new(zone), Config: config(
			at(1), at(2), "/memory/1002/p2p/"+idOf(7).String(), "/dns4/nowhere.example.org/tcp/1/p2p/"+idOf(8).String())})
		settle(time.Hour)
		if got := len(node.Conns()); got != 1 || !connected(node, 2) {
			t.Errorf("%d connections", got)
		}
		d, _ := core.Find[core.PeerDiscovery](node)
		if got := len(d.Discovered()); got != 3 {
			t.Errorf("%d discovered, want 3 without oneself", got)
		}
	})
}

// Peers of the list are protected, and no longer when the module is gone.
func TestProtected(t *testing.T) {
	n := coretest.FakeNodes(t, 2)
	s := coretest.MustLoad[core.Discoverer](t, "bootstrap", fmt.Sprintf(`{"peers": ["/memory/2/p2p/%s"]}`, n[1].ID()))
	events := 0
	defer core.On(n[0], func(e core.PeerDiscovered) {
		if events++; e.Source != "bootstrap" || e.Peer.ID != n[1].ID() {
			t.Errorf("%+v", e)
		}
	})()
	if err := s.Start(t.Context(), n[0]); err != nil {
		t.Fatal(err)
	}
	if len(n[0].Tags(n[1].ID())) != 1 || events != 1 {
		t.Errorf("%v, %d events", n[0].Tags(n[1].ID()), events)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if len(n[0].Tags(n[1].ID())) != 0 {
		t.Errorf("left: %v", n[0].Tags(n[1].ID()))
	}
}
