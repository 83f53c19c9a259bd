// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package score judges peers by what they do in pub/sub: the parameters P1 to
// P7 of gossipsub 1.1
// (https://github.com/libp2p/specs/blob/master/pubsub/gossipsub/gossipsub-v1.1.md).
// It knows no clock and no network: who uses it says what happens, and when.
package score

import (
	"net/netip"
	"slices"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	// remember is how long a message is followed after its first arrival, to
	// see who else delivers it.
	remember = 2 * time.Minute
	// maxRetained bounds how many peers that have left are remembered.
	maxRetained = 10_000
)

// Board has the scores. The zero value is not usable: see [New].
type Board struct {
	params    *Params
	given     map[peer.ID]float64 // P5
	peers     map[peer.ID]*stats  // one each peer that is here, and maxRetained
	retained  []peer.ID           // who have left, the longest gone first
	ips       map[netip.Addr]int  // how many peers have the address
	messages  map[string]*message // what arrived within remember
	order     []arrival           // of messages, the oldest first
	nextDecay time.Time
}

// stats are the counters of a peer.
type stats struct {
	here      bool
	until     time.Time // when the peer is forgotten, if it is not here
	topics    map[string]*topicStats
	ips       []netip.Addr
	behaviour float64
}

// topicStats are the counters of a peer in a topic.
type topicStats struct {
	inMesh   bool
	active   bool // long enough in the mesh for P3
	grafted  time.Time
	meshTime time.Duration
	first    float64 // P2
	mesh     float64 // P3
	failures float64 // P3b
	invalid  float64 // P4
}

// message is one that has arrived.
type message struct {
	verdict   verdict
	arrived   time.Time
	validated time.Time
	peers     []peer.ID // who delivered it while it was being validated
}

type verdict uint8

const (
	pending verdict = iota
	valid
	invalid
	ignored
)

type arrival struct {
	id string
	at time.Time
}

// New returns a board for parameters that have been provisioned and validated.
func New(p *Params) *Board {
	b := &Board{
		params:   p,
		given:    make(map[peer.ID]float64),
		peers:    make(map[peer.ID]*stats),
		ips:      make(map[netip.Addr]int),
		messages: make(map[string]*message),
	}
	for text, v := range p.Peers {
		if id, err := peer.Decode(text); err == nil {
			b.given[id] = v
		}
	}
	return b
}

// Params are what the board judges by.
func (b *Board) Params() *Params { return b.params }

// Join begins to judge a peer with IP addresses, or goes on from what is
// remembered of it.
func (b *Board) Join(p peer.ID, ips ...netip.Addr) {
	s := b.peers[p]
	if s == nil {
		s = &stats{topics: make(map[string]*topicStats)}
		b.peers[p] = s
	} else if !s.here {
		b.retained = slices.DeleteFunc(b.retained, func(q peer.ID) bool { return q == p })
	}
	s.here = true
	b.setIPs(s, ips)
}

// setIPs replaces the addresses of a peer.
func (b *Board) setIPs(s *stats, ips []netip.Addr) {
	for _, ip := range s.ips {
		if b.ips[ip]--; b.ips[ip] <= 0 {
			delete(b.ips, ip)
		}
	}
	s.ips = s.ips[:0]
	for _, ip := range ips {
		if ip = ip.Unmap(); ip.IsValid() && !slices.Contains(s.ips, ip) {
			s.ips = append(s.ips, ip)
			b.ips[ip]++
		}
	}
}

// Leave ends the judgement of a peer. A score that is not positive is
// remembered, so that nobody gets rid of it by coming back.
func (b *Board) Leave(p peer.ID, now time.Time) {
	s := b.peers[p]
	if s == nil || !s.here {
		return
	}
	score := b.Score(p, now)
	b.setIPs(s, nil)
	s.here = false
	if score > 0 || len(s.topics) == 0 && s.behaviour == 0 {
		delete(b.peers, p)
		return
	}
	for name, t := range s.topics {
		b.leaveMesh(name, t)
		t.first = 0
	}
	s.until = now.Add(time.Duration(b.params.Retain))
	b.retained = append(b.retained, p)
	for len(b.retained) > maxRetained {
		delete(b.peers, b.retained[0])
		b.retained = b.retained[1:]
	}
}

// Graft notes that a peer has come into the mesh of a topic.
func (b *Board) Graft(p peer.ID, topic string, now time.Time) {
	if t := b.topic(p, topic); t != nil {
		t.inMesh, t.active, t.grafted, t.meshTime = true, false, now, 0
	}
}

// Prune notes that a peer has left the mesh of a topic.
func (b *Board) Prune(p peer.ID, topic string) {
	if t := b.topic(p, topic); t != nil {
		b.leaveMesh(topic, t)
	}
}

func (b *Board) leaveMesh(name string, t *topicStats) {
	params := b.params.Topics[name]
	if t.inMesh && t.active && t.mesh < params.MeshDeliveriesThreshold {
		deficit := params.MeshDeliveriesThreshold - t.mesh
		t.failures += deficit * deficit
	}
	t.inMesh, t.active, t.meshTime = false, false, 0
}

// Penalize adds to the counter of what a peer did against the protocol (P7).
func (b *Board) Penalize(p peer.ID, n int) {
	if s := b.peers[p]; s != nil {
		s.behaviour += float64(n)
	}
}

// topic are the counters of a peer in a topic; nil if they do not count.
func (b *Board) topic(p peer.ID, topic string) *topicStats {
	s := b.peers[p]
	if s == nil || b.params.Topics[topic] == nil {
		return nil
	}
	t := s.topics[topic]
	if t == nil {
		t = new(topicStats)
		s.topics[topic] = t
	}
	return t
}

// Score is the score of a peer; zero if it is not known.
func (b *Board) Score(p peer.ID, now time.Time) float64 {
	s := b.peers[p]
	if s == nil {
		return b.given[p]
	}
	score := 0.0
	for name, t := range s.topics {
		score += *b.params.Topics[name].Weight * b.topicScore(b.params.Topics[name], t)
	}
	if limit := b.params.TopicCap; limit > 0 {
		score = min(score, limit)
	}
	score += b.given[p]
	score += b.params.IPColocationWeight * b.colocation(s)
	if over := s.behaviour - b.params.BehaviourThreshold; over > 0 {
		score += *b.params.BehaviourWeight * over * over
	}
	return score
}

func (*Board) topicScore(p *TopicParams, t *topicStats) float64 {
	score := 0.0
	if t.inMesh {
		quanta := float64(t.meshTime / time.Duration(p.TimeInMeshQuantum))
		score += p.TimeInMeshWeight * min(quanta, p.TimeInMeshCap)
	}
	score += p.FirstDeliveriesWeight * t.first
	if t.active && t.mesh < p.MeshDeliveriesThreshold {
		deficit := p.MeshDeliveriesThreshold - t.mesh
		score += p.MeshDeliveriesWeight * deficit * deficit
	}
	score += p.MeshFailureWeight * t.failures
	return score + *p.InvalidWeight*t.invalid*t.invalid
}

// colocation is how many peers too many share the addresses of a peer, squared.
func (b *Board) colocation(s *stats) float64 {
	sum := 0.0
	for _, ip := range s.ips {
		surplus := b.ips[ip] - b.params.IPColocationThreshold
		if surplus <= 0 || ip.IsLoopback() ||
			slices.ContainsFunc(b.params.allow, func(p netip.Prefix) bool { return p.Contains(ip) }) {
			continue
		}
		sum += float64(surplus) * float64(surplus)
	}
	return sum
}

// Size is how much the board remembers: peers, those of them that have left, and
// messages.
func (b *Board) Size() (peers, retained, messages int) {
	return len(b.peers), len(b.retained), len(b.messages)
}
