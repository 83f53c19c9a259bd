// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// session is a client node with one identified connection to the target.
type session struct {
	*node
	conn       core.Conn
	handshake  time.Duration // until the connection was up
	identified time.Duration // until the target had answered identify
	unwatch    func() bool
}

// clientBlueprint returns what a client of target is made of.
func (in *invocation) clientBlueprint(target peer.AddrInfo) (blueprint, error) {
	b, err := in.options.blueprint()
	if err != nil {
		return b, err
	}
	b.transports, err = in.options.transportsFor(target.Addrs[0])
	if relayed(target.Addrs[0]) {
		b.relay = json.RawMessage("{}")
	}
	return b, err
}

// open starts a node, dials the target and waits until it is identified. When
// ctx ends, the connection closes, which ends all reads and writes on it.
func (in *invocation) open(ctx context.Context) (*session, error) {
	target, err := in.target()
	if err != nil {
		return nil, err
	}
	b, err := in.clientBlueprint(target)
	if err != nil {
		return nil, err
	}
	n, err := b.start(ctx)
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
	start := time.Now()
	conn, err := n.Connect(ctx, target)
	if err != nil {
		return nil, err
	}
	s := &session{node: n, conn: conn, handshake: time.Since(start)}
	if err := n.WaitIdentified(ctx, conn); err != nil {
		return nil, fmt.Errorf("identify %s: %w", target.Addrs[0], err)
	}
	s.identified = time.Since(start)
	s.unwatch = context.AfterFunc(ctx, func() { conn.Close() })
	return s, nil
}

// Close ends the node and its connection.
func (s *session) Close() error {
	s.unwatch()
	return s.node.Close()
}
