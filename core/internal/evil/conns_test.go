// SPDX-License-Identifier: Apache-2.0 OR MIT

package evil_test

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/internal/evil"
	"github.com/xnode-p2p/xnode/core/peer"
)

// Sybils fill every inbound place, again and again, for two minutes: what the
// node dialled stays, so does whom it protects, it can dial on, and the number
// of connections comes down to the target.
func TestEvil_D5_SybilsDoNotPushOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSettler(t)
		v := s.pair(`{"limits": {"connections": 50, "target": 30, "grace": "10s"}}`)
		defer v.Node.Protect(v.Canary.ID(), "canary")() // it dialled the node
		var friends []*nodeHost
		for i := range 6 {
			friends = append(friends, s.node(fmt.Sprintf("6.6.6.%d", i), ""))
		}
		kept := map[core.Conn]bool{}
		for _, f := range friends[:5] {
			kept[hosttest.Connect(t, v.Node.(*nodeHost), f)] = true
		}
		evil.Run(t, v, func(a *evil.Attacker) {
			var sybils sync.WaitGroup
			peak := 0
			for i := range 120 {
				from := netip.AddrFrom4([4]byte{5, byte(i), 1, 1})
				raw, err := s.Dial(t.Context(), from, v.Node.ListenAddrs()[0])
				if err != nil {
					t.Fatal(err)
				}
				c, key := a.Take(raw), a.Key()
				sybils.Go(func() {
					defer c.Close()
					c.Send(append(evil.Line(evil.Header), evil.Line(evil.NoiseID)...))
					if c.ReadLine(); c.Noise(key, evil.YamuxID) == nil {
						c.Drain()
					}
				})
				synctest.Wait()
				peak = max(peak, v.Node.Limits().Inbound)
				time.Sleep(time.Second)
			}
			if peak > 40 {
				t.Errorf("%d inbound connections, limit 40", peak)
			}
			time.Sleep(12 * time.Second) // grace, and a trim
			if n := len(v.Node.Conns()); n > 30 {
				t.Errorf("%d connections after the grace, target 30", n)
			}
			if _, err := v.Node.Connect(t.Context(), hosttest.Info(friends[5])); err != nil {
				t.Errorf("dial under siege: %v", err)
			}
			for c := range kept {
				select {
				case <-c.Done():
					t.Errorf("the connection to %s was closed", c.RemotePeer())
				default:
				}
			}
			for _, c := range v.Node.Conns() {
				if !kept[c] && c.RemotePeer() != v.Canary.ID() {
					c.Close()
				}
			}
			sybils.Wait()
		}, evil.Budget{})
	})
}

// Connections come and go while identify runs on them; nothing of what it learns
// outlives its peer.
func TestEvil_E6_NothingOutlivesTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSettler(t)
		v := s.pair(`{"limits": {"connections_per_subnet": 100, "connect_burst": 100000}}`)
		synctest.Wait() // the canary is identified, of which nothing is counted
		var guests []*nodeHost
		for i := range 5 {
			guests = append(guests, s.node(fmt.Sprintf("6.6.6.%d", i), ""))
		}
		var mu sync.Mutex
		open := map[core.Conn]int{} // the number of events of each connection
		peers := map[peer.ID]int{}
		defer core.On(v.Node, func(e core.Connected) {
			mu.Lock()
			defer mu.Unlock()
			if open[e.Conn]++; open[e.Conn] != 1 {
				t.Error("Connected is not the first event of its connection")
			}
			if peers[e.Conn.RemotePeer()]++; e.First != (peers[e.Conn.RemotePeer()] == 1) {
				t.Errorf("First is %v with %d connections", e.First, peers[e.Conn.RemotePeer()])
			}
		})()
		told := func(c core.Conn) {
			mu.Lock()
			defer mu.Unlock()
			if open[c]++; open[c] != 2 {
				t.Errorf("identify was told of as event %d", open[c])
			}
		}
		defer core.On(v.Node, func(e core.Identified) { told(e.Conn) })()
		defer core.On(v.Node, func(e core.IdentifyFailed) { told(e.Conn) })()
		defer core.On(v.Node, func(e core.Disconnected) {
			mu.Lock()
			defer mu.Unlock()
			// Identify says nothing of a connection that has ended before it
			// begins.
			if n := open[e.Conn]; n != 1 && n != 2 {
				t.Errorf("Disconnected comes after %d events of its connection", n)
			}
			if peers[e.Conn.RemotePeer()]--; e.Last != (peers[e.Conn.RemotePeer()] == 0) {
				t.Errorf("Last is %v with %d connections left", e.Last, peers[e.Conn.RemotePeer()])
			}
			delete(open, e.Conn)
		})()
		evil.Run(t, v, func(*evil.Attacker) {
			var guestsWork sync.WaitGroup
			for i, g := range guests {
				guestsWork.Go(func() {
					for n := range 15 {
						c, err := g.Connect(t.Context(), hosttest.Info(v.Node.(*nodeHost)))
						if err != nil {
							t.Errorf("guest %d: %v", i, err)
							return
						}
						if n%3 == 0 {
							v.Node.(*nodeHost).Disconnect(g.ID())
						} else if n%3 == 1 {
							g.WaitIdentified(t.Context(), c)
						}
						c.Close()
					}
				})
			}
			guestsWork.Wait()
			synctest.Wait()
			if len(open) != 0 {
				t.Errorf("%d connections have had no end", len(open))
			}
			time.Sleep(core.RecentTTL + time.Minute)
			for _, g := range guests {
				if addrs, agent := v.Node.PeerAddrs(g.ID()), v.Node.PeerAgent(g.ID()); len(addrs) > 0 || agent != "" {
					t.Errorf("still known of a guest: %v %q", addrs, agent)
				}
			}
		}, evil.Budget{})
	})
}
