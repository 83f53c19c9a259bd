// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/peers"
	"github.com/xnode-p2p/xnode/interop/internal/process"
)

// The DHT rows: one peer is the only server of a DHT, two clients of the other
// kind know nothing but it, and what one of them leaves the other finds.

const (
	// dhtTimeout bounds one operation, in the peers.
	dhtTimeout = 20 * time.Second
	// retryTime is between two tries.
	retryTime = 200 * time.Millisecond
)

// dhtStack is what the DHT rows run on.
var dhtStack = peers.Stack{Transport: "tcp", Security: "noise", Muxer: "yamux"}

// dhtNode is a running peer with a DHT.
type dhtNode struct {
	*process.Server
	kind  string
	id    string
	addrs []string // without /p2p
	url   string   // of its delegated routing, if it serves that
}

// dhtAnswer is what any operation of a DHT answers.
type dhtAnswer struct {
	Value     string
	Peer      string
	Addrs     []string
	Providers []struct {
		Peer  string
		Addrs []string
	}
}

// startDHT starts a peer with a DHT of a prefix that knows others.
func startDHT(ctx context.Context, p peers.Peer, mode, prefix string, others []string, words ...string) (*dhtNode, error) {
	words = append([]string{"--dht", mode, "--dht-prefix", prefix}, words...)
	if len(others) > 0 {
		words = append(words, "--connect", strings.Join(others, ","))
	}
	return startNode(ctx, p, words...)
}

// startNode starts a peer that takes operations of a DHT.
func startNode(ctx context.Context, p peers.Peer, words ...string) (*dhtNode, error) {
	words = append([]string{"listen", "--timeout", dhtTimeout.String()}, words...)
	var ready struct {
		PeerID    string `json:"peer_id"`
		Addrs     []string
		Delegated string
	}
	server, err := process.Start(ctx, p.Command(append(words, dhtStack.Flags()...)...), &ready)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	n := &dhtNode{Server: server, kind: p.Name, id: ready.PeerID, url: ready.Delegated}
	for _, a := range ready.Addrs {
		n.addrs = append(n.addrs, bare(a))
	}
	if len(n.addrs) == 0 {
		return nil, errors.Join(fmt.Errorf("%s: no address", p.Name), n.Close())
	}
	return n, nil
}

// target is an address of the node with its peer ID.
func (n *dhtNode) target() string { return n.addrs[0] + "/p2p/" + n.id }

// bare is an address without a peer ID.
func bare(addr string) string {
	addr, _, _ = strings.Cut(addr, "/p2p/")
	return addr
}

// dht runs one operation.
func (n *dhtNode) dht(ctx context.Context, words ...string) (dhtAnswer, error) {
	var a dhtAnswer
	// The peer's own bound comes first: a late answer would be taken for the next one.
	ctx, cancel := context.WithTimeout(ctx, 2*dhtTimeout)
	defer cancel()
	if err := n.Ask(ctx, "dht "+strings.Join(words, " "), &a); err != nil {
		return a, fmt.Errorf("%s: %s: %w", n.kind, strings.Join(words, " "), err)
	}
	return a, nil
}

// findPeer wants the node to find another one.
func (n *dhtNode) findPeer(ctx context.Context, other *dhtNode) error {
	a, err := n.dht(ctx, "find-peer", other.id)
	if err != nil {
		return err
	}
	return other.is(a.Peer, a.Addrs)
}

// is wants a peer that was found to be the node.
func (n *dhtNode) is(id string, addrs []string) error {
	if id != n.id {
		return fmt.Errorf("found %s instead of %s", id, n.id)
	}
	for _, a := range addrs {
		if slices.Contains(n.addrs, bare(a)) {
			return nil
		}
	}
	return fmt.Errorf("found at %q, but it is at %q", addrs, n.addrs)
}

// findProvider wants the node to find another one as a provider of a text.
func (n *dhtNode) findProvider(ctx context.Context, other *dhtNode, text string) error {
	a, err := n.dht(ctx, "find-providers", text)
	if err != nil {
		return err
	}
	for _, p := range a.Providers {
		if p.Peer == other.id {
			return other.is(p.Peer, p.Addrs)
		}
	}
	return fmt.Errorf("%s is none of %d providers", other.id, len(a.Providers))
}

// findValue wants the node to find a record.
func (n *dhtNode) findValue(ctx context.Context, key, want string) error {
	a, err := n.dht(ctx, "get", key)
	if err == nil && a.Value != want {
		err = fmt.Errorf("value %q, want %q", a.Value, want)
	}
	return err
}

// dhtOperation is something that one client leaves and the other finds.
type dhtOperation struct {
	name string
	run  func(ctx context.Context, from, to *dhtNode) error
}

// opValue is the operation with records of a namespace that the public DHT does
// not have, nor that of local networks which goes with it.
const opValue = "value"

// dhtOperations are those that a DHT of a prefix can do.
func dhtOperations(prefix string) []dhtOperation {
	return slices.DeleteFunc([]dhtOperation{
		{"find-peer", func(ctx context.Context, from, to *dhtNode) error { return to.findPeer(ctx, from) }},
		{opValue, func(ctx context.Context, from, to *dhtNode) error {
			if _, err := from.dht(ctx, "put", "/example/greeting", "hello"); err != nil {
				return err
			}
			return to.findValue(ctx, "/example/greeting", "hello")
		}},
		{"public-key", func(ctx context.Context, from, to *dhtNode) error {
			if _, err := from.dht(ctx, "put-pk"); err != nil {
				return err
			}
			a, err := to.dht(ctx, "get-pk", from.id)
			if err == nil && a.Peer != from.id {
				err = fmt.Errorf("key of %s, want that of %s", a.Peer, from.id)
			}
			return err
		}},
		{"providers", func(ctx context.Context, from, to *dhtNode) error {
			if _, err := from.dht(ctx, "provide", "cake"); err != nil {
				return err
			}
			return to.findProvider(ctx, from, "cake")
		}},
	}, func(op dhtOperation) bool { return op.name == opValue && prefix == peers.LocalDHT })
}

// fillDHT runs the operations of one DHT row.
func (m *matrix) fillDHT(ctx context.Context, r *row) {
	var nodes []*dhtNode
	prefix := peers.CommonDHT(r.server, r.client)
	start := func(p peers.Peer, mode string, words ...string) (err error) {
		var others []string // clients know the server, and not each other
		if len(nodes) > 0 {
			others = []string{nodes[0].target()}
		}
		n, err := startDHT(ctx, p, mode, prefix, others, words...)
		if err == nil {
			nodes = append(nodes, n)
		}
		return err
	}
	err := start(r.server, "server")
	// Only keys that are not in the peer ID have to be looked up.
	for _, words := range [][]string{{"--key-type", "rsa"}, nil} {
		if err == nil {
			err = start(r.client, "client", words...)
		}
	}
	defer m.closeAll(ctx, nodes)
	for _, op := range dhtOperations(prefix) {
		c := cell{Operation: op.name, Known: knownReason(r, op.name)}
		c.fill(func() error {
			if err != nil {
				return err
			}
			return m.eventually(ctx, c.Known != "", func() error { return op.run(ctx, nodes[1], nodes[2]) })
		})
		r.Cells = append(r.Cells, c)
	}
}

// fill sets the outcome of a cell.
func (c *cell) fill(run func() error) {
	begun := time.Now()
	if err := run(); err != nil {
		c.Error = err.Error()
	}
	c.OK, c.Seconds = c.Error == "", time.Since(begun).Seconds()
}

// eventually tries again for some time, a shorter one if it is known to fail:
// tables fill, and announcements of providers are taken, only some time after
// they were sent.
func (m *matrix) eventually(ctx context.Context, known bool, run func() error) error {
	limit := m.settle
	if known {
		limit /= 10
	}
	for begun := time.Now(); ; {
		err := run()
		if err == nil || time.Since(begun) > limit || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(retryTime):
		case <-ctx.Done():
		}
	}
}

// closeAll ends peers, and tells of those that end badly.
func (m *matrix) closeAll(ctx context.Context, nodes []*dhtNode) {
	for _, n := range nodes {
		if err := n.Close(); err != nil && ctx.Err() == nil {
			m.mu.Lock()
			fmt.Fprintf(m.log, "%s: %v\n", n.kind, err)
			m.mu.Unlock()
		}
	}
}
