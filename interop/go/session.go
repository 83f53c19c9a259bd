// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
)

// session is a client node with one identified connection to the target.
type session struct {
	*node
	conn       network.Conn
	remote     peer.ID
	handshake  time.Duration // until the connection was up
	identified time.Duration // until the target had answered identify
	unwatch    func() bool
}

// clientPlan returns what a client of target is built from.
func (in *invocation) clientPlan(target peer.AddrInfo, s shape) (plan, error) {
	kinds, err := in.options.transportsFor(target.Addrs[0])
	if err != nil {
		return plan{}, err
	}
	key, err := in.options.identity()
	if err != nil {
		return plan{}, err
	}
	network, err := in.options.network()
	if err != nil {
		return plan{}, err
	}
	return plan{shape: s, key: key, kinds: kinds, security: in.options.security, network: network, relay: relayFlags{dials: isRelayed(target.Addrs[0])}}, nil
}

// open starts a full host, dials the target and waits until it is identified. When ctx ends, the
// host closes, which ends every read and write on its streams.
func (in *invocation) open(ctx context.Context) (*session, error) {
	target, err := in.target()
	if err != nil {
		return nil, err
	}
	p, err := in.clientPlan(target, full)
	if err != nil {
		return nil, err
	}
	n, err := p.start()
	if err != nil {
		return nil, err
	}
	s, err := n.dial(ctx, target)
	if err != nil {
		n.Close()
		return nil, err
	}
	return s, nil
}

func (n *node) dial(ctx context.Context, target peer.AddrInfo) (*session, error) {
	n.Peerstore().AddAddrs(target.ID, target.Addrs, peerstore.PermanentAddrTTL)
	start := time.Now()
	conn, err := n.Network().DialPeer(ctx, target.ID)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", target.Addrs[0], err)
	}
	s := &session{node: n, conn: conn, remote: target.ID, handshake: time.Since(start)}
	select {
	case <-n.ids.IdentifyWait(conn):
	case <-ctx.Done():
		return nil, fmt.Errorf("identify %s: %w", target.Addrs[0], ctx.Err())
	}
	s.identified = time.Since(start)
	s.unwatch = context.AfterFunc(ctx, func() { _ = n.Close() })
	return s, nil
}

func (s *session) Close() error {
	s.unwatch()
	return s.node.Close()
}
