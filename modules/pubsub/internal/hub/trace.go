// SPDX-License-Identifier: Apache-2.0 OR MIT

package hub

import (
	"context"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/mesh"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

// maxTraced bounds the events that wait for who follows them.
const maxTraced = 1024

// tracer follows what happens.
type tracer struct {
	queue  chan core.TopicEvent // maxTraced
	missed atomic.Int64
}

// TraceTopics implements [core.Topics].
func (h *Hub) TraceTopics(ctx context.Context) iter.Seq[core.TopicEvent] {
	return func(yield func(core.TopicEvent) bool) {
		t := &tracer{queue: make(chan core.TopicEvent, maxTraced)}
		h.mu.Lock()
		h.tracers = append(h.tracers, t)
		h.mu.Unlock()
		defer func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.tracers = slices.DeleteFunc(h.tracers, func(o *tracer) bool { return o == t })
		}()
		for {
			select {
			case <-ctx.Done():
				return
			case <-h.ctx.Done():
				return
			case e := <-t.queue:
				e.Missed = int(t.missed.Swap(0))
				if !yield(e) {
					return
				}
			}
		}
	}
}

// trace tells of what happened. Without anybody who follows it costs nothing.
func (h *Hub) trace(kind core.TopicEventKind, p peer.ID, topic string, ids ...string) {
	if len(h.tracers) > 0 {
		h.follow(core.TopicEvent{Time: time.Now(), Kind: kind, Peer: p, Topic: topic, IDs: ids})
	}
}

// traceRefused tells of a message that goes no further.
func (h *Hub) traceRefused(kind core.TopicEventKind, p peer.ID, topic, id, reason string) {
	if len(h.tracers) > 0 {
		h.follow(core.TopicEvent{Time: time.Now(), Kind: kind, Peer: p, Topic: topic, IDs: []string{id}, Reason: reason})
	}
}

func (h *Hub) follow(e core.TopicEvent) {
	for _, t := range h.tracers {
		select {
		case t.queue <- e:
		default:
			t.missed.Add(1)
		}
	}
}

// traceEvent tells of an event that the router was told of.
func (h *Hub) traceEvent(e mesh.Event) {
	if len(h.tracers) == 0 {
		return
	}
	switch e := e.(type) {
	case mesh.Joined:
		h.trace(core.TopicPeerJoined, e.Peer, "")
	case mesh.Left:
		h.trace(core.TopicPeerLeft, e.Peer, "")
	case mesh.Subscribed:
		for _, s := range e.Subscriptions {
			kind := core.TopicUnsubscribed
			if s.Subscribe {
				kind = core.TopicSubscribed
			}
			h.trace(kind, e.Peer, s.Topic)
		}
	case mesh.TopicJoined:
		h.trace(core.TopicSubscribed, h.self, e.Topic)
	case mesh.TopicLeft:
		h.trace(core.TopicUnsubscribed, h.self, e.Topic)
	case mesh.Published:
		h.trace(core.TopicPublished, h.self, e.Message.Topic, e.Message.ID)
	case mesh.Accepted:
		h.trace(core.TopicDelivered, e.Peer, e.Message.Topic, e.Message.ID)
	case mesh.Duplicate:
		h.trace(core.TopicDuplicate, e.Peer, e.Topic, e.ID)
	case mesh.Rejected:
		h.traceRefused(core.TopicRejected, e.Peer, e.Topic, e.ID, e.Reason)
	case mesh.Ignored:
		h.traceRefused(core.TopicIgnored, e.Peer, e.Topic, e.ID, e.Reason)
	case mesh.PartialArrived:
		h.trace(core.TopicPartialReceived, e.Peer, e.Partial.Topic, string(e.Partial.Group))
	case mesh.Controlled:
		h.traceControl(e.Peer, e.Control, &received)
	}
}

// traceAction tells of what the router did.
func (h *Hub) traceAction(a mesh.Action) {
	if len(h.tracers) == 0 {
		return
	}
	switch a := a.(type) {
	case mesh.Grafted:
		h.trace(core.TopicGrafted, a.Peer, a.Topic)
	case mesh.Pruned:
		h.trace(core.TopicPruned, a.Peer, a.Topic)
	case mesh.SendPartial:
		h.trace(core.TopicPartialSent, a.Peer, a.Partial.Topic, string(a.Partial.Group))
	case mesh.Send:
		h.traceControl(a.Peer, a.Control, &sent)
	}
}

// controlKinds are the kinds of event that control messages are.
type controlKinds struct{ graft, prune, ihave, iwant, idontwant core.TopicEventKind }

var (
	received = controlKinds{core.TopicGraftReceived, core.TopicPruneReceived, core.TopicIHaveReceived, core.TopicIWantReceived, core.TopicIDontWantHeard}
	sent     = controlKinds{core.TopicGraftSent, core.TopicPruneSent, core.TopicIHaveSent, core.TopicIWantSent, core.TopicIDontWantSent}
)

func (h *Hub) traceControl(p peer.ID, c *rpc.Control, kinds *controlKinds) {
	if len(h.tracers) == 0 {
		return
	}
	for _, topic := range c.Graft {
		h.trace(kinds.graft, p, topic)
	}
	for i := range c.Prune {
		h.trace(kinds.prune, p, c.Prune[i].Topic)
	}
	for _, i := range c.IHave {
		h.trace(kinds.ihave, p, i.Topic, stringsOf(i.IDs)...)
	}
	if len(c.IWant) > 0 {
		h.trace(kinds.iwant, p, "", stringsOf(c.IWant)...)
	}
	if len(c.IDontWant) > 0 {
		h.trace(kinds.idontwant, p, "", stringsOf(c.IDontWant)...)
	}
}

func stringsOf(list [][]byte) []string {
	out := make([]string, len(list))
	for i, b := range list {
		out[i] = string(b)
	}
	return out
}
