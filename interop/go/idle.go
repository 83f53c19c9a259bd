// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"flag"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

type idleResult struct {
	Conns   int     `json:"conns"`
	Seconds float64 `json:"seconds"`
}

// idleDials is how many connections are being made at a time.
const idleDials = 8

func idleCommand(flags *flag.FlagSet) body {
	conns := flags.Int("conns", 100, "connections to hold, each from an identity of its own")
	return func(ctx context.Context, in *invocation) error {
		l := load{count: *conns, parallel: idleDials}
		if *conns < 1 {
			return usagef("--conns %d: want 1 or more", *conns)
		}
		if err := l.check(); err != nil {
			return err
		}
		target, err := in.target()
		if err != nil {
			return err
		}
		h := &handshaker{target: target, keyType: in.options.keyType}
		if h.plan, err = in.clientPlan(target, identifying); err != nil {
			return err
		}
		defer h.close()
		if err := h.keep(*conns); err != nil {
			return err
		}
		setup, cancel := in.withTimeout(ctx)
		defer cancel()
		watch := startWatch()
		if err := h.holdAll(setup, l); err != nil {
			return fmt.Errorf("idle: %w", err)
		}
		in.out.emit(idleResult{Conns: *conns, Seconds: watch.seconds()})
		in.serve(ctx, nil, nil, nil, nil)
		return nil
	}
}

// holdAll connects every node to the target, identify included, and leaves the connections open.
func (h *handshaker) holdAll(ctx context.Context, l load) error {
	var next atomic.Int64
	_, err := l.run(ctx, func(int) (time.Duration, error) {
		_, took, err := h.nodes[next.Add(1)-1].reach(ctx, h.target)
		return took, err
	})
	if err == nil {
		err = l.first
	}
	if err != nil {
		return err
	}
	for i, n := range h.nodes {
		if n.Network().Connectedness(h.target.ID) != network.Connected {
			return fmt.Errorf("connection %d of %d went away", i+1, len(h.nodes))
		}
	}
	return nil
}
