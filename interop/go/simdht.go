// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/ipfs/go-cid"
	kbucket "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	pstore "github.com/libp2p/go-libp2p/p2p/host/peerstore"
)

// latencyResult is what many operations of a DHT took.
type latencyResult struct {
	Median float64 `json:"latency_median_ms"`
	P99    float64 `json:"latency_p99_ms"`
	CPU    float64 `json:"cpu_us_each"` // of all nodes of the network
}

// tableResult is what a routing table takes, peer IDs not counted.
type tableResult struct {
	Bytes   float64 `json:"bytes"`
	Members int     `json:"members"`
}

// dhtTableCommand measures a table that keeps all of 1,000 peers.
func dhtTableCommand(flags *flag.FlagSet) body {
	count := flags.Int("peers", 1000, "how many peers")
	return func(_ context.Context, in *invocation) error {
		random := rand.New(rand.NewPCG(3, 4))
		ids := make([]peer.ID, *count)
		for i := range ids {
			ids[i] = peer.ID(dhtKey(random))
		}
		const tables = 50
		all := make([]*kbucket.RoutingTable, tables)
		before := collect().HeapAlloc
		for i := range all {
			t, err := kbucket.NewRoutingTable(*count, kbucket.ConvertPeerID(ids[0]), time.Hour, pstore.NewMetrics(), time.Hour, nil)
			if err != nil {
				return err
			}
			all[i] = t
			for _, p := range ids {
				if _, err := t.TryAddPeer(p, true, false); err != nil {
					return err
				}
			}
		}
		after := collect().HeapAlloc
		in.out.emit(tableResult{float64(after-before) / tables, all[0].Size()})
		runtime.KeepAlive(all)
		return nil
	}
}

// dhtSim is a DHT of nodes of this process, all servers, over TCP on loopback.
type dhtSim struct {
	count, operations int
	provide           bool
	nodes             []*node
	dhts              []*kad
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
		in.options.transports = list{"tcp"}
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
	kinds, err := in.options.namedTransports()
	if err != nil {
		return err
	}
	for i := range s.count {
		addrs, err := listenAddrs(kinds, "127.0.0.1", 0)
		if err != nil {
			return err
		}
		key, _, err := crypto.GenerateEd25519Key(crand.Reader)
		if err != nil {
			return err
		}
		n, err := plan{key: key, kinds: kinds, security: in.options.security, listen: addrs}.start()
		if err != nil {
			return err
		}
		s.nodes = append(s.nodes, n)
		k, err := n.startDHT(dhtFlags{mode: "server", prefix: "/ipfs"})
		if err != nil {
			return err
		}
		s.dhts = append(s.dhts, k)
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
		if _, err := d.GetClosestPeers(ctx, string(s.nodes[i].ID())); err != nil {
			return err
		}
	}
	return nil
}

// meet connects to a node, which on a busy machine may take more than one try.
func (n *node) meet(ctx context.Context, other peer.AddrInfo) (err error) {
	for range 5 {
		if err = n.Connect(ctx, other); err == nil {
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
			err = d.Provide(ctx, cid.NewCidV1(cid.Raw, key), true)
		} else {
			_, err = d.GetClosestPeers(ctx, string(key))
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
	for i, n := range s.nodes {
		if i < len(s.dhts) {
			_ = s.dhts[i].Close()
		}
		_ = n.Close() // what was measured is measured
	}
}
