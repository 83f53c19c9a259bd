// SPDX-License-Identifier: Apache-2.0 OR MIT

package pool

import (
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
)

var discard = slog.New(slog.DiscardHandler)

func join(t *testing.T, n core.Node, s Source) *Member {
	t.Helper()
	m, err := Join(n, s, discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Leave() })
	return m
}

// Two discoverers of a node find the same peers.
func TestDiscoverersSharePool(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 5)
		var events []string
		defer core.On(n[0], func(e core.PeerDiscovered) {
			events = append(events, fmt.Sprint(e.Source, " ", e.Peer.Addrs))
		})()
		a := join(t, n[0], Source{Name: "a", Most: 10, Connect: 2})
		b := join(t, n[0], Source{Name: "b", Most: 10, Connect: 3})
		for range 2 {
			for _, other := range n[1:] {
				a.Found(peer.AddrInfo{ID: other.ID(), Addrs: other.Addrs()}, time.Hour)
			}
			b.Found(peer.AddrInfo{ID: n[1].ID(), Addrs: n[1].Addrs()}, time.Hour)
		}
		synctest.Wait()
		if want := "[a [/memory/2] a [/memory/3] a [/memory/4] a [/memory/5] b [/memory/2]]"; fmt.Sprint(events) != want {
			t.Errorf("%v, want %s", events, want)
		}
		if got := len(n[0].Conns()); got < 2 || got > 3 { // two for a; b's one may be among them
			t.Errorf("%d connections", got)
		}
		if got := n[0].PeerAddrs(n[4].ID()); fmt.Sprint(got) != "[/memory/5]" {
			t.Errorf("peerstore: %v", got)
		}
		if len(a.Discovered()) != 4 || len(b.Discovered()) != 1 {
			t.Errorf("%v, %v", a.Discovered(), b.Discovered())
		}
		a.Leave()
		if len(a.Discovered()) != 0 || len(b.Discovered()) != 1 {
			t.Error("what one has found left with the other")
		}
	})
}

// A peer that is away is tried again and again, less and less often, and
// reached when it is there.
func TestReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 2)
		m := join(t, n[0], Source{Most: 1, Connect: 1})
		m.Found(peer.AddrInfo{ID: n[1].ID()}, 0)
		synctest.Wait()
		for range 3 {
			if len(n[0].Conns()) != 1 {
				t.Fatal("not connected")
			}
			n[0].Conns()[0].Close()
			synctest.Wait()
			if len(n[0].Conns()) != 0 {
				t.Error("dialled again at once")
			}
			time.Sleep(2 * firstWait)
			synctest.Wait()
		}
	})
}
