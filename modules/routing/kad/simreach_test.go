// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"context"
	"net"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// Suggest implements [core.Addrs].
func (*simNode) Suggest(...ma.Multiaddr) (withdraw func()) { return func() {} }

// Candidates implements [core.Addrs].
func (n *simNode) Candidates() []ma.Multiaddr { return n.Addrs() }

// Probe implements [core.Prober]: nobody here can be probed.
func (*simNode) Probe(context.Context, peer.ID, ma.Multiaddr) (core.Probe, error) {
	return nil, net.ErrClosed
}

// CanProbe implements [core.Prober].
func (*simNode) CanProbe(peer.ID, ma.Multiaddr) error { return net.ErrClosed }
