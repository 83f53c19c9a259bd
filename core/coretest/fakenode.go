// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
)

// FakeNode is a [core.Node] without sockets, handshakes and limits, for tests
// of services. It reaches the other nodes of its group and nobody else.
type FakeNode struct {
	*Identity
	*fakeEvents
	*fakePeers
	core.ShareTable

	addr  ma.Multiaddr
	group map[peer.ID]*FakeNode

	dialMu sync.Mutex // held while a connection is made

	mu       sync.Mutex
	handlers []*registration
	conns    []*fakeConn
	errs     []error
	modules  []any
	announce []*[]ma.Multiaddr
	suggest  []*[]ma.Multiaddr
	open     []ma.Multiaddr // where probes get through
	tags     map[peer.ID]map[string]int
	names    map[string][]ma.Multiaddr
}

// FakeNodes returns a group of n nodes, with the identities of [NewIdentity] 1
// to n and the addresses /memory/1 to /memory/n. They connect when one asks for
// a stream or for [FakeNode.Connect]. The test's end closes them.
func FakeNodes(t testing.TB, n int) []*FakeNode {
	t.Helper()
	group := make(map[peer.ID]*FakeNode, n)
	list := make([]*FakeNode, 0, n)
	for i := range n {
		node := &FakeNode{
			Identity:   NewIdentity(uint64(i + 1)),
			fakeEvents: new(fakeEvents),
			fakePeers:  newFakePeers(),
			addr:       memnet.Addr(i + 1).Multiaddr(),
			group:      group,
			tags:       make(map[peer.ID]map[string]int),
		}
		group[node.ID()] = node
		list = append(list, node)
		t.Cleanup(node.close)
	}
	return list
}

// FakePair starts s on the second of two nodes, which answers the first. The
// test's end closes s and the nodes.
func FakePair(t testing.TB, s core.Service) (client, server *FakeNode) {
	t.Helper()
	n := FakeNodes(t, 2)
	if err := s.Start(t.Context(), n[1]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return n[0], n[1]
}

// Connect implements [core.Dialer].
func (n *FakeNode) Connect(ctx context.Context, p peer.AddrInfo) (core.Conn, error) {
	c, err := n.connect(ctx, p.ID, false)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// ConnectLimited connects as through a relay; see [core.ErrLimited].
func (n *FakeNode) ConnectLimited(ctx context.Context, p peer.ID) (core.Conn, error) {
	c, err := n.connect(ctx, p, true)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// NewStream implements [core.Streams].
func (n *FakeNode) NewStream(ctx context.Context, p peer.ID, protocols ...string) (core.Stream, error) {
	c, err := n.connect(ctx, p, false)
	if err != nil {
		return nil, err
	}
	return c.NewStream(ctx, protocols...)
}

func (n *FakeNode) connect(ctx context.Context, p peer.ID, limited bool) (*fakeConn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n.dialMu.Lock()
	defer n.dialMu.Unlock()
	if c := n.connTo(p); c != nil {
		return c, nil
	}
	remote := n.group[p]
	var cause error
	switch {
	case p == n.ID():
		cause = core.ErrSelf
	case core.DialForbidden(ctx):
		return nil, core.ErrNotConnected
	case remote == nil:
		cause = core.ErrNoAddrs
	}
	if cause != nil {
		return nil, &core.DialError{Record: &core.DialRecord{Peer: p}, Cause: cause}
	}
	out, in := newConns(n, remote, limited)
	n.connected(out)
	remote.connected(in)
	return out, nil
}

func (n *FakeNode) connTo(p peer.ID) *fakeConn {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns {
		if c.remote.ID() == p {
			return c
		}
	}
	return nil
}

func (n *FakeNode) connected(c *fakeConn) {
	first := n.connTo(c.remote.ID()) == nil
	n.mu.Lock()
	n.conns = append(n.conns, c)
	n.mu.Unlock()
	n.Emit(core.Connected{Conn: c, First: first})
	n.Emit(core.Identified{Conn: c, ObservedAddr: n.addr})
}

func (n *FakeNode) disconnected(c *fakeConn) {
	n.mu.Lock()
	n.conns = slices.DeleteFunc(n.conns, func(o *fakeConn) bool { return o == c })
	n.mu.Unlock()
	n.Emit(core.Disconnected{Conn: c, Last: n.connTo(c.remote.ID()) == nil})
}

// handled notes how a handler ended.
func (n *FakeNode) handled(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.errs = append(n.errs, err)
}

// HandlerErrors returns what the handlers that have ended returned, in order.
func (n *FakeNode) HandlerErrors() []error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.errs)
}

// Protocols returns the protocols that are served, sorted.
func (n *FakeNode) Protocols() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var list []string
	for _, r := range n.handlers {
		list = append(list, r.protocol)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (n *FakeNode) close() {
	for _, c := range n.Conns() {
		c.Close()
	}
	n.mu.Lock()
	handlers := slices.Clone(n.handlers)
	n.mu.Unlock()
	for _, r := range handlers {
		r.remove()
	}
}

// String names the node in messages of tests.
func (n *FakeNode) String() string { return fmt.Sprintf("node %s (%s)", n.addr, n.ID().Short()) }

var _ core.Node = (*FakeNode)(nil)
