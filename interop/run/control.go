// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/peers"
)

// The rows of control messages: two clients are in a topic with a server of this
// project, whose mesh has room for one of them. It prunes the other, gossips with
// it and answers what that asks for. What it sees with either is in its trace.

// seen are the control messages, and the events of the trace of which one shows
// that they have passed between the two.
var seen = []struct {
	name  string
	kinds []string
}{
	{"graft", []string{"graft", "graft_sent"}},
	{"prune", []string{"prune", "prune_sent"}},
	{"ihave", []string{"ihave_sent"}},
	{"iwant", []string{"iwant"}},
	{"idontwant", []string{"idontwant", "idontwant_sent"}},
}

// longText makes a message of which peers tell that they need it no more.
var longText = strings.Repeat("x", 4<<10)

// fillControl runs a row of control messages.
func (m *matrix) fillControl(ctx context.Context, r *row) {
	begun := time.Now()
	missing, err := m.watchControl(ctx, r)
	for _, s := range seen {
		c := cell{Operation: s.name, Known: knownReason(r, s.name), Seconds: time.Since(begun).Seconds() / float64(len(seen))}
		switch {
		case err != nil:
			c.Error = err.Error()
		case slices.Contains(missing, s.name):
			c.Error = fmt.Sprintf("none of %s in the trace", strings.Join(s.kinds, ", "))
		default:
			c.OK = true
		}
		r.Cells = append(r.Cells, c)
	}
}

// watchControl has the clients of a row publish until all control messages have
// been seen, and returns those that have not been in time.
func (m *matrix) watchControl(ctx context.Context, r *row) (missing []string, err error) {
	var nodes []*topicNode
	defer func() { m.closeTopic(ctx, nodes) }()
	for i, p := range r.members {
		var others, flags []string
		if i == 0 {
			flags = []string{"--mesh", "1"}
		} else {
			others = []string{nodes[0].addr}
		}
		n, err := startTopic(ctx, p, peers.Gossipsub, others, flags...)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		if err := n.meet(ctx, 1); err != nil {
			return nil, err
		}
	}
	for begun := time.Now(); ; {
		for i, n := range nodes[1:] {
			if _, err := n.ask(ctx, fmt.Sprintf("publish %d of %d %s", time.Since(begun), i, longText)); err != nil {
				return nil, err
			}
		}
		if err := pause(ctx, time.Second); err != nil { // a heartbeat
			return nil, err
		}
		a, err := nodes[0].ask(ctx, "messages")
		if err != nil {
			return nil, err
		}
		if missing = unseen(a, nodes[1:]); len(missing) == 0 || time.Since(begun) > deliverTime {
			return missing, nil
		}
	}
}

// unseen are the control messages of which there is none in a trace with nodes.
func unseen(a topicAnswer, nodes []*topicNode) (missing []string) {
	for _, s := range seen {
		if !slices.ContainsFunc(nodes, func(n *topicNode) bool {
			return slices.ContainsFunc(s.kinds, func(kind string) bool { return a.Control[n.id][kind] > 0 })
		}) {
			missing = append(missing, s.name)
		}
	}
	return missing
}

// controlRows are those of this project's peer with each that speaks gossipsub.
func controlRows(all []peers.Peer) (rows []*row) {
	own := all[0]
	for _, p := range all {
		if slices.Contains(peers.CommonPubSub(own, p), peers.Gossipsub) {
			rows = append(rows, &row{
				Suite: suiteControl, Server: own.Name, Client: p.Name, Stack: dhtStack, server: own, client: p,
				members: []peers.Peer{own, p, p},
			})
		}
	}
	return rows
}
