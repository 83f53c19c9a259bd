// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/xnode-p2p/xnode/interop/internal/process"
)

// gossipNodes is how many nodes a network of one process has.
const gossipNodes = 50

// pubsubCases are those of messages on topics.
func pubsubCases(s sizes, p cast) []*benchCase {
	words := []string{"sim-gossip", "--nodes", strconv.Itoa(gossipNodes), "--messages", strconv.Itoa(s.gossip)}
	networks := &gossipNetworks{}
	of := func(what, unit string, bar float64, part func(gossipFigures) float64) *benchCase {
		return &benchCase{
			name: fmt.Sprintf("pubsub: %d nodes, 20 messages a second: %s", gossipNodes, what), unit: unit, per: 1, table: ofFigure, bar: bar,
			contenders: []contender{{p.own.Name, p.own, nil, words, nil, ""}, {p.rival.Name, p.rival, nil, words, nil, ""}},
			measure:    networks.reader(part),
		}
	}
	return []*benchCase{
		p.relayed(256, s.relayed, 0.6),
		p.relayed(4096, s.relayed, 0.6),
		of("processor time", "CPU µs per delivery", 0.5, func(f gossipFigures) float64 { return f.CPU }),
		of("memory", "KiB per node", 0.5, func(f gossipFigures) float64 { return f.RSS }),
		of("duplicates", "per delivery", 1, func(f gossipFigures) float64 { return f.Duplicates }),
	}
}

// relayed is a case of signed messages that go through a server.
func (p cast) relayed(size, count int, bar float64) *benchCase {
	const topic = "bench"
	words := []string{"pubsub-bench", "--topic", topic, "--count", strconv.Itoa(count), "--size", strconv.Itoa(size)}
	return repeated(fmt.Sprintf("pubsub: relay of a signed message of %d bytes", size), count, bar,
		p.both(noise, words, "--pubsub", "gossipsub", "--topic", topic))
}

// gossipFigures are what a network of one implementation finds.
type gossipFigures struct {
	CPU        float64 `json:"cpu_us_per_delivery"`
	Ratio      float64 `json:"delivery_ratio"`
	RSS        float64 `json:"rss_kib_per_node"`
	Duplicates float64 `json:"duplicates_per_delivery"`
}

// gossipNetworks are the networks so far, of each contender. Several cases read
// different figures of the same ones.
type gossipNetworks struct{ found map[string][]gossipFigures }

// reader returns what measures a part of the figures. It runs a network if it has
// read those that there are.
func (g *gossipNetworks) reader(part func(gossipFigures) float64) func(context.Context, contender) (sample, error) {
	read := make(map[string]int)
	return func(ctx context.Context, k contender) (got sample, err error) {
		if read[k.name] == len(g.found[k.name]) {
			var f gossipFigures
			if err := process.Run(ctx, k.peer.Command(k.ask...), &f); err != nil {
				return got, err
			}
			if f.Ratio < 1 {
				return got, fmt.Errorf("%.3f of the messages were delivered", f.Ratio)
			}
			if g.found == nil {
				g.found = make(map[string][]gossipFigures)
			}
			g.found[k.name] = append(g.found[k.name], f)
		}
		f := g.found[k.name][read[k.name]]
		read[k.name]++
		return sample{server: part(f)}, nil
	}
}
