// SPDX-License-Identifier: Apache-2.0 OR MIT

package floodsub_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
	_ "github.com/xnode-p2p/xnode/modules/muxer/yamux"
	"github.com/xnode-p2p/xnode/modules/pubsub/floodsub"
	_ "github.com/xnode-p2p/xnode/modules/security/noise"
)

func TestLifecycle(t *testing.T) {
	coretest.TestLifecycle(t, func(t *testing.T) core.Service {
		return coretest.MustLoad[core.PubSub](t, "floodsub", `{"topics": ["news"]}`)
	})
}

// In a row of nodes each message is passed on from one to the next.
func TestRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 5
		nodes := hosttest.NewNetwork(memnet.Options{Delay: 10 * time.Millisecond}).Nodes(t, count, `{"pubsub": {"floodsub": {}}}`)
		var subs []core.Subscription
		for i, n := range nodes {
			s, err := find(n).Subscribe("news")
			if err != nil {
				t.Fatal(err)
			}
			subs = append(subs, s)
			if i > 0 {
				hosttest.Connect(t, nodes[i-1], n)
			}
		}
		time.Sleep(time.Second)
		for i, n := range nodes {
			peers, err := find(n).Publish(t.Context(), "news", fmt.Append(nil, i))
			if want := 2; err != nil || peers != want && i > 0 && i < count-1 {
				t.Errorf("node %d published to %d peers, %v", i, peers, err)
			}
			time.Sleep(time.Second)
			for j, s := range subs {
				m, err := s.Next(t.Context())
				if err != nil || string(m.Data) != fmt.Sprint(i) || m.From != n.ID() {
					t.Errorf("node %d got %v, %v", j, m, err)
				}
			}
		}
		for _, p := range find(nodes[1]).TopicPeers("news") {
			if p.Protocol != floodsub.ID || len(p.Mesh) != 0 {
				t.Errorf("%+v", p)
			}
		}
	})
}

func find(n core.Modules) core.Topics {
	topics, _ := core.Find[core.Topics](n)
	return topics
}
