// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

// dhtLoad asks a server of a DHT for the peers closest to keys, over and over.
// It is this peer's alone: servers of all implementations are so asked alike.
type dhtLoad struct {
	nodes, count, parallel int
	prefix                 string
	crowd                  []*node
}

// answerPeers is how many peers a full answer names.
const answerPeers = 20

func dhtLoadCommand(flags *flag.FlagSet) body {
	var l dhtLoad
	flags.IntVar(&l.nodes, "nodes", 59, "how many nodes the server is to know")
	flags.IntVar(&l.count, "count", 1000, "how many requests a line of stdin makes")
	flags.IntVar(&l.parallel, "parallel", 4, "streams that they are spread over")
	flags.StringVar(&l.prefix, "dht-prefix", "/ipfs", "what stands before /kad/1.0.0 in the protocol of the DHT")
	return func(ctx context.Context, in *invocation) error {
		if l.nodes < answerPeers+1 || l.count < 1 || l.parallel < 1 {
			return usagef("want --nodes of more than %d, --count and --parallel of 1 or more", answerPeers)
		}
		target, err := in.target()
		if err != nil {
			return err
		}
		defer l.close()
		setup, cancel := in.withTimeout(ctx)
		defer cancel()
		if err := l.gather(setup, in, target); err != nil {
			return err
		}
		in.out.emit(map[string]int{"nodes": l.nodes})
		for scan := bufio.NewScanner(in.stdin); scan.Scan(); {
			r, err := l.run(ctx, target.ID)
			if err != nil {
				return err
			}
			in.out.emit(r)
		}
		return nil
	}
}

// gather connects nodes of a DHT to the server, and waits until it names enough
// of them.
func (l *dhtLoad) gather(ctx context.Context, in *invocation, target peer.AddrInfo) error {
	in.options.transports, in.options.seed = list{"tcp"}, 0
	for range l.nodes {
		b, err := in.options.serving("127.0.0.1", 0)
		if err != nil {
			return err
		}
		b.dht = dhtFlags{mode: "server", prefix: l.prefix}
		n, err := b.start(ctx)
		if err != nil {
			return err
		}
		l.crowd = append(l.crowd, n)
		if _, err := n.Connect(ctx, target); err != nil {
			return err
		}
	}
	s, err := l.open(ctx, target.ID)
	if err != nil {
		return err
	}
	defer s.Reset(core.StreamNoError)
	random := rand.New(rand.NewPCG(5, 6))
	for {
		named, err := findNode(s, dhtKey(random))
		if err != nil || named >= answerPeers {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the server names %d peers only: %w", named, context.Cause(ctx))
		}
	}
}

func (l *dhtLoad) open(ctx context.Context, p peer.ID) (core.Stream, error) {
	return l.crowd[0].NewStream(ctx, p, l.prefix+"/kad/1.0.0")
}

// run sends the requests, each stream the next when it has the answer to the last.
func (l *dhtLoad) run(ctx context.Context, p peer.ID) (*latencyResult, error) {
	watch := startWatch()
	took := make([][]time.Duration, l.parallel)
	errs := make([]error, l.parallel)
	var wg sync.WaitGroup
	for w := range l.parallel {
		wg.Go(func() {
			s, err := l.open(ctx, p)
			if err != nil {
				errs[w] = err
				return
			}
			defer s.Reset(core.StreamNoError)
			random := rand.New(rand.NewPCG(7, uint64(w)))
			for range l.count / l.parallel {
				begun := time.Now()
				if _, err := findNode(s, dhtKey(random)); err != nil {
					errs[w] = err
					return
				}
				took[w] = append(took[w], time.Since(begun))
			}
		})
	}
	wg.Wait()
	var all []time.Duration
	for _, t := range took {
		all = append(all, t...)
	}
	cpu := watch.cpuSeconds()
	return &latencyResult{percentile(all, 50), percentile(all, 99), 1e6 * cpu / float64(max(len(all), 1))}, errors.Join(errs...)
}

// findNode makes one request and returns how many peers the answer names.
func findNode(s core.Stream, key []byte) (named int, err error) {
	const (
		typeField   = 1 << 3 // a varint
		findNode    = 4
		keyField    = 2<<3 | 2 // bytes
		closerField = 8
		maxAnswer   = 1 << 20
	)
	request := append([]byte{typeField, findNode, keyField, byte(len(key))}, key...)
	if err := wire.WriteMessage(s, request); err != nil {
		return 0, err
	}
	answer, err := wire.ReadMessage(s, maxAnswer)
	if err != nil {
		return 0, err
	}
	for f, err := range wire.Fields(answer) {
		if err != nil {
			return 0, err
		}
		if f.Num == closerField {
			named++
		}
	}
	return named, nil
}

// close ends all nodes at once: each waits until the server has got its last words.
func (l *dhtLoad) close() {
	var wg sync.WaitGroup
	for _, n := range l.crowd {
		wg.Go(func() { _ = n.Close() }) // what was measured is measured
	}
	wg.Wait()
}
