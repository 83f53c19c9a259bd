// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"context"
	"errors"
	"slices"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// SetAddr says where the node is, as it and its peers see it. It is to be called
// before the node has connections.
func (n *FakeNode) SetAddr(a ma.Multiaddr) { n.addr = a }

// SetOpen says at which addresses probes of others reach the node.
func (n *FakeNode) SetOpen(addrs ...ma.Multiaddr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open = addrs
}

// Probe implements [core.Prober]. It gets through to the addresses of
// [FakeNode.SetOpen].
func (n *FakeNode) Probe(ctx context.Context, p peer.ID, a ma.Multiaddr) (core.Probe, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	remote := n.group[p]
	if remote == nil || !remote.isOpen(a) {
		return nil, errors.New("probe: nobody answers")
	}
	key, err := peer.GenerateKey(peer.Ed25519, nil)
	if err != nil {
		return nil, err
	}
	alias := &FakeNode{
		Identity:   IdentityOf(key),
		fakeEvents: new(fakeEvents),
		fakePeers:  newFakePeers(),
		addr:       n.addr,
		group:      n.group,
		tags:       make(map[peer.ID]map[string]int),
	}
	out, in := newConns(alias, remote, false)
	in.at = a
	alias.connected(out)
	remote.connected(in)
	return fakeProbe{out}, nil
}

// CanProbe implements [core.Prober]: all addresses can be tried.
func (n *FakeNode) CanProbe(p peer.ID, _ ma.Multiaddr) error { return p.Validate() }

func (n *FakeNode) isOpen(a ma.Multiaddr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.ContainsFunc(n.open, a.Equal)
}

// fakeProbe is the dialling end of a probe.
type fakeProbe struct{ conn *fakeConn }

// OpenStream implements [core.Probe].
func (p fakeProbe) OpenStream(ctx context.Context, protocol string) (core.MuxedStream, error) {
	return p.conn.NewStream(ctx, protocol)
}

// Close implements [core.Probe].
func (p fakeProbe) Close() error { return p.conn.Close() }
