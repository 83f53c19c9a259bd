// SPDX-License-Identifier: Apache-2.0 OR MIT

package score

import (
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
)

// maxDeliverers bounds who is remembered to have delivered a message while it
// was being validated.
const maxDeliverers = 64

// maxMessages bounds the messages that are followed. The oldest are left out
// when there are more.
const maxMessages = 100_000

// Arrive notes that a message has arrived for the first time, and is about to be
// validated.
func (b *Board) Arrive(id, topic string, now time.Time) {
	if b.params.Topics[topic] == nil || b.messages[id] != nil {
		return
	}
	b.messages[id] = &message{arrived: now}
	b.order = append(b.order, arrival{id, now})
	for len(b.order) > maxMessages {
		b.forget()
	}
}

// forget drops the oldest message.
func (b *Board) forget() {
	delete(b.messages, b.order[0].id)
	b.order = b.order[1:]
}

// Accept notes that a message that p delivered first is valid.
func (b *Board) Accept(p peer.ID, id, topic string, now time.Time) {
	b.first(p, topic)
	m := b.messages[id]
	if m == nil || m.verdict != pending {
		return
	}
	m.verdict, m.validated = valid, now
	for _, other := range m.peers {
		if other != p {
			b.delivered(other, topic)
		}
	}
	m.peers = nil
}

// Reject notes that a message that p delivered is not valid (P4).
func (b *Board) Reject(p peer.ID, id, topic string) {
	b.rejected(p, topic)
	m := b.messages[id]
	if m == nil || m.verdict != pending {
		return
	}
	m.verdict = invalid
	for _, other := range m.peers {
		if other != p {
			b.rejected(other, topic)
		}
	}
	m.peers = nil
}

// Ignore notes that a message is neither good nor bad.
func (b *Board) Ignore(id string) {
	if m := b.messages[id]; m != nil && m.verdict == pending {
		m.verdict, m.peers = ignored, nil
	}
}

// Duplicate notes that p delivered a message that had arrived before.
func (b *Board) Duplicate(p peer.ID, id, topic string, now time.Time) {
	m := b.messages[id]
	if m == nil {
		return
	}
	switch m.verdict {
	case pending:
		if len(m.peers) < maxDeliverers {
			m.peers = append(m.peers, p)
		}
	case valid:
		if now.Sub(m.validated) <= time.Duration(b.params.Topics[topic].MeshDeliveriesWindow) {
			b.delivered(p, topic)
		}
	case invalid:
		b.rejected(p, topic)
	}
}

// first counts for P2, and P3.
func (b *Board) first(p peer.ID, topic string) {
	t := b.topic(p, topic)
	if t == nil {
		return
	}
	t.first = min(t.first+1, b.params.Topics[topic].FirstDeliveriesCap)
	b.delivered(p, topic)
}

// delivered counts for P3.
func (b *Board) delivered(p peer.ID, topic string) {
	if t := b.topic(p, topic); t != nil && t.inMesh {
		t.mesh = min(t.mesh+1, b.params.Topics[topic].MeshDeliveriesCap)
	}
}

// rejected counts for P4.
func (b *Board) rejected(p peer.ID, topic string) {
	if t := b.topic(p, topic); t != nil {
		t.invalid++
	}
}

// Refresh lets counters decay, if it is time to, and forgets what is too old. It
// is called every heartbeat.
func (b *Board) Refresh(now time.Time) {
	for len(b.order) > 0 && now.Sub(b.order[0].at) > remember {
		b.forget()
	}
	for len(b.retained) > 0 && now.After(b.peers[b.retained[0]].until) {
		delete(b.peers, b.retained[0])
		b.retained = b.retained[1:]
	}
	if now.Before(b.nextDecay) {
		return
	}
	b.nextDecay = now.Add(time.Duration(b.params.DecayInterval))
	for _, s := range b.peers {
		if !s.here {
			continue // what is remembered of who has left stays as it is
		}
		b.decay(&s.behaviour, b.params.BehaviourDecay)
		for name, t := range s.topics {
			p := b.params.Topics[name]
			b.decay(&t.first, p.FirstDeliveriesDecay)
			b.decay(&t.mesh, p.MeshDeliveriesDecay)
			b.decay(&t.failures, p.MeshFailureDecay)
			b.decay(&t.invalid, p.InvalidDecay)
			if t.inMesh {
				t.meshTime = now.Sub(t.grafted)
				t.active = t.active || p.MeshDeliveriesWeight != 0 && t.meshTime > time.Duration(p.MeshDeliveriesActivation)
			}
		}
	}
}

func (b *Board) decay(v *float64, factor float64) {
	if *v *= factor; *v < b.params.DecayToZero {
		*v = 0
	}
}
