// SPDX-License-Identifier: Apache-2.0 OR MIT

package hub

import (
	"errors"
	"fmt"
	"net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/mesh"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

// partialTopic is a topic whose partial messages are handled.
type partialTopic struct {
	requests bool
	handler  core.PartialHandler
}

// HandlePartial implements [core.PartialTopics].
func (h *Hub) HandlePartial(topic string, requests bool, handler core.PartialHandler) (stop func(), err error) {
	if err := h.checkTopic(topic); err != nil {
		return nil, err
	}
	if h.Partial == nil {
		return nil, errors.New(`partial messages are not spoken: add "partial_messages": {} to the configuration of gossipsub`)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.router == nil {
		return nil, fmt.Errorf("pub/sub: %w", net.ErrClosed)
	}
	if h.partials[topic] != nil {
		return nil, fmt.Errorf("topic %q: something else handles its partial messages", wire.Text(topic, 64))
	}
	p := &partialTopic{requests, handler}
	h.partials[topic] = p
	h.changePartialLocked(topic)
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.partials[topic] == p {
			delete(h.partials, topic)
			h.changePartialLocked(topic)
		}
	}, nil
}

// changePartialLocked tells the router, and peers if the node is in the topic.
func (h *Hub) changePartialLocked(topic string) {
	p := h.partials[topic]
	h.stepLocked(mesh.PartialHandled{Topic: topic, On: p != nil, Requests: p != nil && p.requests})
	if h.topics[topic] != nil {
		h.announceLocked(topic, true)
	}
}

// subscriptionLocked is what peers are told about a topic.
func (h *Hub) subscriptionLocked(topic string, subscribe bool) rpc.Subscription {
	s := rpc.Subscription{Topic: topic, Subscribe: subscribe}
	if p := h.partials[topic]; p != nil && subscribe {
		s.RequestsPartial, s.SendsPartial = p.requests, true
	}
	return s
}

// PublishPartial implements [core.PartialTopics].
func (h *Hub) PublishPartial(topic string, group []byte, parts func(core.PartialPeer) core.PartialParts, to ...peer.ID) (int, error) {
	if most := rpc.DefaultLimits.ID; len(group) == 0 || len(group) > most {
		return 0, fmt.Errorf("group: want 1 to %d bytes, have %d", most, len(group))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed || h.router == nil:
		return 0, fmt.Errorf("pub/sub: %w", net.ErrClosed)
	case h.partials[topic] == nil:
		return 0, fmt.Errorf("topic %q: nothing handles its partial messages", wire.Text(topic, 64))
	}
	var tooLarge error
	n := h.stepLocked(mesh.PartialPublished{Topic: topic, Group: group, To: to, Parts: func(p core.PartialPeer) core.PartialParts {
		out := parts(p)
		if size := len(out.Data) + len(out.Metadata) + len(topic) + len(group) + 64; size > h.MaxMessage || len(out.Metadata) > rpc.DefaultLimits.Metadata {
			tooLarge = fmt.Errorf("partial message of %d bytes, with %d of metadata: %w", size, len(out.Metadata), wire.ErrTooLarge)
			return core.PartialParts{}
		}
		return out
	}})
	return n, tooLarge
}

// partial handles a partial message of a peer.
func (h *Hub) partial(from peer.ID, p *rpc.Partial) {
	handler := h.partialArrived(from, p)
	if handler == nil {
		return
	}
	v := h.askPartial(handler, &core.PartialMessage{
		Topic: p.Topic, Group: p.Group, Data: p.Message, Metadata: p.Metadata, From: from,
	})
	if v == core.TopicReject {
		h.step(mesh.Rejected{Peer: from, Topic: p.Topic, Reason: reasonFailed})
	}
}

// partialArrived returns what handles a partial message; nil if it is not to be
// handled.
func (h *Hub) partialArrived(from peer.ID, p *rpc.Partial) core.PartialHandler {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.handlePartial = false
	h.stepLocked(mesh.PartialArrived{Peer: from, Partial: p})
	if topic := h.partials[p.Topic]; topic != nil && h.handlePartial {
		return topic.handler
	}
	return nil
}

// askPartial asks a handler. Its panic is nobody's fault but its own.
func (h *Hub) askPartial(handler core.PartialHandler, m *core.PartialMessage) (v core.TopicVerdict) {
	defer h.recoverPartial(m.Topic, &v)
	return handler.ReceivePartial(m)
}

func (h *Hub) recoverPartial(topic string, v *core.TopicVerdict) {
	if p := recover(); p != nil {
		h.Log.Error("panic in what handles partial messages", "topic", wire.Text(topic, 64), "panic", fmt.Sprint(p))
		*v = core.TopicIgnore
	}
}

// gossipPartials tells handlers of the peers that should hear of a group.
func (h *Hub) gossipPartials() {
	h.mu.Lock()
	list := h.partialGossip
	h.partialGossip = nil
	handlers := make([]core.PartialHandler, len(list))
	for i, g := range list {
		if p := h.partials[g.Topic]; p != nil {
			handlers[i] = p.handler
		}
	}
	h.mu.Unlock()
	for i, g := range list {
		if handlers[i] != nil {
			h.gossipPartial(handlers[i], g)
		}
	}
}

func (h *Hub) gossipPartial(handler core.PartialHandler, g mesh.PartialGossip) {
	var v core.TopicVerdict
	defer h.recoverPartial(g.Topic, &v)
	handler.GossipPartial(g.Topic, []byte(g.Group), g.Peers)
}
