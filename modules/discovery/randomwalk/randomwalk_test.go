// SPDX-License-Identifier: Apache-2.0 OR MIT

package randomwalk

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
)

// router is a [core.PeerRouting] that answers as a test wants it to.
type router struct {
	closest func(ctx context.Context, key []byte) ([]peer.AddrInfo, error)

	mu   sync.Mutex
	keys []string
	at   []time.Time
}

func (*router) FindPeer(context.Context, peer.ID) (peer.AddrInfo, error) {
	return peer.AddrInfo{}, core.ErrNotFound
}

func (r *router) ClosestPeers(ctx context.Context, key []byte) ([]peer.AddrInfo, error) {
	r.mu.Lock()
	r.keys = append(r.keys, string(key))
	r.at = append(r.at, time.Now())
	r.mu.Unlock()
	return r.closest(ctx, key)
}

// asked says how often it was.
func (r *router) asked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.keys)
}

// of is a router that names all of some nodes.
func of(nodes ...*coretest.FakeNode) *router {
	return &router{closest: func(context.Context, []byte) (list []peer.AddrInfo, err error) {
		for _, n := range nodes {
			list = append(list, peer.AddrInfo{ID: n.ID(), Addrs: n.Addrs()})
		}
		return list, nil
	}}
}

func load(t *testing.T) core.Service {
	t.Helper()
	return coretest.MustLoad[core.Discoverer](t, "randomwalk", `{}`)
}

// start starts the module on the first of n nodes, with a router.
func start(t *testing.T, config string, n []*coretest.FakeNode, modules ...any) *RandomWalk {
	t.Helper()
	r := coretest.MustLoad[*RandomWalk](t, "randomwalk", config)
	n[0].SetModules(modules...)
	if err := r.Start(t.Context(), n[0]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestLifecycle(t *testing.T) {
	coretest.TestLifecycle(t, load)
	coretest.TestLifecycle(t, load, func(n *coretest.FakeNode) {
		n.SetModules(&router{closest: func(ctx context.Context, _ []byte) ([]peer.AddrInfo, error) {
			<-ctx.Done() // a walk that only the end ends
			return nil, ctx.Err()
		}})
	})
}

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.Discoverer](t, "randomwalk", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "full", JSON: `{"interval": "1h", "walks": 3, "timeout": "10s", "min_connections": 20}`},
		{Name: "too often", JSON: `{"interval": "10ms"}`, WantErr: "interval: 10ms is too short; want at least 1s"},
		{Name: "too many walks", JSON: `{"walks": 17}`, WantErr: "walks: 17 is not between 1 and 16"},
		{Name: "no connections", JSON: `{"min_connections": -1}`, WantErr: "min_connections: -1 would never dial"},
		{Name: "unknown key", JSON: `{"every": "1m"}`, WantErr: `unknown field "every"`},
	})
}

// The first round is at the start, the others follow in about the interval, and
// no two walks have the same key.
func TestRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 2)
		r := of(n[1])
		start(t, `{"interval": "4m", "walks": 2}`, n, r)
		begin := time.Now()
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if got := r.asked(); got < 2*36 || got > 2*60 {
			t.Errorf("%d walks in three hours", got)
		}
		keys := make(map[string]bool)
		last, varied := begin, false
		for i, key := range r.keys {
			if _, err := peer.FromBytes([]byte(key)); err != nil || keys[key] {
				t.Errorf("walk %d has key %x", i, key)
			}
			keys[key] = true
			gap := r.at[i].Sub(last)
			switch {
			case i < 2 && gap != 0:
				t.Errorf("walk %d begins after %v", i, gap)
			case i >= 2 && i%2 == 0 && (gap < 3*time.Minute || gap > 5*time.Minute):
				t.Errorf("round %d begins %v after the one before", i/2, gap)
			}
			varied = varied || gap > 0 && gap != 4*time.Minute
			last = r.at[i]
		}
		if !varied {
			t.Error("all rounds are the same time apart")
		}
	})
}

// What was found is known to the node, told of, and dialled as far as there are
// too few connections.
func TestFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 21)
		told := 0
		defer core.On(n[0], func(e core.PeerDiscovered) {
			if e.Source != "randomwalk" || len(e.Peer.Addrs) == 0 {
				t.Errorf("discovered %v", e)
			}
			told++
		})()
		homeless := peer.AddrInfo{ID: coretest.NewIdentity(99).ID()}
		all := of(n...)
		named := all.closest
		all.closest = func(ctx context.Context, key []byte) ([]peer.AddrInfo, error) {
			list, err := named(ctx, key)
			return append(list, homeless), err
		}
		r := start(t, `{"min_connections": 5}`, n, all)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := len(n[0].Conns()); got != 5 {
			t.Errorf("%d connections, want 5", got)
		}
		if told != 20 || len(r.Discovered()) != 20 {
			t.Errorf("told of %d, lists %d, want the 20 others", told, len(r.Discovered()))
		}
		for _, other := range n[1:] {
			if len(n[0].PeerAddrs(other.ID())) == 0 {
				t.Errorf("%v is not in the peerstore", other)
			}
		}
	})
}

// A node that starts knows nobody yet who could be asked: it does not wait for a
// whole interval.
func TestRetriesSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 2)
		begin := time.Now()
		r := of(n[1])
		found := r.closest
		r.closest = func(ctx context.Context, key []byte) ([]peer.AddrInfo, error) {
			if time.Since(begin) < time.Minute {
				return nil, core.ErrNotFound
			}
			return found(ctx, key)
		}
		start(t, `{"interval": "1h"}`, n, r)
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if got := r.asked(); got < 3 || got > 8 {
			t.Errorf("%d walks", got)
		}
		if len(n[0].Conns()) != 1 {
			t.Errorf("%d connections", len(n[0].Conns()))
		}
		before := r.asked()
		time.Sleep(30 * time.Minute)
		if r.asked() != before {
			t.Error("goes on as fast after it has found somebody")
		}
	})
}

// A walk that does not end is given up, and the next one made.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 2)
		var took []time.Duration
		r := &router{closest: func(ctx context.Context, _ []byte) ([]peer.AddrInfo, error) {
			begin := time.Now()
			<-ctx.Done()
			took = append(took, time.Since(begin))
			return nil, ctx.Err()
		}}
		m := start(t, `{"timeout": "7s"}`, n, r)
		time.Sleep(time.Minute)
		synctest.Wait()
		m.Close()
		if len(took) < 2 || took[0] != 7*time.Second || took[1] != 7*time.Second {
			t.Errorf("walks took %v", took)
		}
	})
}

// Routing that comes with a reload is found, whatever it is; without any the
// module waits.
func TestRoutingComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 2)
		start(t, `{"interval": "10m"}`, n)
		time.Sleep(time.Hour)
		n[0].SetModules("something else", of(n[1]))
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		if len(n[0].Conns()) != 1 {
			t.Errorf("%d connections", len(n[0].Conns()))
		}
	})
}

// TestEvil_D2_WalksAreAnsweredWithThousands has every answer name peers that
// nobody has heard of: they do not pile up, nor are they all dialled.
func TestEvil_D2_WalksAreAnsweredWithThousands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 2)
		seed := uint64(1000)
		r := of(n[1])
		r.closest = func(context.Context, []byte) (list []peer.AddrInfo, err error) {
			for range 300 {
				seed++
				list = append(list, peer.AddrInfo{ID: coretest.NewIdentity(seed).ID(), Addrs: n[1].Addrs()})
			}
			return list, nil
		}
		m := start(t, `{"interval": "1s", "min_connections": 2}`, n, r)
		for range 6 {
			time.Sleep(time.Second)
			synctest.Wait()
			if got := len(m.Discovered()); got > maxPeers {
				t.Fatalf("%d peers are remembered", got)
			}
		}
		if r.asked() < 4 {
			t.Errorf("asked %d times", r.asked())
		}
	})
}
