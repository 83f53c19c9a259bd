// SPDX-License-Identifier: Apache-2.0 OR MIT

package hub

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/mesh"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

const (
	// writeTimeout is how long a peer may take nothing before its stream ends.
	writeTimeout = 30 * time.Second
	// maxTries is how often a stream to a peer is opened that keeps ending.
	maxTries = 4
	// firstRetry is how long after its end it is opened again; the time doubles.
	firstRetry = time.Second
)

// remote is a peer that speaks one of the hub's protocols.
type remote struct {
	id       peer.ID
	protocol Protocol
	queue    *queue
	stop     context.CancelFunc

	inbound core.Stream // the latest of its streams; nil if it has none
}

// meet begins pub/sub with the peer of a connection, if it speaks it.
func (h *Hub) meet(c core.Conn) {
	if c.Stat().Limited {
		return
	}
	spoken := h.node.PeerProtocols(c.RemotePeer())
	for _, p := range h.Protocols {
		if slices.Contains(spoken, p.ID) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.joinLocked(c, p)
			return
		}
	}
}

// joinLocked returns the remote of a connection's peer, and makes it if there is
// none. It is nil if the hub is closing.
func (h *Hub) joinLocked(c core.Conn, p Protocol) *remote {
	id := c.RemotePeer()
	if r := h.remotes[id]; r != nil || h.closed {
		return r
	}
	ctx, cancel := context.WithCancel(h.ctx)
	r := &remote{id: id, protocol: p, queue: newQueue(), stop: cancel}
	h.remotes[id] = r
	ip, _ := peer.IP(c.RemoteMultiaddr())
	if board := h.router.Board; board != nil {
		board.Join(id, ip)
	}
	if h.gater != nil {
		h.gater.Join(id, ip)
	}
	h.stepLocked(mesh.Joined{Peer: id, Version: p.Version, Outbound: c.Stat().Direction == core.Outbound})
	h.wg.Go(func() { h.send(ctx, r) })
	return r
}

// part ends pub/sub with a peer.
func (h *Hub) part(p peer.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.remotes[p]; r != nil {
		h.partLocked(r)
	}
}

func (h *Hub) partLocked(r *remote) {
	r.stop()
	delete(h.remotes, r.id)
	h.stepLocked(mesh.Left{Peer: r.id})
	if board := h.router.Board; board != nil {
		board.Leave(r.id, time.Now())
	}
	if h.gater != nil {
		h.gater.Leave(r.id, time.Now())
	}
}

// send sends a peer what is queued for it, until it is gone or its streams keep
// ending.
func (h *Hub) send(ctx context.Context, r *remote) {
	wait := firstRetry
	for range maxTries {
		opened := time.Now()
		if err := h.sendStream(ctx, r); ctx.Err() != nil {
			return
		} else if errors.Is(err, core.ErrNotConnected) {
			break
		} else {
			h.Log.Debug("stream of pub/sub ended", "peer", r.id, "error", err)
		}
		if time.Since(opened) > time.Minute {
			wait = firstRetry
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
			wait *= 2
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.remotes[r.id] == r {
		h.partLocked(r)
	}
}

// sendStream opens a stream to a peer and sends on it. It begins with which
// topics the node is in.
func (h *Hub) sendStream(ctx context.Context, r *remote) error {
	ids := make([]string, len(h.Protocols))
	for i, p := range h.Protocols {
		ids[i] = p.ID
	}
	s, err := h.node.NewStream(core.NoDial(ctx), r.id, ids...)
	if err != nil {
		return err
	}
	defer s.Reset(core.StreamNoError)
	defer context.AfterFunc(ctx, func() { s.Reset(core.StreamNoError) })()
	buf := h.hello(r)
	for {
		if len(buf) > 0 {
			if err := s.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
				return err
			}
			if _, err := s.Write(buf); err != nil {
				return err
			}
		}
		if cap(buf) > 2*writeSize {
			buf = nil // of a large message: not kept
		}
		if buf, err = r.queue.take(ctx, buf); err != nil {
			return err
		}
	}
}

// hello is the first frame for a peer. What was queued before the stream was
// open is in it, or comes behind it.
func (h *Hub) hello(r *remote) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	var fields []byte
	if r.protocol.Version >= mesh.V13 {
		var entries []byte
		for entry := range (&rpc.Control{Extensions: new(rpc.Extensions)}).Entries {
			entries = append(entries, entry...)
		}
		fields = rpc.AppendControl(fields, entries)
	}
	for topic := range h.topics {
		fields = rpc.AppendSubscription(fields, rpc.Subscription{Topic: topic, Subscribe: true})
	}
	r.queue.mu.Lock()
	r.queue.first = append(fields, r.queue.first...)
	r.queue.mu.Unlock()
	return r.queue.drain(nil)
}

// announce tells all peers of a change of subscription.
func (h *Hub) announceLocked(topic string, subscribe bool) {
	field := rpc.AppendSubscription(nil, rpc.Subscription{Topic: topic, Subscribe: subscribe})
	for _, r := range h.remotes {
		r.queue.fields(field)
	}
}
