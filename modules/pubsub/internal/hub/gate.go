// SPDX-License-Identifier: Apache-2.0 OR MIT

package hub

import (
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/mesh"
)

// admitLocked reports whether the gater lets messages of a peer through. Direct
// peers' always are.
func (h *Hub) admitLocked(p peer.ID) bool {
	return h.gater == nil || h.router.Always(p) || h.gater.Accept(p, time.Now())
}

// gateLocked tells the gater of an event.
func (h *Hub) gateLocked(e mesh.Event) {
	if h.gater == nil {
		return
	}
	switch e := e.(type) {
	case mesh.Arrived:
		h.gater.Validate()
	case mesh.Accepted:
		h.gater.Deliver(e.Peer, e.Message.Topic)
	case mesh.Duplicate:
		h.gater.Duplicate(e.Peer)
	case mesh.Rejected:
		h.gater.Reject(e.Peer)
	case mesh.Ignored:
		if e.Throttled {
			h.gater.Throttle(time.Now())
		} else {
			h.gater.Ignore(e.Peer)
		}
	case mesh.Heartbeat:
		h.gater.Refresh(time.Now())
	}
}
