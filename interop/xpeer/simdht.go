// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
)

// latencyResult is what many operations of a DHT took.
type latencyResult struct {
	Median float64 `json:"latency_median_ms"`
	P99    float64 `json:"latency_p99_ms"`
	CPU    float64 `json:"cpu_us_each"` // of all nodes of the network
}

// dhtSim is a DHT of nodes of this process, all servers, over TCP on loopback.
type dhtSim struct {
	count, operations int
	provide           bool
	nodes             []*node
	dhts              []*dht
}

func simDHTCommand(flags *flag.FlagSet) body {
	var s dhtSim
	flags.IntVar(&s.count, "nodes", 60, "how many nodes")
	flags.IntVar(&s.operations, "count", 200, "how many operations, by nodes at random, one after the other")
	flags.BoolVar(&s.provide, "provide", false, "announce content, instead of looking for the peers closest to a key")
	return func(ctx context.Context, in *invocation) error {
		if s.count < 2 || s.operations < 1 {
			return usagef("want --nodes of 2 or more and --count of 1 or more")
		}
		defer s.close()
		if err := s.start(ctx, in); err != nil {
			return err
		}
		r, err := s.run(ctx)
		if err != nil {
			return err
		}
		in.out.emit(r)
		return nil
	}
}

// start makes the nodes, connects each to all, and lets all look for
// themselves: what is timed later is neither dials nor first streams.
func (s *dhtSim) start(ctx context.Context, in *invocation) error {
	in.options.transports, in.options.seed = list{"tcp"}, 0
	f := dhtFlags{mode: "server", prefix: "/ipfs"}
	for i := range s.count {
		b, err := in.options.serving("127.0.0.1", 0)
		if err != nil {
			return err
		}
		b.dht = f
		n, err := b.start(ctx)
		if err != nil {
			return err
		}
		s.nodes, s.dhts = append(s.nodes, n), append(s.dhts, n.dht(f))
		for _, other := range s.nodes[:i] {
			if err := n.meet(ctx, peer.AddrInfo{ID: other.ID(), Addrs: other.Addrs()}); err != nil {
				return err
			}
		}
	}
	for i, d := range s.dhts {
		if err := d.settle(ctx); err != nil {
			return err
		}
		if _, err := d.ClosestPeers(ctx, s.nodes[i].ID().Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// meet connects to a node, which on a busy machine may take more than one try.
func (n *node) meet(ctx context.Context, other peer.AddrInfo) (err error) {
	for range 5 {
		if _, err = n.Connect(ctx, other); err == nil {
			return nil
		}
	}
	return err
}

func (s *dhtSim) run(ctx context.Context) (*latencyResult, error) {
	random := rand.New(rand.NewPCG(1, 2))
	watch := startWatch()
	var took []time.Duration
	for range s.operations {
		d, key := s.dhts[random.IntN(s.count)], dhtKey(random)
		begun := time.Now()
		var err error
		if s.provide {
			err = d.Provide(ctx, key)
		} else {
			_, err = d.ClosestPeers(ctx, key)
		}
		if err != nil {
			return nil, err
		}
		took = append(took, time.Since(begun))
	}
	cpu := watch.cpuSeconds()
	return &latencyResult{percentile(took, 50), percentile(took, 99), 1e6 * cpu / float64(s.operations)}, nil
}

// dhtKey is a sha2-256 multihash of nothing in particular.
func dhtKey(random *rand.Rand) []byte {
	key := []byte{0x12, 32}
	for range 4 {
		key = binary.LittleEndian.AppendUint64(key, random.Uint64())
	}
	return key
}

func (s *dhtSim) close() {
	for _, n := range s.nodes {
		_ = n.Close() // what was measured is measured
	}
}
