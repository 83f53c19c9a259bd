// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/xnode-p2p/xnode/interop/internal/peers"
)

// The rows of delegated routing over HTTP: one peer serves it, and is of a DHT with
// a peer of this project; another, which knows nothing but the server's URL, finds
// what is in the DHT, and the other way round.

// delegatedOperations are what the client finds or leaves. Content it cannot
// announce: the protocol has nothing for that.
var delegatedOperations = []struct {
	name string
	run  func(ctx context.Context, other, client *dhtNode) error
}{
	{"find-peer", func(ctx context.Context, other, client *dhtNode) error { return client.findPeer(ctx, other) }},
	{"providers", func(ctx context.Context, other, client *dhtNode) error {
		if _, err := other.dht(ctx, "provide", "cake"); err != nil {
			return err
		}
		return client.findProvider(ctx, other, "cake")
	}},
	{"get-name", func(ctx context.Context, other, client *dhtNode) error { return passName(ctx, other, client) }},
	{"put-name", func(ctx context.Context, other, client *dhtNode) error { return passName(ctx, client, other) }},
}

// passName has one node publish what its name stands for, and another find out.
func passName(ctx context.Context, from, to *dhtNode) error {
	const text = "page"
	if _, err := from.dht(ctx, "put-name", text); err != nil {
		return err
	}
	a, err := to.dht(ctx, "get-name", from.id)
	if err != nil {
		return err
	}
	if want := "/ipfs/" + pageID; a.Value != want {
		err = fmt.Errorf("the name stands for %q, want %q", a.Value, want)
	}
	return err
}

// pageID is the CID of the text that passName publishes.
const pageID = "bafkreibwmayvvgxt34sv3dyzvmdx4r4xqivucsekbyvajpdk64jbhqrsoq"

// fillDelegated runs the operations of one row.
func (m *matrix) fillDelegated(ctx context.Context, r *row) {
	var nodes []*dhtNode
	add := func(n *dhtNode, err error) error {
		if err == nil {
			nodes = append(nodes, n)
		}
		return err
	}
	prefix := peers.CommonDHT(r.server, r.own)
	words := []string{}
	if r.server.Name == peers.Xnode {
		words = append(words, "--serve-delegated")
	}
	err := add(startDHT(ctx, r.server, "server", prefix, nil, words...))
	if err == nil && nodes[0].url == "" {
		err = errors.New("the server has no URL")
	}
	if err == nil {
		err = add(startDHT(ctx, r.own, "server", prefix, []string{nodes[0].target()}))
	}
	if err == nil {
		err = add(startNode(ctx, r.client, "--delegated", nodes[0].url))
	}
	defer m.closeAll(ctx, nodes)
	for _, op := range delegatedOperations {
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
