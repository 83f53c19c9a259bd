// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
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
	withIdentify := flags.Bool("identify", false, "dial from a full host and wait until the target is identified; without it a bare swarm dials")
	fresh := flags.Bool("fresh", false, "a new node with a new identity for every dial (its making counts as CPU, not as latency)")
	return func(ctx context.Context, in *invocation) error {
		if err := l.check(); err != nil {
			return err
		}
		target, err := in.target()
		if err != nil {
			return err
		}
		h := &handshaker{target: target, keyType: in.options.keyType}
		if !*withIdentify {
			h.plan.shape = bare
		}
		if h.plan, err = in.clientPlan(target, h.plan.shape); err != nil {
			return err
		}
		defer h.close()
		one := h.freshly
		if !*fresh {
			if err := h.keep(l.parallel); err != nil {
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

// handshaker dials one target over and over. A swarm merges concurrent dials to one peer into one
// connection, so each worker has a node of its own: the first with the identity of the command
// line, the others with random ones of the same type.
type handshaker struct {
	target  peer.AddrInfo
	plan    plan
	keyType string
	nodes   []*node
}

func (h *handshaker) keep(workers int) error {
	for w := range workers {
		n, err := h.node(w > 0)
		if err != nil {
			return err
		}
		h.nodes = append(h.nodes, n)
	}
	return nil
}

func (h *handshaker) node(newIdentity bool) (*node, error) {
	p := h.plan
	if newIdentity {
		var err error
		if p.key, err = randomIdentity(h.keyType); err != nil {
			return nil, err
		}
	}
	return p.start()
}

func (h *handshaker) close() {
	for _, n := range h.nodes {
		_ = n.Close()
	}
}

func (h *handshaker) again(ctx context.Context, worker int) (time.Duration, error) {
	return h.nodes[worker].handshake(ctx, h.target)
}

func (h *handshaker) freshly(ctx context.Context, _ int) (time.Duration, error) {
	n, err := h.node(true)
	if err != nil {
		return 0, err
	}
	took, err := n.handshake(ctx, h.target)
	return took, errors.Join(err, n.Close())
}

// handshake reaches the target and disconnects. A TLS client is done before its last message has
// reached the server, and TCP connections are closed by reset: without identify, a server may see
// about one TLS handshake in a hundred break off at that message.
func (n *node) handshake(ctx context.Context, target peer.AddrInfo) (time.Duration, error) {
	conn, took, err := n.reach(ctx, target)
	if err != nil {
		return 0, err
	}
	return took, conn.Close()
}

// reach dials the target and waits for identify when the node has it. What an earlier dial left of
// the target, its other addresses and its back-off, is forgotten first.
func (n *node) reach(ctx context.Context, target peer.AddrInfo) (network.Conn, time.Duration, error) {
	store := n.Peerstore()
	store.ClearAddrs(target.ID)
	store.RemovePeer(target.ID)
	store.AddAddrs(target.ID, target.Addrs, peerstore.PermanentAddrTTL)
	n.swarm.Backoff().Clear(target.ID)
	start := time.Now()
	conn, err := n.swarm.DialPeer(ctx, target.ID)
	if err != nil {
		return nil, 0, err
	}
	if n.ids != nil {
		select {
		case <-n.ids.IdentifyWait(conn):
		case <-ctx.Done():
			return nil, 0, errors.Join(ctx.Err(), conn.Close())
		}
		if known, err := store.GetProtocols(target.ID); err != nil || len(known) == 0 {
			return nil, 0, errors.Join(errors.New("the target was not identified"), err, conn.Close())
		}
	}
	return conn, time.Since(start), nil
}
