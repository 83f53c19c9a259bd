// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"flag"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/wire"
)

type idleResult struct {
	Conns   int     `json:"conns"`
	Seconds float64 `json:"seconds"`
}

// idleDials is how many connections are being made at a time.
const idleDials = 8

func idleCommand(flags *flag.FlagSet) body {
	conns := flags.Int("conns", 100, "connections to hold, each from an identity of its own")
	places := flags.Bool("places", false, "have a place at the target, a relay, over each connection")
	return func(ctx context.Context, in *invocation) error {
		if *conns < 1 {
			return usagef("--conns %d: want 1 or more", *conns)
		}
		l := load{count: *conns, parallel: idleDials}
		if err := l.check(); err != nil {
			return err
		}
		h, err := in.dialers()
		if err != nil {
			return err
		}
		defer h.close()
		if err := h.keep(ctx, *conns); err != nil {
			return err
		}
		setup, cancel := in.withTimeout(ctx)
		defer cancel()
		watch := startWatch()
		if err := h.holdAll(setup, l); err != nil {
			return fmt.Errorf("idle: %w", err)
		}
		if *places {
			if err := h.reserveAll(setup); err != nil {
				return fmt.Errorf("idle: %w", err)
			}
		}
		in.out.emit(idleResult{Conns: *conns, Seconds: watch.seconds()})
		in.serve(ctx, nil, nil, nil)
		return nil
	}
}

// holdAll connects every node to the target, identify included, and leaves the
// connections open.
func (h *dialers) holdAll(ctx context.Context, l load) error {
	var next atomic.Int64
	_, err := l.run(ctx, func(int) (time.Duration, error) {
		_, took, err := h.reach(ctx, h.nodes[next.Add(1)-1])
		return took, err
	})
	if err == nil {
		err = l.first
	}
	if err != nil {
		return err
	}
	for i, n := range h.nodes {
		if len(n.ConnsTo(h.target.ID)) == 0 {
			return fmt.Errorf("connection %d of %d went away", i+1, len(h.nodes))
		}
	}
	return nil
}

// hopID is the protocol of those who want something from a relay.
const hopID = "/libp2p/circuit/relay/0.2.0/hop"

// reserveAll asks the target for a place over every connection.
func (h *dialers) reserveAll(ctx context.Context) error {
	for i, n := range h.nodes {
		if err := reserve(ctx, n.ConnsTo(h.target.ID)[0]); err != nil {
			return fmt.Errorf("place %d of %d: %w", i+1, len(h.nodes), err)
		}
	}
	return nil
}

// reserve asks the relay at the other end for a place.
func reserve(ctx context.Context, c core.Conn) error {
	const request, answer, statusField, ok = "\x08\x00", 4096, 5, 100
	s, err := c.NewStream(ctx, hopID)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := wire.WriteMessage(s, []byte(request)); err != nil {
		return err
	}
	b, err := wire.ReadMessage(s, answer)
	if err != nil {
		return err
	}
	status := uint64(0)
	for f, err := range wire.Fields(b) {
		if err == nil && f.Num == statusField {
			status, err = f.Uint64()
		}
		if err != nil {
			return err
		}
	}
	if status != ok {
		return fmt.Errorf("status %d", status)
	}
	return nil
}
