// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/xnode-p2p/xnode/interop/internal/peers"
)

// dhtNetwork is a DHT of peers of several kinds, all servers. Each of them was
// told of one other only, so that what it finds it finds through others.
type dhtNetwork struct {
	kinds  []peers.Peer
	prefix string
	each   int // nodes of a kind

	once  sync.Once
	cells map[[2]string][]cell // of the client's and the server's kind
}

// networkNodes is how many nodes of a kind there are.
const networkNodes = 3

// networks returns the networks to run: the first peer and every two of the others.
func networks(all []peers.Peer) (found []*dhtNetwork) {
	for i, second := range all[1:] {
		for _, third := range all[i+2:] {
			w := &dhtNetwork{kinds: []peers.Peer{all[0], second, third}, each: networkNodes}
			if w.prefix = peers.CommonDHT(w.kinds...); w.prefix != "" {
				found = append(found, w)
			}
		}
	}
	return found
}

// String says what the network is made of.
func (w *dhtNetwork) String() string {
	var names []string
	for _, p := range w.kinds {
		names = append(names, fmt.Sprintf("%d %s", w.each, p.Name))
	}
	return "dht of " + strings.Join(names, ", ")
}

// rows are one for each ordered pair of kinds.
func (w *dhtNetwork) rows() (rows []*row) {
	for _, client := range w.kinds {
		for _, server := range w.kinds {
			rows = append(rows, &row{
				Suite: suiteNetwork, Server: server.Name, Client: client.Name, Stack: dhtStack,
				server: server, client: client, network: w,
			})
		}
	}
	return rows
}

// networkOperation is something that nodes of one kind leave and those of
// another one find.
type networkOperation struct {
	name  string
	leave func(context.Context, *dhtNode) error
	find  func(ctx context.Context, finder, other *dhtNode) error
}

// networkOperations are those that a DHT of a prefix can do.
func networkOperations(prefix string) []networkOperation {
	return slices.DeleteFunc([]networkOperation{
		{"find-peer", nil, func(ctx context.Context, finder, other *dhtNode) error { return finder.findPeer(ctx, other) }},
		{opValue,
			func(ctx context.Context, n *dhtNode) error {
				_, err := n.dht(ctx, "put", "/example/"+n.id, n.kind)
				return err
			},
			func(ctx context.Context, finder, other *dhtNode) error {
				return finder.findValue(ctx, "/example/"+other.id, other.kind)
			},
		},
		{"providers",
			func(ctx context.Context, n *dhtNode) error {
				_, err := n.dht(ctx, "provide", "pie-of-"+n.id)
				return err
			},
			func(ctx context.Context, finder, other *dhtNode) error {
				return finder.findProvider(ctx, other, "pie-of-"+other.id)
			},
		},
	}, func(op networkOperation) bool { return op.name == opValue && prefix == peers.LocalDHT })
}

// fillNetwork fills in a row of a network, which is run for the first of its rows.
func (m *matrix) fillNetwork(ctx context.Context, r *row) {
	r.network.once.Do(func() { r.network.cells = m.runNetwork(ctx, r.network) })
	for _, c := range r.network.cells[[2]string{r.Client, r.Server}] {
		c.Known = knownReason(r, c.Operation)
		r.Cells = append(r.Cells, c)
	}
}

func (m *matrix) runNetwork(ctx context.Context, w *dhtNetwork) map[[2]string][]cell {
	nodes, err := w.start(ctx)
	defer m.closeAll(ctx, nodes)
	cells := make(map[[2]string][]cell)
	for _, op := range networkOperations(w.prefix) {
		left := make(map[*dhtNode]error)
		for _, n := range nodes {
			if op.leave != nil {
				left[n] = m.eventually(ctx, false, func() error { return op.leave(ctx, n) })
			}
		}
		for _, client := range w.kinds {
			for _, server := range w.kinds {
				c := cell{Operation: op.name}
				c.fill(func() error {
					if err != nil {
						return err
					}
					return m.findAll(ctx, op, nodes, client.Name, server.Name, left)
				})
				pair := [2]string{client.Name, server.Name}
				cells[pair] = append(cells[pair], c)
			}
		}
	}
	return cells
}

// findAll wants all nodes of one kind to find what all of another kind left.
func (m *matrix) findAll(ctx context.Context, op networkOperation, nodes []*dhtNode, finder, leaver string, left map[*dhtNode]error) error {
	for _, n := range nodes {
		for _, other := range nodes {
			if n.kind != finder || other.kind != leaver || n == other {
				continue
			}
			if left[other] != nil {
				return left[other]
			}
			if err := m.eventually(ctx, false, func() error { return op.find(ctx, n, other) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// start starts the nodes as a tree, the kinds in turn.
func (w *dhtNetwork) start(ctx context.Context) (nodes []*dhtNode, err error) {
	for i := range w.each * len(w.kinds) {
		var parent []string
		if i > 0 {
			parent = []string{nodes[(i-1)/2].target()}
		}
		n, err := startDHT(ctx, w.kinds[i%len(w.kinds)], "server", w.prefix, parent)
		if err != nil {
			return nodes, err
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}
