// SPDX-License-Identifier: Apache-2.0 OR MIT

package gossipsub_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
	_ "github.com/xnode-p2p/xnode/modules/muxer/yamux"
	_ "github.com/xnode-p2p/xnode/modules/pubsub/gossipsub"
	_ "github.com/xnode-p2p/xnode/modules/security/noise"
	_ "github.com/xnode-p2p/xnode/modules/storage/memory"
)

func TestLifecycle(t *testing.T) {
	coretest.TestLifecycle(t, func(t *testing.T) core.Service {
		return coretest.MustLoad[core.PubSub](t, "gossipsub", `{"topics": ["news"], "validators": [{"module": "seqno"}]}`)
	}, func(n *coretest.FakeNode) {
		storage := coretest.MustLoad[core.Storage](t, "memory", `{}`)
		if err := storage.Start(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { storage.Close() })
		n.SetModules(storage)
	})
}

// topicsOf is the pub/sub of a node.
func topicsOf(t *testing.T, n core.Modules) core.Topics {
	t.Helper()
	topics, ok := core.Find[core.Topics](n)
	if !ok {
		t.Fatal("no pub/sub runs")
	}
	return topics
}

// Messages of each of fifty nodes reach all others, each once.
func TestFiftyNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count, degree = 50, 10
		network := hosttest.NewNetwork(memnet.Options{Delay: 10 * time.Millisecond})
		nodes := network.Nodes(t, count, `{"pubsub": {"gossipsub": {}}}`)
		subs := make([]core.Subscription, count)
		for i, n := range nodes {
			var err error
			if subs[i], err = topicsOf(t, n).Subscribe("news"); err != nil {
				t.Fatal(err)
			}
		}
		for i, n := range nodes {
			for d := 1; d <= degree/2; d++ {
				hosttest.Connect(t, n, nodes[(i+d*d)%count])
			}
		}
		time.Sleep(5 * time.Second)
		for i, n := range nodes {
			if _, err := topicsOf(t, n).Publish(t.Context(), "news", fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		for i, s := range subs {
			got := make(map[string]int)
			for range count {
				m, err := s.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				got[string(m.Data)]++
			}
			if len(got) != count {
				t.Errorf("node %d has %d messages, want %d", i, len(got), count)
			}
			s.Close()
		}
	})
}

// A node in more topics than fit into a frame is known in all of them, before and
// after its peer has come, and is not held to have said too much.
func TestManyTopics(t *testing.T) {
	inBubble(t, `{}`, 1, func(t *testing.T, v core.Topics, _ core.Subscription, n []*coretest.FakeNode) {
		many := victim(t, n[1], `{}`)
		join := func(from, to int) {
			for i := from; i < to; i++ {
				s, err := many.Subscribe(fmt.Sprintf("topic %d", i))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { s.Close() })
			}
		}
		join(0, 2500)
		if _, err := n[0].Connect(t.Context(), peer.AddrInfo{ID: n[1].ID()}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		join(2500, 5000)
		time.Sleep(time.Second)
		if got := v.TopicPeers("")[0]; len(got.Topics) != 5000 || got.Score != 0 {
			t.Errorf("known in %d topics, with a score of %v", len(got.Topics), got.Score)
		}
	})
}
