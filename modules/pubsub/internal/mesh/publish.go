// SPDX-License-Identifier: Apache-2.0 OR MIT

package mesh

import (
	"slices"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
)

// maxHave bounds the peers that are known to have a message which is not accepted
// yet.
const maxHave = 64

// arrived tells the mesh that a large message need not be sent again.
func (r *Router) arrived(e Arrived, now time.Time) {
	r.fulfil(e.ID)
	r.arriving[e.ID] = nil
	if r.Board != nil {
		r.Board.Arrive(e.ID, e.Topic, now)
	}
	t := r.topics[e.Topic]
	if t == nil || e.Size < int(r.Params.IDontWantThreshold) {
		return
	}
	partial := r.partials[e.Topic]
	for _, m := range t.mesh {
		if m.id != e.Peer && m.version >= V12 && !partial.sends(m, e.Topic) {
			c := r.control(m)
			c.IDontWant = append(c.IDontWant, []byte(e.ID))
		}
	}
}

// Spares reports whether who has sent a message of a topic need not get it. Where
// peers are judged by what they deliver to the mesh, and this node's are by those
// who do alike, a copy that comes too late to be of use is proof of good will.
func (r *Router) Spares(topic string) bool {
	if r.Board == nil {
		return true
	}
	p := r.Board.Params().Topics[topic]
	return p == nil || p.MeshDeliveriesWeight == 0
}

// fulfil notes that a message has come that somebody may have promised. All who
// did are free of it: whoever sends it first, the others need not.
func (r *Router) fulfil(id string) {
	if r.promised[id] == 0 {
		return
	}
	delete(r.promised, id)
	for _, m := range r.peers {
		delete(m.promises, id)
	}
}

// breakPromise forgets a promise of one peer.
func (r *Router) breakPromise(m *member, id string) {
	delete(m.promises, id)
	if r.promised[id]--; r.promised[id] <= 0 {
		delete(r.promised, id)
	}
}

func (r *Router) accepted(e Accepted, now time.Time) {
	have := r.arriving[e.Message.ID]
	delete(r.arriving, e.Message.ID)
	if r.Board != nil {
		r.Board.Accept(e.Peer, e.Message.ID, e.Message.Topic, now)
	}
	r.cache.put(e.Message)
	t := r.topics[e.Message.Topic]
	if t == nil {
		return
	}
	if !r.Spares(t.name) {
		have = nil
	}
	r.deliver(e.Message, append(have, e.Peer), t, t.mesh, now)
}

func (r *Router) rejected(e Rejected) {
	delete(r.arriving, e.ID)
	if r.Board != nil {
		r.Board.Reject(e.Peer, e.ID, e.Topic)
	}
	r.fulfil(e.ID)
}

func (r *Router) duplicate(e Duplicate, now time.Time) {
	if have, ok := r.arriving[e.ID]; ok && len(have) < maxHave {
		r.arriving[e.ID] = append(have, e.Peer)
	}
	if r.Board != nil {
		r.Board.Duplicate(e.Peer, e.ID, e.Topic, now)
	}
}

func (r *Router) published(message *Message, now time.Time) {
	r.cache.put(message)
	t := r.topic(message.Topic)
	switch {
	case *r.Params.FloodPublish:
		var list []*member
		for _, m := range t.members {
			if !m.always() && !r.below(m, now, publishThreshold) {
				list = append(list, m)
			}
		}
		r.deliver(message, nil, t, list, now)
	case t.joined:
		r.deliver(message, nil, t, t.mesh, now)
	default:
		r.deliver(message, nil, t, r.fanoutOf(t, now), now)
	}
	r.tidy(t)
}

// fanoutOf are the peers to which messages of a topic go that the node is not
// in.
func (r *Router) fanoutOf(t *topic, now time.Time) []*member {
	if t.published.IsZero() {
		r.fanout = insert(r.fanout, t)
	}
	t.published = now
	r.fillFanout(t, now)
	return t.fanout
}

// fillFanout keeps those that are good enough, and adds others up to D.
func (r *Router) fillFanout(t *topic, now time.Time) {
	t.fanout = slices.DeleteFunc(t.fanout, func(m *member) bool { return r.below(m, now, publishThreshold) })
	var list []*member
	for _, m := range t.members {
		if !m.always() && !slices.Contains(t.fanout, m) && !r.below(m, now, publishThreshold) {
			list = append(list, m)
		}
	}
	t.fanout = append(t.fanout, r.pick(list, r.Params.D-len(t.fanout))...)
}

// deliver sends a message to peers, and to those that get every message of the
// topic. It spares who has it, who wrote it, who does not want it and who wants
// its parts.
func (r *Router) deliver(message *Message, have []peer.ID, t *topic, to []*member, now time.Time) {
	ids := make([]peer.ID, 0, len(to)+len(t.always))
	partial := r.partials[t.name]
	add := func(m *member) {
		if m.id == message.Author || slices.Contains(have, m.id) || partial.wants(m, t.name) {
			return
		}
		if _, unwanted := m.unwanted[message.ID]; !unwanted {
			ids = append(ids, m.id)
		}
	}
	for _, m := range to {
		add(m)
	}
	for _, m := range t.always {
		if m.direct || !r.below(m, now, publishThreshold) {
			add(m)
		}
	}
	if len(ids) > 0 {
		r.out = append(r.out, Deliver{Peers: ids, Message: message})
	}
}
