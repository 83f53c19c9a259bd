// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/xnode-p2p/xnode/interop/internal/peers"
	"github.com/xnode-p2p/xnode/interop/internal/process"
)

// benchCase is one sort of work, done by several contenders.
type benchCase struct {
	name string
	// unit is what a figure is of, such as "CPU s per GiB".
	unit string
	// per turns what the whole work took into the figure.
	per float64
	// calls turns system calls into those of one operation.
	calls float64
	// callsOf is what calls are counted for.
	callsOf    string
	contenders []contender
	measure    func(context.Context, contender) (sample, error)
	samples    map[string][]sample // of a contender, one a repetition
}

// contender is an implementation that serves and asks.
type contender struct {
	name   string
	peer   peers.Peer
	listen []string // the words of the server
	ask    []string // the words of the client, without the address
}

// sample is one measurement.
type sample struct {
	server, client float64 // processor time, seconds; memory, bytes of the server
	reads, writes  float64 // system calls of the server
	heap, stack    float64 // bytes of the server
	goroutines     float64
}

// stack is what connections are made of.
var stack = peers.Stack{Transport: "tcp", Security: "noise", Muxer: "yamux"}

func allCases(s sizes, own, rival, limit peers.Peer) []*benchCase {
	const (
		blocks     = 64 << 10
		micro      = 1e6
		kibibyte   = 1 << 10
		gibibyte   = 1 << 30
		bareServer = "--no-identify"
	)
	serve := append([]string{"listen", "--quiet"}, stack.Flags()...)
	both := func(listen []string, ask ...string) []contender {
		ask = append(ask, stack.Flags()...)
		return []contender{{own.Name, own, listen, ask}, {rival.Name, rival, listen, ask}}
	}
	transfer := func(name, flag string) *benchCase {
		size := []string{"perf", flag, strconv.FormatUint(s.bytes, 10)}
		c := &benchCase{
			name: name, unit: "CPU s per GiB", per: gibibyte / float64(s.bytes),
			calls: blocks / float64(s.bytes), callsOf: "64 KiB",
			contenders: both(serve, size...), measure: work,
		}
		for _, mode := range []string{"aead", "tcp"} {
			words := []string{"--mode", mode}
			c.contenders = append(c.contenders, contender{mode, limit, append([]string{"listen"}, words...), append(size, words...)})
		}
		return c
	}
	repeated := func(name string, count int, contenders []contender) *benchCase {
		return &benchCase{
			name: name, unit: "CPU µs each", per: micro / float64(count),
			calls: 1 / float64(count), callsOf: "one", contenders: contenders, measure: work,
		}
	}
	handshakes := []string{"handshakes", "--parallel", "4", "--count", strconv.Itoa(s.handshakes)}
	single := max(s.streams/4, 1)
	return []*benchCase{
		transfer("upload", "--upload"),
		transfer("download", "--download"),
		repeated("handshake", s.handshakes, both(append(slices.Clone(serve), bareServer), handshakes...)),
		repeated("handshake with identify", s.handshakes, both(serve, append(handshakes, "--identify")...)),
		repeated("stream, 16 at a time", s.streams,
			both(serve, "streams", "--parallel", "16", "--count", strconv.Itoa(s.streams))),
		repeated("stream, one at a time", single,
			both(serve, "streams", "--parallel", "1", "--count", strconv.Itoa(single))),
		{
			name: "idle connection", unit: "KiB of the server", per: 1 / (float64(s.conns) * kibibyte),
			calls: 1 / float64(s.conns), callsOf: "one",
			contenders: both(serve, "idle", "--conns", strconv.Itoa(s.conns)), measure: hold,
		},
	}
}

// repeat does one repetition: every contender once, another one first each time.
func (c *benchCase) repeat(ctx context.Context, rep int) error {
	if c.samples == nil {
		c.samples = make(map[string][]sample)
	}
	for i := range c.contenders {
		k := c.contenders[(rep+i)%len(c.contenders)]
		s, err := c.measure(ctx, k)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", c.name, k.name, err)
		}
		c.samples[k.name] = append(c.samples[k.name], s)
	}
	return nil
}

// start runs a contender's server.
func (k contender) start(ctx context.Context) (s *process.Server, addr string, err error) {
	var ready struct{ Addrs []string }
	s, err = process.Start(ctx, k.peer.Command(k.listen...), &ready)
	if err != nil {
		return nil, "", err
	}
	if len(ready.Addrs) == 0 {
		return nil, "", fmt.Errorf("no address: %w", s.Close())
	}
	return s, ready.Addrs[0], nil
}
