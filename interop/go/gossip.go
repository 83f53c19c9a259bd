// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// gossipResult is what a network of gossiping nodes did.
type gossipResult struct {
	CPU        float64 `json:"cpu_us_per_delivery"`
	Ratio      float64 `json:"delivery_ratio"`
	P50        float64 `json:"latency_p50_ms"`
	P99        float64 `json:"latency_p99_ms"`
	Duplicates float64 `json:"duplicates_per_delivery"`
	PerSecond  float64 `json:"deliveries_per_second"`
	RSS        float64 `json:"rss_kib_per_node"`
}

// gossip is a network of nodes of this process, over TCP on loopback.
type gossip struct {
	count, degree, messages, size int
	rate                          float64 // messages a second; 0 for one after the other has arrived everywhere
	settle                        time.Duration

	nodes      []*node
	topics     []*pubsub.Topic
	subs       []*pubsub.Subscription
	duplicates counter

	deliveries atomic.Int64
	mu         sync.Mutex
	latencies  []time.Duration
	arrived    chan struct{} // one each delivery, if rate is 0
}

// counter counts duplicates.
type counter struct{ n atomic.Int64 }

func (c *counter) DuplicateMessage(*pubsub.Message)                   { c.n.Add(1) }
func (*counter) OnNewOutboundStream(peer.ID, protocol.ID)             {}
func (*counter) OnClosedOutboundStream(peer.ID)                       {}
func (*counter) SendRPCCompleted(*pubsub.RPC, peer.ID, time.Duration) {}
func (*counter) Join(string)                                          {}
func (*counter) Leave(string)                                         {}
func (*counter) Graft(peer.ID, string)                                {}
func (*counter) Prune(peer.ID, string)                                {}
func (*counter) ValidateMessage(*pubsub.Message)                      {}
func (*counter) DeliverMessage(*pubsub.Message)                       {}
func (*counter) RejectMessage(*pubsub.Message, string)                {}
func (*counter) ThrottlePeer(peer.ID)                                 {}
func (*counter) RecvRPC(*pubsub.RPC)                                  {}
func (*counter) SendRPC(*pubsub.RPC, peer.ID)                         {}
func (*counter) DropRPC(*pubsub.RPC, peer.ID)                         {}
func (*counter) UndeliverableMessage(*pubsub.Message)                 {}

// gossipTopic is what they talk about.
const gossipTopic = "sim"

func simGossipCommand(flags *flag.FlagSet) body {
	var g gossip
	flags.IntVar(&g.count, "nodes", 50, "how many nodes")
	flags.IntVar(&g.degree, "degree", 10, "how many connections a node has")
	flags.IntVar(&g.messages, "messages", 200, "how many messages are published, by nodes in turn")
	flags.IntVar(&g.size, "size", 256, "bytes of a message, at least 8")
	flags.Float64Var(&g.rate, "rate", 20, "messages a second; 0 publishes the next when one has arrived everywhere")
	flags.DurationVar(&g.settle, "settle", 3*time.Second, "time for the meshes to form")
	return func(ctx context.Context, in *invocation) error {
		if g.count < 2 || g.degree < 2 || g.degree >= g.count || g.messages < 1 || g.size < 8 || g.rate < 0 {
			return usagef("want --nodes of 2 or more, --degree of 2 to less than that, --messages of 1 or more, --size of 8 or more")
		}
		ctx, cancel := context.WithCancel(ctx)
		defer g.close()
		defer cancel()
		if err := g.start(ctx, in); err != nil {
			return err
		}
		r, err := g.run(ctx)
		if err != nil {
			return err
		}
		in.out.emit(r)
		return nil
	}
}

// start makes the nodes and connects each to some of the others, by chance that is the same every time.
func (g *gossip) start(ctx context.Context, in *invocation) error {
	in.options.transports, in.options.seed = list{"tcp"}, 0
	for range g.count {
		n, err := in.startListening("127.0.0.1", 0, false, relayFlags{}, "")
		if err != nil {
			return err
		}
		g.nodes = append(g.nodes, n)
		ps, err := pubsub.NewGossipSub(ctx, n.Host, pubsub.WithRawTracer(&g.duplicates))
		if err != nil {
			return err
		}
		t, err := ps.Join(gossipTopic)
		if err != nil {
			return err
		}
		s, err := t.Subscribe(pubsub.WithBufferSize(256))
		if err != nil {
			return err
		}
		g.topics, g.subs = append(g.topics, t), append(g.subs, s)
	}
	random := rand.New(rand.NewPCG(1, 1))
	for i, n := range g.nodes {
		for range g.degree / 2 {
			other := g.nodes[(i+1+random.IntN(g.count-1))%g.count]
			if err := n.Connect(ctx, peer.AddrInfo{ID: other.ID(), Addrs: other.Addrs()}); err != nil {
				return err
			}
		}
	}
	select {
	case <-time.After(g.settle):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run publishes and waits until all that can arrive has.
func (g *gossip) run(ctx context.Context) (*gossipResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g.arrived = make(chan struct{}, g.count)
	var reading sync.WaitGroup
	for _, s := range g.subs {
		reading.Go(func() { g.read(ctx, s) })
	}
	before := g.duplicates.n.Load()
	watch := startWatch()
	wanted := g.messages * g.count
	for i := range g.messages {
		data := make([]byte, g.size)
		binary.BigEndian.PutUint64(data, uint64(time.Now().UnixNano()))
		if err := g.topics[i%g.count].Publish(ctx, data); err != nil {
			return nil, err
		}
		if err := g.wait(ctx, watch, i); err != nil {
			return nil, err
		}
	}
	for end := time.Now().Add(10 * time.Second); int(g.deliveries.Load()) < wanted && time.Now().Before(end) && ctx.Err() == nil; {
		time.Sleep(10 * time.Millisecond)
	}
	cpu, seconds := watch.cpuSeconds(), watch.seconds()
	cancel()
	reading.Wait()
	delivered := int(g.deliveries.Load())
	if delivered == 0 {
		return nil, errors.New("sim-gossip: nothing was delivered")
	}
	rss, err := residentKiB()
	if err != nil {
		return nil, err
	}
	return &gossipResult{
		CPU:        cpu * 1e6 / float64(delivered),
		Ratio:      float64(delivered) / float64(wanted),
		P50:        percentile(g.latencies, 50),
		P99:        percentile(g.latencies, 99),
		Duplicates: float64(g.duplicates.n.Load()-before) / float64(delivered),
		PerSecond:  float64(delivered) / seconds,
		RSS:        float64(rss) / float64(g.count),
	}, nil
}

// wait waits until it is time for the message after the i-th.
func (g *gossip) wait(ctx context.Context, watch stopwatch, i int) error {
	if g.rate > 0 {
		next := watch.start.Add(time.Duration(float64(i+1) / g.rate * float64(time.Second)))
		select {
		case <-time.After(time.Until(next)):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	late := time.After(5 * time.Second)
	for range g.count {
		select {
		case <-g.arrived:
		case <-late: // it is lost to some
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// read takes the messages of one node.
func (g *gossip) read(ctx context.Context, s *pubsub.Subscription) {
	for {
		m, err := s.Next(ctx)
		if err != nil {
			return
		}
		took := time.Since(time.Unix(0, int64(binary.BigEndian.Uint64(m.Data))))
		g.deliveries.Add(1)
		g.mu.Lock()
		g.latencies = append(g.latencies, took)
		g.mu.Unlock()
		select {
		case g.arrived <- struct{}{}:
		default: // nobody waits for it
		}
	}
}

func (g *gossip) close() {
	for _, n := range g.nodes {
		_ = n.Close() // the result is out
	}
}

// residentKiB is how much memory the process holds, after a collection.
func residentKiB() (int64, error) {
	runtime.GC()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		}
	}
	return 0, fmt.Errorf("no VmRSS in /proc/self/status")
}
