// SPDX-License-Identifier: Apache-2.0 OR MIT

package gossipsub_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
)

// crowd is a network of whole nodes on fake time.
type crowd struct {
	t      *testing.T
	random *rand.Rand
	nodes  []*host.Host
	topics []core.Topics
	subs   []core.Subscription
}

// gather makes nodes with a configuration of gossipsub, all in the topic "sim",
// and each with connections to some of the others, which lose one write in a hundred.
func gather(t *testing.T, count, degree int, config string) *crowd {
	t.Helper()
	c := &crowd{t: t, random: rand.New(rand.NewPCG(1, 2))}
	network := hosttest.NewNetwork(memnet.Options{Delay: 50 * time.Millisecond, Loss: 0.01})
	c.nodes = network.Nodes(t, count, `{"pubsub": {"gossipsub": `+config+`}}`)
	for _, n := range c.nodes {
		topics := topicsOf(t, n)
		s, err := topics.Subscribe("sim")
		if err != nil {
			t.Fatal(err)
		}
		c.topics, c.subs = append(c.topics, topics), append(c.subs, s)
	}
	for i := range c.nodes {
		for range degree / 2 {
			c.connect(i)
		}
	}
	return c
}

// connect connects a node with another one.
func (c *crowd) connect(i int) {
	hosttest.Connect(c.t, c.nodes[i], c.nodes[(i+1+c.random.IntN(len(c.nodes)-1))%len(c.nodes)])
}

// churn closes as many connections and makes as many others.
func (c *crowd) churn(n int) {
	for range n {
		i := c.random.IntN(len(c.nodes))
		if conns := c.nodes[i].Conns(); len(conns) > 0 {
			conns[c.random.IntN(len(conns))].Close()
		}
		c.connect(i)
	}
}

// publish publishes a message that says when.
func (c *crowd) publish(i int) {
	c.t.Helper()
	data := binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixNano()))
	if _, err := c.topics[i].Publish(c.t.Context(), "sim", data); err != nil {
		c.t.Fatal(err)
	}
}

// read takes the messages of all nodes as they come, until the subscriptions are
// closed. wait returns how long each took.
func (c *crowd) read() (wait func() []time.Duration) {
	var wg sync.WaitGroup
	took := make([][]time.Duration, len(c.subs))
	for i, s := range c.subs {
		wg.Go(func() {
			for {
				m, err := s.Next(c.t.Context())
				if err != nil {
					return
				}
				took[i] = append(took[i], time.Since(time.Unix(0, int64(binary.BigEndian.Uint64(m.Data)))))
			}
		})
	}
	return func() []time.Duration {
		for _, s := range c.subs {
			s.Close()
		}
		wg.Wait()
		return slices.Sorted(slices.Values(slices.Concat(took...)))
	}
}

// In a network of nodes that lose and find each other, every message arrives
// everywhere, and soon.
func TestSimulation(t *testing.T) {
	count := 60
	if coretest.FullSize() {
		count = 1000
	}
	const degree, messages = 10, 10
	synctest.Test(t, func(t *testing.T) {
		c := gather(t, count, degree, `{}`)
		time.Sleep(5 * time.Second)
		wait := c.read()
		for range messages {
			c.churn(count / 100)
			c.publish(c.random.IntN(count))
			time.Sleep(2 * time.Second)
		}
		time.Sleep(10 * time.Second)
		all := wait()
		if want := messages * count; len(all) != want {
			t.Errorf("%d deliveries, want %d", len(all), want)
		}
		p := func(q float64) time.Duration { return all[int(q*float64(len(all)-1))].Round(50 * time.Millisecond) }
		var sum core.TopicCounts
		for _, topics := range c.topics {
			n := topics.Counts()
			sum.Duplicates += n.Duplicates
			sum.Dropped += n.Dropped
		}
		t.Logf("%d nodes, links of 50 ms that lose 1%%: %d deliveries, p50 %v, p99 %v (%d hops), last %v; %.1f duplicates a delivery, %d dropped",
			count, len(all), p(0.5), p(0.99), p(0.99)/(50*time.Millisecond), p(1), float64(sum.Duplicates)/float64(len(all)), sum.Dropped)
	})
}
