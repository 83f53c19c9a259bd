// SPDX-License-Identifier: Apache-2.0 OR MIT

package rendezvous_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
	_ "github.com/xnode-p2p/xnode/modules/discovery/rendezvous"
	_ "github.com/xnode-p2p/xnode/modules/muxer/yamux"
	_ "github.com/xnode-p2p/xnode/modules/security/noise"
	_ "github.com/xnode-p2p/xnode/modules/storage/bbolt"
	_ "github.com/xnode-p2p/xnode/modules/storage/memory"
)

// Whole nodes, five hundred of them, find each other through one point, which has room
// for just as many.
func TestFiveHundredNodes(t *testing.T) {
	const nodes = crowd
	synctest.Test(t, func(t *testing.T) {
		network := hosttest.NewNetwork(memnet.Options{})
		point := network.Node(t, hosttest.Settings{Seed: nodes + 1, Config: fmt.Sprintf(`{
			"storage": {"module": "memory"},
			"limits": {"connections": 2000, "inbound_connections": 1500, "target": 1200, "connect_rate": 1000, "connect_burst": 1000},
			"discovery": {"rendezvous": {"server": {"registrations": %d, "registrations_per_peer": 1}}}}`, nodes)})
		config := fmt.Sprintf(`{
			"storage": {"module": "memory"},
			"limits": {"connections": 2000, "inbound_connections": 1500, "target": 1200, "connect_rate": 1000, "connect_burst": 1000},
			"discovery": {"rendezvous": {"points": ["%s/p2p/%s"], "advertise": ["crowd"], "find": ["crowd"], "connect": 2}}}`,
			point.Addrs()[0], point.ID())
		all := network.Nodes(t, nodes, config)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		for i, n := range all {
			d, _ := core.Find[core.PeerDiscovery](n)
			if got := len(d.Discovered()); got != nodes-1 {
				t.Fatalf("node %d has found %d of %d", i, got, nodes-1)
			}
			if others := others(n, point.ID()); others < 2 {
				t.Errorf("node %d is connected to %d others", i, others)
			}
		}
		late := network.Node(t, hosttest.Settings{Seed: nodes + 2, Config: config})
		time.Sleep(time.Minute)
		m, _ := core.Find[core.Meeting](late)
		if _, err := m.Advertise(t.Context(), "crowd", 0); err == nil {
			t.Error("the point has taken one too many")
		}
	})
}

// others counts the peers a node is connected to, without one.
func others(h *host.Host, but peer.ID) (n int) {
	seen := map[peer.ID]bool{but: true}
	for _, c := range h.Conns() {
		if !seen[c.RemotePeer()] {
			n++
		}
		seen[c.RemotePeer()] = true
	}
	return n
}
