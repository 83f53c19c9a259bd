// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/xnode-p2p/xnode/interop/internal/peers"
	"github.com/xnode-p2p/xnode/interop/internal/process"
)

// dhtNodes is how many nodes the network has in which look-ups are timed.
const dhtNodes = 60

// dhtCases are those of the DHT.
func dhtCases(s sizes, p cast) []*benchCase {
	latency := func(name string, words ...string) *benchCase {
		words = append([]string{"sim-dht", "--nodes", strconv.Itoa(dhtNodes), "--count", strconv.Itoa(s.lookups)}, words...)
		return &benchCase{
			name: name, unit: "ms, the median", per: 1, table: ofFigure, bar: 0.8, measure: simulate,
			contenders: []contender{{p.own.Name, p.own, nil, words, nil, ""}, {p.rival.Name, p.rival, nil, words, nil, ""}},
		}
	}
	const micro, kibibyte = 1e6, 1 << 10
	listen := []string{"listen", "--quiet", "--dht", "server"}
	table := []string{"dht-table", "--peers", "1000"}
	load := []string{"dht-load", "--nodes", strconv.Itoa(dhtNodes - 1), "--count", strconv.Itoa(s.requests)}
	return []*benchCase{
		latency(fmt.Sprintf("dht: look-up among %d nodes", dhtNodes)),
		latency(fmt.Sprintf("dht: announcement of content among %d nodes", dhtNodes), "--provide"),
		{
			name: "dht: request of a server", unit: "CPU µs of the server", per: micro / float64(s.requests), table: ofFigure, bar: 0.6,
			contenders: []contender{{p.own.Name, p.own, listen, load, nil, ""}, {p.rival.Name, p.rival, listen, load, nil, ""}},
			measure:    func(ctx context.Context, k contender) (sample, error) { return serveRequests(ctx, k, p.own) },
		},
		{
			name: "dht: routing table of 1,000 peers", unit: "KiB, without their IDs", per: 1.0 / kibibyte, table: ofFigure, bar: 0.6,
			contenders: []contender{{p.own.Name, p.own, nil, table, nil, ""}, {p.rival.Name, p.rival, nil, table, nil, ""}},
			measure:    tableMemory,
		},
	}
}

// simulate measures the median latency of operations in a network of one
// implementation.
func simulate(ctx context.Context, k contender) (got sample, err error) {
	var said struct {
		Median float64 `json:"latency_median_ms"`
	}
	err = process.Run(ctx, k.peer.Command(k.ask...), &said)
	return sample{server: said.Median}, err
}

// serveRequests measures the processor time of a server for requests that come
// from the same client, whatever the server is.
func serveRequests(ctx context.Context, k contender, client peers.Peer) (got sample, err error) {
	server, addr, err := k.start(ctx)
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	var ready, said struct{}
	load, err := process.Start(ctx, client.Command(append(k.ask, addr)...), &ready)
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, load.Close()) }()
	before, err := server.Usage()
	if err != nil {
		return got, err
	}
	if err := load.Ask(ctx, "go", &said); err != nil {
		return got, err
	}
	after, err := server.Usage()
	return sample{server: after.CPU - before.CPU}, err
}

// tableMemory measures a routing table. That of this project is internal to its
// module, so that its own benchmark measures it.
func tableMemory(ctx context.Context, k contender) (got sample, err error) {
	if k.name != peers.Xnode {
		var said struct{ Bytes float64 }
		err = process.Run(ctx, k.peer.Command(k.ask...), &said)
		return sample{server: said.Bytes}, err
	}
	const metric = " B/table"
	root, err := peers.Root()
	if err != nil {
		return got, err
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkMemory$/^k=1000$", "-benchtime", "1x", "./modules/routing/internal/table")
	cmd.Dir = root
	text, err := cmd.CombinedOutput()
	if err != nil {
		return got, fmt.Errorf("%w: %s", err, text)
	}
	got.server, err = figureBefore(string(text), metric)
	return got, err
}

// figureBefore returns the number before a unit.
func figureBefore(text, unit string) (float64, error) {
	before, _, ok := strings.Cut(text, unit)
	words := strings.Fields(before)
	if !ok || len(words) == 0 {
		return 0, fmt.Errorf("no figure of%s in %q", unit, text)
	}
	return strconv.ParseFloat(words[len(words)-1], 64)
}
