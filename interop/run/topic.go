// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/peers"
	"github.com/xnode-p2p/xnode/interop/internal/process"
)

// The rows of pub/sub: all nodes are in one topic, each publishes, and each gets
// what every other one published, once. In those of a pair, two clients know
// only the server, which passes on what they publish.

const (
	// meetTime is how long nodes take at most to know that they are in the topic.
	meetTime = 30 * time.Second
	// deliverTime is how long messages take at most.
	deliverTime = 30 * time.Second
	// meshTime lets meshes form, at each node's next heartbeat.
	meshTime = 2500 * time.Millisecond
	// extraTime is how long is waited for messages that should not come.
	extraTime = time.Second
	// topicMessages is how many each node publishes.
	topicMessages = 3
)

// topicNode is a running peer in a topic.
type topicNode struct {
	*process.Server
	kind, id, addr string
}

// everybody stands for the peers of all kinds.
const everybody = "all"

// topicAnswer is what the peers answer to publish and messages.
type topicAnswer struct {
	Published int
	Messages  []struct{ Topic, From, Data string }
	Peers     int
	Control   map[string]map[string]int // by peer and kind, of this project's peer alone
}

// startTopic starts a peer in a topic that connects to others.
func startTopic(ctx context.Context, p peers.Peer, way string, others []string, flags ...string) (*topicNode, error) {
	words := append([]string{"listen", "--topic", "talk"}, flags...)
	if way == peers.Unsigned {
		words = append(words, "--pubsub", "gossipsub", "--unsigned")
	} else {
		words = append(words, "--pubsub", way)
	}
	if len(others) > 0 {
		words = append(words, "--connect", strings.Join(others, ","))
	}
	var ready struct {
		PeerID string `json:"peer_id"`
		Addrs  []string
	}
	server, err := process.Start(ctx, p.Command(append(words, dhtStack.Flags()...)...), &ready)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	n := &topicNode{Server: server, kind: p.Name, id: ready.PeerID}
	if len(ready.Addrs) == 0 {
		return nil, errors.Join(fmt.Errorf("%s: no address", p.Name), n.Close())
	}
	n.addr = ready.Addrs[0]
	return n, nil
}

func (n *topicNode) ask(ctx context.Context, line string) (a topicAnswer, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, deliverTime, errors.New("no answer"))
	defer cancel()
	if err := n.Ask(ctx, line, &a); err != nil {
		return a, fmt.Errorf("%s: %s: %w", n.kind, line, err)
	}
	return a, nil
}

// fillTopic runs a row of pub/sub.
func (m *matrix) fillTopic(ctx context.Context, r *row) {
	for _, way := range r.ways {
		c := cell{Operation: way, Known: knownReason(r, way)}
		c.fill(func() error { return m.talk(ctx, r.members, way, c.Known != "") })
		r.Cells = append(r.Cells, c)
	}
}

// talk starts nodes of the given kinds, each connected with one or two of those
// before it, and has all of them publish. What is known to fail is not waited for
// as long.
func (m *matrix) talk(ctx context.Context, kinds []peers.Peer, way string, known bool) error {
	var nodes []*topicNode
	defer func() { m.closeTopic(ctx, nodes) }()
	links := make([]int, len(kinds)) // of each node
	for i, p := range kinds {
		var others []string
		for _, j := range slices.Compact([]int{(i - 1) / 2, (i - 1) / 3}) {
			if i > 0 {
				others = append(others, nodes[j].addr)
				links[i]++
				links[j]++
			}
		}
		n, err := startTopic(ctx, p, way, others)
		if err != nil {
			return err
		}
		nodes = append(nodes, n)
	}
	for i, n := range nodes { // nothing that one misses comes again in floodsub
		if err := n.meet(ctx, links[i]); err != nil {
			return err
		}
	}
	if err := pause(ctx, meshTime); err != nil {
		return err
	}
	for i := range topicMessages {
		for _, n := range nodes {
			if _, err := n.ask(ctx, fmt.Sprintf("publish %d of %s", i, n.id)); err != nil {
				return err
			}
		}
	}
	limit := deliverTime
	if known {
		limit /= 10
	}
	want := topicMessages * (len(nodes) - 1)
	for _, n := range nodes {
		if err := n.receive(ctx, want, limit); err != nil {
			return err
		}
	}
	if err := pause(ctx, extraTime); err != nil {
		return err
	}
	for _, n := range nodes {
		if err := n.check(ctx, nodes, way); err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// until asks for messages until the answer is good.
func (n *topicNode) until(ctx context.Context, limit time.Duration, good func(topicAnswer) error) error {
	for begun := time.Now(); ; {
		a, err := n.ask(ctx, "messages")
		if err != nil {
			return err
		}
		if err = good(a); err == nil {
			return nil
		}
		if time.Since(begun) > limit {
			return fmt.Errorf("%s: %w", n.kind, err)
		}
		if err := pause(ctx, retryTime); err != nil {
			return err
		}
	}
}

// meet waits until a node knows of as many others in the topic.
func (n *topicNode) meet(ctx context.Context, want int) error {
	return n.until(ctx, meetTime, func(a topicAnswer) error {
		if a.Peers < want {
			return fmt.Errorf("knows of %d peers in the topic, and not of %d", a.Peers, want)
		}
		return nil
	})
}

// receive waits for as many messages.
func (n *topicNode) receive(ctx context.Context, want int, limit time.Duration) error {
	return n.until(ctx, limit, func(a topicAnswer) error {
		if len(a.Messages) < want {
			return fmt.Errorf("has %d of %d messages", len(a.Messages), want)
		}
		return nil
	})
}

// check wants every message of every other node, once.
func (n *topicNode) check(ctx context.Context, nodes []*topicNode, way string) error {
	a, err := n.ask(ctx, "messages")
	if err != nil {
		return err
	}
	got := map[string]int{}
	for _, m := range a.Messages {
		data, err := base64.StdEncoding.DecodeString(m.Data)
		if err != nil {
			return fmt.Errorf("%s: data %q: %w", n.kind, m.Data, err)
		}
		from := m.From
		if _, id, ok := strings.Cut(string(data), " of "); ok && way == peers.Unsigned && from == "" {
			from = id // nobody signs: the text says who it was
		}
		got[from+": "+string(data)]++
	}
	for _, other := range nodes {
		for i := range topicMessages {
			key := fmt.Sprintf("%s: %d of %s", other.id, i, other.id)
			want := 1
			if other == n {
				want = 0
			}
			if got[key] != want {
				return fmt.Errorf("%s got message %d of a %s node %d times, want %d", n.kind, i, other.kind, got[key], want)
			}
			delete(got, key)
		}
	}
	for key := range got {
		return fmt.Errorf("%s got %q, which nobody published", n.kind, key)
	}
	return nil
}

// closeTopic ends peers, and tells of those that end badly.
func (m *matrix) closeTopic(ctx context.Context, nodes []*topicNode) {
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(func() {
			if err := n.Close(); err != nil && ctx.Err() == nil {
				m.mu.Lock()
				defer m.mu.Unlock()
				fmt.Fprintf(m.log, "%s: %v\n", n.kind, err)
			}
		})
	}
	wg.Wait()
}

// topicRows are those of pairs, one of three nodes of every kind, and some that
// leave a kind out, for what those that are left can do together, and all cannot.
func topicRows(all []peers.Peer) (rows []*row) {
	add := func(server, client peers.Peer) {
		ways := peers.CommonPubSub(server, client)
		if len(ways) == 0 {
			return
		}
		rows = append(rows, &row{
			Suite: suiteTopic, Server: server.Name, Client: client.Name, Stack: dhtStack, server: server, client: client,
			members: []peers.Peer{server, client, client}, ways: ways,
		})
	}
	own := all[0]
	add(own, own)
	var kinds []peers.Peer
	for _, p := range all {
		if len(p.PubSub) > 0 {
			kinds = append(kinds, p)
		}
		if p.Name != own.Name {
			add(own, p)
			add(p, own)
		}
	}
	mix := func(name string, kinds []peers.Peer, ways []string) {
		if len(kinds) > 1 && len(ways) > 0 {
			rows = append(rows, &row{
				Suite: suiteMixed, Server: name, Client: own.Name, Stack: dhtStack, server: own, client: own,
				members: slices.Concat(kinds, kinds, kinds), ways: ways,
			})
		}
	}
	if len(kinds) > 1 {
		mix(everybody, kinds, peers.CommonPubSub(kinds...))
	}
	for _, name := range []string{"js", "py"} {
		others := slices.DeleteFunc(slices.Clone(kinds), func(p peers.Peer) bool { return p.Name == name })
		if len(others) < len(kinds) && len(others) > 1 {
			ways := slices.DeleteFunc(peers.CommonPubSub(others...), func(way string) bool { return way == peers.Gossipsub })
			mix(everybody+" but "+name, others, ways)
		}
	}
	return rows
}
