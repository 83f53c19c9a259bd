// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

type handshakesResult struct {
	PerSecond float64 `json:"handshakes_per_second"`
	ClientCPU float64 `json:"client_cpu_seconds"`
	MedianMS  float64 `json:"latency_median_ms"`
	P99MS     float64 `json:"latency_p99_ms"`
	Errors    int     `json:"errors"`
}

func handshakesCommand(flags *flag.FlagSet) body {
	var l load
	l.define(flags, 100, 1)
	withIdentify := flags.Bool("identify", false, "dial from a full node and wait until the target is identified")
	fresh := flags.Bool("fresh", false, "a new node with a new identity for every dial (its making counts as CPU, not as latency)")
	return func(ctx context.Context, in *invocation) error {
		if err := l.check(); err != nil {
			return err
		}
		h, err := in.dialers()
		if err != nil {
			return err
		}
		defer h.close()
		h.plan.bare = !*withIdentify
		one := h.freshly
		if !*fresh {
			if err := h.keep(ctx, l.parallel); err != nil {
				return err
			}
			one = h.again
		}
		r, err := l.run(ctx, func(worker int) (time.Duration, error) { return one(ctx, worker) })
		if err != nil {
			return fmt.Errorf("handshakes: %w", err)
		}
		if l.first != nil {
			fmt.Fprintf(in.stderr, "handshakes: %d failed, the first: %v\n", r.Errors, l.first)
		}
		in.out.emit(handshakesResult(r))
		return nil
	}
}

// dialers dial one target over and over. A node merges concurrent dials to one
// peer into one connection, so each worker has a node of its own: the first
// with the identity of the command line, the others with random ones.
type dialers struct {
	target  peer.AddrInfo
	plan    blueprint
	keyType string
	nodes   []*node
}

func (in *invocation) dialers() (*dialers, error) {
	target, err := in.target()
	if err != nil {
		return nil, err
	}
	b, err := in.clientBlueprint(target)
	return &dialers{target: target, plan: b, keyType: in.options.keyType}, err
}

func (h *dialers) keep(ctx context.Context, workers int) error {
	for w := range workers {
		n, err := h.node(ctx, w > 0)
		if err != nil {
			return err
		}
		h.nodes = append(h.nodes, n)
	}
	return nil
}

func (h *dialers) node(ctx context.Context, newIdentity bool) (*node, error) {
	b := h.plan
	if newIdentity {
		var err error
		if b.key, err = randomIdentity(h.keyType); err != nil {
			return nil, err
		}
	}
	return b.start(ctx)
}

func (h *dialers) close() {
	for _, n := range h.nodes {
		_ = n.Close()
	}
}

func (h *dialers) again(ctx context.Context, worker int) (time.Duration, error) {
	return h.handshake(ctx, h.nodes[worker])
}

func (h *dialers) freshly(ctx context.Context, _ int) (time.Duration, error) {
	n, err := h.node(ctx, true)
	if err != nil {
		return 0, err
	}
	took, err := h.handshake(ctx, n)
	return took, errors.Join(err, n.Close())
}

// handshake reaches the target and disconnects.
func (h *dialers) handshake(ctx context.Context, n *node) (time.Duration, error) {
	conn, took, err := h.reach(ctx, n)
	if err != nil {
		return 0, err
	}
	return took, conn.Close()
}

// reach dials the target and waits for identify if the node has it.
func (h *dialers) reach(ctx context.Context, n *node) (core.Conn, time.Duration, error) {
	start := time.Now()
	conn, err := n.Connect(ctx, h.target)
	if err != nil {
		return nil, 0, err
	}
	if !h.plan.bare {
		if err := n.WaitIdentified(ctx, conn); err != nil {
			return nil, 0, errors.Join(err, conn.Close())
		}
	}
	return conn, time.Since(start), nil
}
