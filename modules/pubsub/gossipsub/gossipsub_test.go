// SPDX-License-Identifier: Apache-2.0 OR MIT

package gossipsub_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
	_ "github.com/xnode-p2p/xnode/modules/muxer/yamux"
	_ "github.com/xnode-p2p/xnode/modules/pubsub/gossipsub"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
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

// Messages of each node reach all others, each once.
func TestEachToAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		count, degree := 20, 6
		if coretest.FullSize() {
			count, degree = 50, 10
		}
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

// Which messages are the same is for the configuration to say, and for each topic
// anew: what two nodes publish alike arrives once where the content counts, and
// twice where the author does.
func TestMessageIDOfTopics(t *testing.T) {
	const config = `{"topics": ["authors", "content", "numbers"], "topic_options": {
		"content": {"message_id": "sha256"}, "numbers": {"message_id": "first_8_bytes"}}}`
	synctest.Test(t, func(t *testing.T) {
		n := coretest.FakeNodes(t, 3) // in a row
		var list []core.Topics
		for i, node := range n {
			list = append(list, victim(t, node, config))
			if i > 0 {
				if _, err := n[i-1].Connect(t.Context(), peer.AddrInfo{ID: node.ID()}); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(2 * time.Second)
		for topic, want := range map[string]string{
			"authors": "[12345678a 12345678a 12345678b]", "content": "[12345678a 12345678b]", "numbers": "[12345678a]",
		} {
			s, err := list[2].Subscribe(topic)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			refused := 0
			for _, m := range []struct {
				from int
				data string
			}{{0, "12345678a"}, {1, "12345678a"}, {0, "12345678b"}} {
				if _, err := list[m.from].Publish(t.Context(), topic, []byte(m.data)); err != nil {
					refused++
				}
				synctest.Wait()
			}
			got := next(t, s)
			if fmt.Sprint(got) != want || len(got)+refused != 3 {
				t.Errorf("%s: %q, %d refused as published already; want %s", topic, got, refused, want)
			}
		}
	})
	coretest.TestConfigs[core.PubSub](t, "gossipsub", []coretest.Config{
		{Name: "bad", JSON: `{"topic_options": {"x": {"message_id": "md5"}}}`, WantErr: "topic_options/x/message_id: "},
	})
}

// BenchmarkReceive is all that a node does about a message of a peer, in a frame of
// its own, but for the stream below and the signature.
func BenchmarkReceive(b *testing.B) {
	n := coretest.FakeNodes(b, 2)
	s := coretest.MustLoad[core.PubSub](b, "gossipsub", `{"policy": "strict_no_sign", "message_id": "first_8_bytes"}`)
	if err := s.Start(b.Context(), n[0]); err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	news, err := s.(core.Topics).Subscribe("news")
	if err != nil {
		b.Fatal(err)
	}
	n[1].Handle(meshsub, func(s core.Stream) error {
		_, err := io.Copy(io.Discard, s)
		return err
	})
	out, err := n[1].NewStream(b.Context(), n[0].ID(), meshsub)
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 256)
	number := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		number++
		binary.BigEndian.PutUint64(data, number)
		if err := wire.WriteMessage(out, publish(&rpc.Message{Topic: "news", HasTopic: true, Data: data})); err != nil {
			b.Fatal(err)
		}
		if _, err := news.Next(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
