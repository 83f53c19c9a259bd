// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

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
	callsOf string
	// table says which figures there are.
	table table
	// bar is what the first contender may take at most, as a multiple of what
	// the second does; 0 for no bar.
	bar float64
	// most is what the figure of the first contender's server may be at most; 0
	// for no bar.
	most       float64
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

	client *peers.Peer // that asks, if that is another one
	part   string      // of the address that is asked for; empty for the first one
}

// sample is one measurement.
type sample struct {
	server, client float64 // processor time, seconds; memory, bytes of the server
	reads, writes  float64 // system calls of the server
	heap, stack    float64 // bytes of the server
	goroutines     float64
	trips          float64 // round trips of one operation
}

// repeat does one repetition: every contender once, another one first each
// time. What it found counts only if it found it for all.
func (c *benchCase) repeat(ctx context.Context, rep int) error {
	found := make(map[string]sample)
	for i := range c.contenders {
		k := c.contenders[(rep+i)%len(c.contenders)]
		s, err := c.measure(ctx, k)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", c.name, k.name, err)
		}
		found[k.name] = s
	}
	if c.samples == nil {
		c.samples = make(map[string][]sample)
	}
	for name, s := range found {
		c.samples[name] = append(c.samples[name], s)
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
	for _, a := range ready.Addrs {
		if strings.Contains(a, k.part) {
			return s, a, nil
		}
	}
	return nil, "", errors.Join(fmt.Errorf("no address with %q: %s", k.part, ready.Addrs), s.Close())
}
