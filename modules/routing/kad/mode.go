// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// wantServer tells whether the DHT is to answer others.
func (d *dht) wantServer() bool {
	switch {
	case d.kad.Mode == modeClient:
		return false
	case d.kad.Mode == modeServer || d.scope == scopeLan:
		return true
	}
	switch core.Reachability(d.reach.Load()) {
	case core.ReachabilityPublic:
		return true
	case core.ReachabilityPrivate:
		return false
	}
	// Nobody has found out: a public address speaks for it.
	for _, a := range d.node.Addrs() {
		if peer.IsPublic(a) && !isRelayed(a) {
			return true
		}
	}
	return false
}

// setServer begins or ends to answer others. It waits for answers that are under
// way to end.
func (d *dht) setServer(server bool) {
	if d.server.Swap(server) == server {
		return
	}
	if server {
		d.removal = d.node.Handle(d.protocol, d.serve, core.HandleAtMost(d.kad.Streams))
		return
	}
	d.removal()
}
