// SPDX-License-Identifier: Apache-2.0 OR MIT

package hosttest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
	_ "github.com/xnode-p2p/xnode/modules/muxer/yamux"
	_ "github.com/xnode-p2p/xnode/modules/security/noise"
)

// Two hundred nodes, each connected to eight others, identify each other. The
// bubble fails the test if a goroutine outlives the nodes.
func TestTwoHundredNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count, degree = 200, 8
		network := hosttest.NewNetwork(memnet.Options{Delay: 10 * time.Millisecond})
		nodes := network.Nodes(t, count, "")
		for i, n := range nodes {
			for d := 1; d <= degree/2; d++ {
				hosttest.Connect(t, n, nodes[(i+d*d)%count])
			}
		}
		synctest.Wait()
		for i, n := range nodes {
			if got := len(n.Conns()); got != degree {
				t.Errorf("node %d has %d connections, want %d", i, got, degree)
			}
			for _, c := range n.Conns() {
				if err := n.WaitIdentified(t.Context(), c); err != nil {
					t.Errorf("node %d: %v", i, err)
				}
				if n.PeerAgent(c.RemotePeer()) == "" {
					t.Errorf("node %d does not know the agent of %s", i, c.RemotePeer())
				}
			}
		}
	})
}
