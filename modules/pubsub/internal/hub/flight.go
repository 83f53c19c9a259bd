// SPDX-License-Identifier: Apache-2.0 OR MIT

package hub

import (
	"bytes"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/mesh"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/message"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

// maxAlso bounds the peers whose copy of a message waits for what becomes of the
// first one. Further copies are verified like the first.
const maxAlso = 64

// flight is a message whose signature is being verified, for the first peer that
// sent it and for those that sent the same bytes meanwhile. Each goroutine that
// reads has one at most.
type flight struct {
	raw  []byte
	also []peer.ID // maxAlso
}

// boardLocked finds out whether a message that has not been seen is to be
// verified. It is not if it is the same as one that is being: what becomes of
// that one becomes of it. It returns nil if it is to be, and another one of the
// same ID is.
func (h *Hub) boardLocked(from peer.ID, id string, raw []byte) (f *flight, verify bool) {
	f = h.flights[id]
	switch {
	case f == nil:
		f = &flight{raw: raw}
		h.flights[id] = f
		return f, true
	case len(f.also) < maxAlso && bytes.Equal(f.raw, raw):
		f.also = append(f.also, from)
		return nil, false
	}
	return nil, true
}

// landLocked ends a flight, and tells the router of what was verified.
func (h *Hub) landLocked(f *flight, id string, from peer.ID, m *rpc.Message, err error, own bool) (arrived bool) {
	peers := []peer.ID{from}
	if f != nil {
		delete(h.flights, id)
		peers = append(peers, f.also...)
	}
	var outcome func(p peer.ID) mesh.Event
	switch {
	case err != nil:
		outcome = func(p peer.ID) mesh.Event { return mesh.Rejected{Peer: p, Topic: m.Topic, Reason: message.Reason(err)} }
	case own: // come back after it was forgotten
		outcome = func(p peer.ID) mesh.Event { return mesh.Ignored{Peer: p, ID: id, Topic: m.Topic, Reason: reasonSelf} }
	default:
		outcome = func(p peer.ID) mesh.Event { return mesh.Duplicate{Peer: p, ID: id, Topic: m.Topic} }
		// Only now, so that a forged message cannot stand in the way of the real one.
		if arrived = h.seen.add(id); arrived {
			h.stepLocked(mesh.Arrived{Peer: from, ID: id, Topic: m.Topic, Size: len(m.Raw)})
			peers = peers[1:]
		}
	}
	for _, p := range peers {
		h.stepLocked(outcome(p))
	}
	return arrived
}
