// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"fmt"

	"github.com/xnode-p2p/xnode/interop/internal/peers"
	"github.com/xnode-p2p/xnode/interop/internal/process"
)

// The rows of rendezvous: one peer is the point, the other one asks it; what either
// kind registers there the other finds.

// rust is the name of the peer whose nodes read legacy records only.
const rust = "rust"

// meeting is a rendezvous point, and the kinds that meet there.
type meeting struct {
	m           *matrix
	addr        string
	client, own peers.Peer
}

// rendezvousOperations are what is done at a point, in their order.
func rendezvousOperations() []struct {
	name string
	run  func(context.Context, *meeting) error
} {
	return []struct {
		name string
		run  func(context.Context, *meeting) error
	}{
		{"register", func(ctx context.Context, w *meeting) error { return w.register(ctx, w.client, "one", 71) }},
		{"discover", func(ctx context.Context, w *meeting) error { return w.find(ctx, w.client, "one", 71) }},
		{"discovered by xnode", func(ctx context.Context, w *meeting) error { return w.find(ctx, w.own, "one", 71) }},
		{"discover xnode", func(ctx context.Context, w *meeting) error {
			if err := w.register(ctx, w.own, "two", 72); err != nil {
				return err
			}
			return w.find(ctx, w.client, "two", 72)
		}},
		{"another namespace is empty", func(ctx context.Context, w *meeting) error {
			return w.find(ctx, w.client, "three", 0)
		}},
	}
}

// identities are the peer IDs of the seeds, as every peer makes them.
var identities = map[int]string{
	71: "12D3KooWF8Bci5R5dm4G7AorZQFUTXBxQh8gbTy479gY574LW5mX",
	72: "12D3KooWBMUU1tML2Nb8JN3bV1VSZTiujHRXT6CfBnd1LABSkUU5",
}

// ask runs a command of rendezvous.
func (w *meeting) ask(ctx context.Context, p peers.Peer, seed int, result any, words ...string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, w.m.timeout, fmt.Errorf("no end within %v", w.m.timeout))
	defer cancel()
	words = append([]string{"rendezvous", w.addr}, words...)
	if seed != 0 {
		words = append(words, "--seed", fmt.Sprint(seed))
	}
	if err := process.Run(ctx, p.Command(append(words, dhtStack.Flags()...)...), result); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	return nil
}

// register has a peer with the identity of a seed register.
func (w *meeting) register(ctx context.Context, p peers.Peer, namespace string, seed int) error {
	words := []string{"register", namespace}
	if p.Name == peers.Xnode && w.client.Name == rust {
		words = append(words, "--legacy-records")
	}
	var got struct{ TTL int }
	if err := w.ask(ctx, p, seed, &got, words...); err != nil {
		return err
	}
	if got.TTL != 7200 {
		return fmt.Errorf("registered for %d seconds, want 7200", got.TTL)
	}
	return nil
}

// find wants a peer to find the one of a seed, and nobody else; with seed zero, nobody.
func (w *meeting) find(ctx context.Context, p peers.Peer, namespace string, seed int) error {
	var got struct {
		Peers []struct {
			Peer  string
			Addrs []string
		}
	}
	if err := w.ask(ctx, p, 0, &got, "discover", namespace); err != nil {
		return err
	}
	if seed == 0 {
		if len(got.Peers) > 0 {
			return fmt.Errorf("%s finds %v, want nobody", p.Name, got.Peers)
		}
		return nil
	}
	if len(got.Peers) != 1 || got.Peers[0].Peer != identities[seed] || len(got.Peers[0].Addrs) == 0 {
		return fmt.Errorf("%s finds %v, want %s", p.Name, got.Peers, identities[seed])
	}
	return nil
}

// fillRendezvous runs the operations of one row.
func (m *matrix) fillRendezvous(ctx context.Context, r *row) {
	var ready struct{ Addrs []string }
	server, err := process.Start(ctx, r.server.Command(append([]string{"listen", "--rendezvous", "server"}, dhtStack.Flags()...)...), &ready)
	if err == nil && len(ready.Addrs) == 0 {
		err = fmt.Errorf("the server has no address")
	}
	for _, op := range rendezvousOperations() {
		c := cell{Operation: op.name, Known: knownReason(r, op.name)}
		c.fill(func() error {
			if err != nil {
				return fmt.Errorf("server: %w", err)
			}
			return op.run(ctx, &meeting{m, ready.Addrs[0], r.client, r.own})
		})
		r.Cells = append(r.Cells, c)
	}
	if server == nil {
		return
	}
	if err := server.Close(); err != nil && ctx.Err() == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		fmt.Fprintf(m.log, "%s: %v\n", r.Server, err)
	}
}
