// SPDX-License-Identifier: Apache-2.0 OR MIT

package host_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
)

// onStorage is a plan with a storage.
func onStorage(t *testing.T, network *hosttest.Network, s core.Storage) *host.Plan {
	t.Helper()
	p := network.Plan(t, `{"protocols": {"echo": {}}}`)
	p.Services = append([]core.Loaded[core.Service]{{Name: "memory", Module: s}}, p.Services...)
	return p
}

// fresh is a node that runs nothing yet.
func fresh(t *testing.T, seed uint64) *host.Host {
	t.Helper()
	h, err := host.New(host.Settings{Key: hosttest.Key(seed)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// lasting is a storage that keeps what it has when it is closed, as if on a disk.
func lasting(t *testing.T) core.Storage {
	t.Helper()
	return coretest.MustLoad[core.Storage](t, "memory", `{}`)
}

func TestPeersOutliveTheNode(t *testing.T) {
	for _, crash := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			network := hosttest.NewNetwork(memnet.Options{})
			storage := lasting(t)
			other := network.Node(t, hosttest.Settings{Seed: 50, Config: `{"protocols": {"echo": {}, "ping": {}}}`})
			first := fresh(t, 51)
			if _, err := first.Acquire(t.Context(), onStorage(t, network, storage)); err != nil {
				t.Fatal(err)
			}
			hosttest.Connect(t, first, other)
			protocols, record := first.PeerProtocols(other.ID()), first.PeerRecord(other.ID())
			if crash { // after the peers were written, and before they are again
				time.Sleep(90 * time.Second)
			} else if err := first.Close(); err != nil {
				t.Fatal(err)
			}

			second := fresh(t, 51)
			if _, err := second.Acquire(t.Context(), onStorage(t, network, storage)); err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(second.KnownPeers(), other.ID()) || !slices.Equal(second.PeerProtocols(other.ID()), protocols) || len(protocols) == 0 {
				t.Errorf("crash %v: known %v, %v, before %v", crash, second.KnownPeers(), second.PeerProtocols(other.ID()), protocols)
			}
			if r := second.PeerRecord(other.ID()); (r == nil) != (record == nil) {
				t.Errorf("crash %v: record %v, before %v", crash, r, record)
			}
			s, err := second.NewStream(t.Context(), other.ID(), "/echo/1.0.0")
			if err != nil {
				t.Errorf("crash %v: %v", crash, err)
			} else {
				s.Close()
			}
			for _, h := range []*host.Host{first, second} {
				if err := h.Close(); err != nil {
					t.Error(err)
				}
			}
			// Much later the peer may be anywhere.
			time.Sleep(time.Hour)
			third := fresh(t, 51)
			if _, err := third.Acquire(t.Context(), onStorage(t, network, storage)); err != nil {
				t.Fatal(err)
			}
			if known := third.KnownPeers(); len(known) > 0 {
				t.Errorf("after an hour: %v", known)
			}
		})
	}
}

// A reload takes the peers to another storage.
func TestPeersMoveToAnotherStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := hosttest.NewNetwork(memnet.Options{})
		one, two := lasting(t), lasting(t)
		other := network.Node(t, hosttest.Settings{Seed: 50, Config: `{"protocols": {"echo": {}}}`})
		node := fresh(t, 51)
		before, err := node.Acquire(t.Context(), onStorage(t, network, one))
		if err != nil {
			t.Fatal(err)
		}
		hosttest.Connect(t, node, other)
		kept := func(s core.Storage) int {
			t.Helper()
			if err := s.Start(t.Context(), node); err != nil {
				t.Fatal(err)
			}
			table, err := s.Table("peerstore/peers", core.Quota{})
			if err != nil {
				t.Fatal(err)
			}
			defer table.Close()
			stat, err := table.Stat()
			if err != nil {
				t.Fatal(err)
			}
			return stat.Entries
		}
		after, err := node.Acquire(t.Context(), onStorage(t, network, two))
		if err != nil {
			t.Fatal(err)
		}
		if err := before.Release(); err != nil {
			t.Error(err)
		}
		if len(node.Conns()) != 1 {
			t.Error("the connection is gone")
		}
		if n := kept(one); n != 1 {
			t.Errorf("%d peers in the first", n)
		}
		time.Sleep(2 * time.Minute)
		if n := kept(two); n != 1 {
			t.Errorf("%d peers in the second", n)
		}
		if err := after.Release(); err != nil {
			t.Error(err)
		}
	})
}
