// SPDX-License-Identifier: Apache-2.0 OR MIT

package hub

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/wire"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/mesh"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

// maxSubscription bounds the messages that wait in a subscription.
const maxSubscription = 256

// topicSubscriptions are the queues of a topic.
type topicSubscriptions struct {
	queues map[*subscription]struct{}
	checks checks
}

// subscription implements [core.Subscription].
type subscription struct {
	hub     *Hub
	topic   string
	queue   chan *core.TopicMessage // maxSubscription
	dropped atomic.Uint64
	ended   chan struct{}
	once    sync.Once
}

// checkTopic says why a topic's name cannot be used.
func (h *Hub) checkTopic(topic string) error {
	if topic == "" || len(topic) > rpc.DefaultLimits.Topic {
		return fmt.Errorf("topic %q: want 1 to %d bytes, have %d", wire.Text(topic, 64), rpc.DefaultLimits.Topic, len(topic))
	}
	if h.Allow != nil && !h.Allow(topic) {
		return fmt.Errorf("topic %q: not among those that the configuration allows", wire.Text(topic, 64))
	}
	return nil
}

// Subscribe implements [core.Topics].
func (h *Hub) Subscribe(topic string) (core.Subscription, error) {
	if err := h.checkTopic(topic); err != nil {
		return nil, err
	}
	s := &subscription{
		hub:   h,
		topic: topic,
		queue: make(chan *core.TopicMessage, maxSubscription),
		ended: make(chan struct{}),
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.router == nil {
		return nil, fmt.Errorf("pub/sub: %w", net.ErrClosed)
	}
	t := h.topics[topic]
	if t == nil {
		t = &topicSubscriptions{queues: make(map[*subscription]struct{}), checks: h.checksOf(topic)}
		h.topics[topic] = t
		h.announceLocked(topic, true)
		h.stepLocked(mesh.TopicJoined{Topic: topic})
	}
	t.queues[s] = struct{}{}
	return s, nil
}

// Next implements [core.Subscription].
func (s *subscription) Next(ctx context.Context) (*core.TopicMessage, error) {
	select {
	case m := <-s.queue:
		return m, nil
	default:
	}
	select {
	case m := <-s.queue:
		return m, nil
	case <-s.ended:
		return nil, fmt.Errorf("subscription of %q: %w", wire.Text(s.topic, 64), net.ErrClosed)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Dropped implements [core.Subscription].
func (s *subscription) Dropped() uint64 { return s.dropped.Load() }

func (s *subscription) end() { s.once.Do(func() { close(s.ended) }) }

// Close implements [core.Subscription].
func (s *subscription) Close() error {
	s.end()
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[s.topic]
	if t == nil {
		return nil
	}
	if _, ok := t.queues[s]; !ok {
		return nil
	}
	if delete(t.queues, s); len(t.queues) == 0 {
		delete(h.topics, s.topic)
		h.announceLocked(s.topic, false)
		h.stepLocked(mesh.TopicLeft{Topic: s.topic})
	}
	return nil
}

// hand gives a message to the subscriptions of its topic.
func (h *Hub) hand(m *core.TopicMessage) {
	t := h.topics[m.Topic]
	if t == nil {
		return
	}
	for s := range t.queues {
		select {
		case s.queue <- m:
		default:
			s.dropped.Add(1)
		}
	}
}

// Publish implements [core.Topics].
func (h *Hub) Publish(ctx context.Context, topic string, data []byte) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := h.checkTopic(topic); err != nil {
		return 0, err
	}
	if h.node == nil {
		return 0, fmt.Errorf("pub/sub: %w", net.ErrClosed)
	}
	m, err := h.Policy.New(h.node, topic, data, h.nextSeqno())
	if err != nil {
		return 0, err
	}
	if size := rpc.SizePublish(m.Raw); size > h.MaxMessage {
		return 0, fmt.Errorf("message of %d bytes, with what is around it; max_message allows %d: %w", size, h.MaxMessage, wire.ErrTooLarge)
	}
	id := h.name(m)
	shared := &core.TopicMessage{Topic: topic, Data: m.Data, ID: id, Seqno: m.Seqno, ReceivedFrom: h.self}
	if m.From != nil {
		shared.From = h.self
	}
	if err := h.checkOwn(ctx, shared); err != nil {
		return 0, err
	}
	if !h.seen.add(id) {
		return 0, fmt.Errorf("topic %q: the same message has been published already", wire.Text(topic, 64))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return 0, fmt.Errorf("pub/sub: %w", net.ErrClosed)
	}
	n := h.stepLocked(mesh.Published{Message: &mesh.Message{ID: id, Topic: topic, Raw: m.Raw, Author: shared.From}})
	h.hand(shared)
	return n, nil
}

// TopicNames implements [core.Topics].
func (h *Hub) TopicNames() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	names := make([]string, 0, len(h.topics))
	for name := range h.topics {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// TopicPeers implements [core.Topics].
func (h *Hub) TopicPeers(topic string) []core.TopicPeer {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []core.TopicPeer
	if h.router == nil {
		return nil
	}
	now := time.Now()
	for id, r := range h.remotes {
		topics, meshes := h.router.TopicsOf(id)
		if topic != "" && !slices.Contains(topics, topic) {
			continue
		}
		list = append(list, core.TopicPeer{
			Peer: id, Protocol: r.protocol.ID, Topics: topics, Mesh: meshes, Score: h.router.Score(id, now),
		})
	}
	slices.SortFunc(list, func(a, b core.TopicPeer) int { return cmp.Compare(a.Peer, b.Peer) })
	return list
}

// Size is how much the hub remembers of peers, by what it is.
func (h *Hub) Size() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	size := h.router.Size()
	size["queues"] = len(h.remotes)
	if h.gater != nil {
		size["gated peers"], size["gated sources"] = h.gater.Size()
	}
	return size
}
