// SPDX-License-Identifier: Apache-2.0 OR MIT

package gossipsub_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
	_ "github.com/xnode-p2p/xnode/modules/discovery/rendezvous"
)

// place is where nodes of a test meet.
type place struct {
	mu       sync.Mutex
	there    map[string][]peer.ID // by namespace
	searches int
}

// counted is how often it was searched.
func (p *place) counted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.searches
}

// meeting is a place as a node's module has it.
type meeting struct {
	*place
	self peer.ID
	hang bool
}

func (m meeting) Advertise(ctx context.Context, namespace string, _ time.Duration) (time.Duration, error) {
	if m.hang {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Contains(m.there[namespace], m.self) {
		m.there[namespace] = append(m.there[namespace], m.self)
	}
	return time.Hour, nil
}

func (m meeting) FindPeers(ctx context.Context, namespace string, count int) iter.Seq2[peer.AddrInfo, error] {
	return func(yield func(peer.AddrInfo, error) bool) {
		if m.hang {
			<-ctx.Done()
			yield(peer.AddrInfo{}, ctx.Err())
			return
		}
		m.mu.Lock()
		m.searches++
		list := slices.Clone(m.there[namespace])
		m.mu.Unlock()
		for _, p := range list {
			if !yield(peer.AddrInfo{ID: p}, nil) {
				return
			}
		}
	}
}

// Nodes that know nothing of each other but a place to meet find each other by
// their topic, and nobody else.
func TestDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 12)
		where := &place{there: make(map[string][]peer.ID)}
		var list []core.Topics
		for i, node := range n {
			// The second place never answers, and one is a panic: neither is in
			// the way.
			node.SetModules(meeting{place: where, self: node.ID()}, meeting{place: where, self: node.ID(), hang: true}, broken{})
			topic := "news"
			if i >= 10 {
				topic = "other"
			}
			list = append(list, victim(t, node, fmt.Sprintf(`{"topics": [%q], "discovery": {}}`, topic)))
		}
		time.Sleep(5 * time.Minute)
		for i, v := range list[:10] {
			if got := len(v.TopicPeers("news")); got < 5 {
				t.Errorf("node %d has found %d peers", i, got)
			}
		}
		for i, v := range list[10:] {
			if got := v.TopicPeers(""); len(got) != 1 || !slices.Equal(got[0].Topics, []string{"other"}) {
				t.Errorf("node %d of the other topic has found %+v", i, got)
			}
		}
		where.mu.Lock()
		if got := slices.Sorted(maps.Keys(where.there)); !slices.Equal(got, []string{"floodsub:news", "floodsub:other"}) {
			t.Errorf("they meet under %q", got)
		}
		where.mu.Unlock()
		if peers, err := list[0].Publish(t.Context(), "news", []byte("x")); err != nil || peers < 5 {
			t.Errorf("published to %d peers, %v", peers, err)
		}
		// Who has enough peers looks for no more.
		before := where.counted()
		time.Sleep(10 * time.Minute)
		if n := where.counted() - before; n > 2*(5+2) { // the two of the other topic go on
			t.Errorf("%d more searches", n)
		}
	})
}

// broken is a place to meet that panics.
type broken struct{}

func (broken) Advertise(context.Context, string, time.Duration) (time.Duration, error) {
	panic("advertise")
}

func (broken) FindPeers(context.Context, string, int) iter.Seq2[peer.AddrInfo, error] { panic("find") }

// liar is a place to meet that names peers nobody can reach.
type liar struct {
	*place
	peers []peer.ID
}

func (liar) Advertise(context.Context, string, time.Duration) (time.Duration, error) {
	return 0, errors.New("not today")
}

func (l liar) FindPeers(_ context.Context, _ string, count int) iter.Seq2[peer.AddrInfo, error] {
	return func(yield func(peer.AddrInfo, error) bool) {
		l.mu.Lock()
		l.searches++
		l.mu.Unlock()
		for i := range 10 * count {
			if !yield(peer.AddrInfo{ID: l.peers[i%len(l.peers)]}, nil) {
				return
			}
		}
	}
}

// A place that names peers that are not there costs a bounded number of dials.
func TestEvil_G9_LyingDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 1)[0]
		l := liar{place: new(place)}
		for i := range uint64(50) {
			l.peers = append(l.peers, coretest.NewIdentity(1000+i).ID())
		}
		n.SetModules(l)
		var found atomic.Int64
		stop := core.On(n, func(core.PeerDiscovered) { found.Add(1) }) // each is a dial
		defer stop()
		v := victim(t, n, `{"topics": ["news"], "discovery": {}}`)
		time.Sleep(2 * time.Hour)
		if got := len(v.TopicPeers("")); got != 0 {
			t.Errorf("%d peers", got)
		}
		// Each of the 50 after 0, 10 s, 50 s, 250 s, 1250 s, and every hour.
		if n := found.Load(); n < 50 || n > 50*10 {
			t.Errorf("%d dials in two hours", n)
		}
		if l.counted() > 2*60*60/5 {
			t.Errorf("%d searches in two hours", l.counted())
		}
		t.Logf("in two hours %d searches and %d dials", l.counted(), found.Load())
	})
}

// The same with whole nodes and a rendezvous point.
func TestDiscoveryAtRendezvous(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := hosttest.NewNetwork(memnet.Options{Delay: 10 * time.Millisecond})
		point := network.Node(t, hosttest.Settings{Seed: 100, Config: `{"discovery": {"rendezvous": {"server": {}}}}`})
		address := fmt.Sprintf("%s/p2p/%s", point.ListenAddrs()[0], point.ID())
		nodes := network.Nodes(t, 4, fmt.Sprintf(`{
			"discovery": {"rendezvous": {"points": [%q]}},
			"pubsub": {"gossipsub": {"topics": ["news"], "discovery": {"interval": "2s"}}}
		}`, address))
		time.Sleep(2 * time.Minute)
		for i, n := range nodes {
			if got := len(topicsOf(t, n).TopicPeers("news")); got != 3 {
				t.Errorf("node %d has found %d peers, want 3", i, got)
			}
		}
	})
}

func TestDiscoveryConfig(t *testing.T) {
	coretest.TestConfigs[core.PubSub](t, "gossipsub", []coretest.Config{
		{Name: "bad", JSON: `{"discovery": {"min_peers": -1}}`, WantErr: "discovery: min_peers: want 1 to 1000"},
	})
	// A topic whose name is too long to be met under is one like any other.
	inBubble(t, fmt.Sprintf(`{"topics": [%q], "discovery": {}}`, strings.Repeat("x", 256)), 0,
		func(*testing.T, core.Topics, core.Subscription, []*coretest.FakeNode) { time.Sleep(time.Minute) })
}
