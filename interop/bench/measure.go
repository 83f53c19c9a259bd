// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/xnode-p2p/xnode/interop/internal/process"
)

// work measures a client that does its work and ends. The server is a new one,
// and so has seen no other work.
func work(ctx context.Context, k contender) (got sample, err error) {
	server, addr, err := k.start(ctx)
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	before, err := server.Usage()
	if err != nil {
		return got, err
	}
	var said struct {
		CPU    float64 `json:"client_cpu_seconds"`
		Errors int     `json:"errors"`
		// Received is the part of the messages that have come.
		Received *float64 `json:"received"`
	}
	if err := process.Run(ctx, k.peer.Command(append(k.ask, addr)...), &said); err != nil {
		return got, err
	}
	if said.Errors > 0 {
		return got, fmt.Errorf("%d operations failed", said.Errors)
	}
	if said.Received != nil && *said.Received < 1 {
		return got, fmt.Errorf("%.3f of the messages have come", *said.Received)
	}
	after, err := server.Usage()
	return sample{
		server: after.CPU - before.CPU, client: said.CPU,
		reads: float64(after.Reads - before.Reads), writes: float64(after.Writes - before.Writes),
	}, err
}

// memory is what a peer answers to a gc line.
type memory struct {
	HeapAlloc  float64 `json:"heap_alloc"`
	StackInuse float64 `json:"stack_inuse"`
	Goroutines float64 `json:"goroutines"`
}

// hold measures what the server's memory grows by while a client holds idle
// connections.
func hold(ctx context.Context, k contender) (got sample, err error) {
	server, addr, err := k.start(ctx)
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	asks := k.peer
	if k.client != nil {
		asks = *k.client
	}
	return growth(ctx, server, asks.Command(append(k.ask, addr)...))
}

// growth measures what a server's memory grows by while a client holds something.
func growth(ctx context.Context, server *process.Server, argv []string) (got sample, err error) {
	before, less, err := settled(ctx, server)
	if err != nil {
		return got, err
	}
	var held struct{ Conns int }
	client, err := process.Start(ctx, argv, &held)
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	after, more, err := settled(ctx, server)
	return sample{
		server: float64(after.RSS) - float64(before.RSS),
		reads:  float64(after.Reads - before.Reads), writes: float64(after.Writes - before.Writes),
		heap: more.HeapAlloc - less.HeapAlloc, stack: more.StackInuse - less.StackInuse,
		goroutines: more.Goroutines - less.Goroutines,
	}, err
}

// settled has a server collect its garbage and reads what is left.
func settled(ctx context.Context, s *process.Server) (u process.Usage, m memory, err error) {
	if err := s.Ask(ctx, "gc", &m); err != nil {
		return u, m, err
	}
	u, err = s.Usage()
	return u, m, err
}
