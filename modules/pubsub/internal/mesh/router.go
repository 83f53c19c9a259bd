// SPDX-License-Identifier: Apache-2.0 OR MIT

package mesh

import (
	"math/rand/v2"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/score"
)

// MaxTopicsPerPeer bounds the topics that a peer may be subscribed to. What it
// says beyond is left out and held against it.
const MaxTopicsPerPeer = 10_000

// Settings are what a router is made of.
type Settings struct {
	Params *Params
	// Board judges peers; with nil all have a score of zero.
	Board *score.Board
	// Rand is where chance comes from.
	Rand *rand.Rand
	// Seen reports whether a message has arrived before.
	Seen func(id []byte) bool
	// Record is the signed record of a peer that others may be told of, or nil.
	Record func(peer.ID) []byte
	// Direct are the peers that always get every message.
	Direct []peer.ID
	// Partial are the parameters of partial messages; nil if that extension is
	// not spoken.
	Partial *PartialParams
}

// Router is the state of gossipsub in a node.
type Router struct {
	Settings
	peers  map[peer.ID]*member
	topics map[string]*topic // those that the node or a peer is in, or published to
	joined []*topic          // those that the node is in, by name
	fanout []*topic          // those that it publishes to without being in, by name
	cache  *cache
	// promised are the IDs that peers have promised, and how many did.
	promised map[string]int
	partials map[string]*partialTopic // those of which the node handles partial messages
	// arriving are the messages that have arrived and are neither accepted nor
	// refused yet, by their IDs, and who else has sent them, maxHave.
	arriving map[string][]peer.ID
	ticks    int // heartbeats so far

	dirty []*member // who have control messages waiting
	out   []Action
}

// New returns a router that has seen nothing.
func New(s Settings) *Router {
	return &Router{
		Settings: s,
		peers:    make(map[peer.ID]*member),
		topics:   make(map[string]*topic),
		promised: make(map[string]int),
		partials: make(map[string]*partialTopic),
		arriving: make(map[string][]peer.ID),
		cache:    newCache(s.Params.HistoryGossip, s.Params.HistoryLength),
	}
}

// Step takes an event and returns what is to be done about it. The result is
// valid until the next step.
func (r *Router) Step(e Event, now time.Time) []Action {
	clear(r.out)
	r.out = r.out[:0]
	switch e := e.(type) {
	case Accepted:
		r.accepted(e, now)
	case Arrived:
		r.arrived(e, now)
	case Duplicate:
		r.duplicate(e, now)
	case Published:
		r.published(e.Message, now)
	case Controlled:
		r.controlled(e, now)
	case Heartbeat:
		r.heartbeat(now)
	case Joined:
		r.peerJoined(e)
	case Left:
		r.peerLeft(e.Peer)
	case Restarted:
		r.restarted(e.Peer)
	case Subscribed:
		r.subscribed(e)
	case Rejected:
		r.rejected(e)
	case Ignored:
		delete(r.arriving, e.ID)
		if r.Board != nil && e.ID != "" {
			r.Board.Ignore(e.ID)
		}
		r.fulfil(e.ID)
	case Misbehaved:
		r.penalize(e.Peer, e.Count)
	case PartialArrived:
		r.partialArrived(e)
	case PartialPublished:
		r.partialPublished(e, now)
	case PartialHandled:
		r.partialHandled(e)
	case TopicJoined:
		r.topicJoined(e.Topic, now)
	case TopicLeft:
		r.topicLeft(e.Topic, now)
	}
	for _, m := range r.dirty {
		r.out = append(r.out, Send{m.id, m.pending})
		m.pending = nil
	}
	clear(r.dirty)
	r.dirty = r.dirty[:0]
	return r.out
}

// control are the control messages for a peer that leave at the end of the step.
func (r *Router) control(m *member) *rpc.Control {
	if m.pending == nil {
		m.pending = new(rpc.Control)
		r.dirty = append(r.dirty, m)
	}
	return m.pending
}

func (r *Router) score(m *member, now time.Time) float64 { return r.Score(m.id, now) }

// Score is the score of a peer.
func (r *Router) Score(p peer.ID, now time.Time) float64 {
	if r.Board == nil {
		return 0
	}
	return r.Board.Score(p, now)
}

// threshold is one of the board's; without a board nobody is below one.
func (r *Router) below(m *member, now time.Time, threshold func(*score.Params) *float64) bool {
	return r.Board != nil && r.score(m, now) < *threshold(r.Board.Params())
}

func gossipThreshold(p *score.Params) *float64  { return p.Gossip }
func publishThreshold(p *score.Params) *float64 { return p.Publish }
func pxThreshold(p *score.Params) *float64      { return p.AcceptPX }

// Graylisted reports whether all that a peer sends is to be ignored.
func (r *Router) Graylisted(p peer.ID, now time.Time) bool {
	m := r.peers[p]
	return m != nil && !m.direct && r.Board != nil && r.score(m, now) < *r.Board.Params().Graylist
}

// Always reports whether a peer is direct: it always gets every message, and is
// always listened to.
func (r *Router) Always(p peer.ID) bool {
	m := r.peers[p]
	return m != nil && m.direct
}

func (r *Router) penalize(p peer.ID, n int) {
	if r.Board != nil && n > 0 {
		r.Board.Penalize(p, n)
	}
}

// Size is how much the router remembers, by what it is.
func (r *Router) Size() map[string]int {
	size := map[string]int{
		"peers": len(r.peers), "topics": len(r.topics) - len(r.joined), "own topics": len(r.joined),
		"promised messages": len(r.promised), "arriving messages": len(r.arriving), "cached messages": len(r.cache.messages), "cached bytes": r.cache.bytes,
	}
	for _, m := range r.peers {
		size["unwanted messages"] += len(m.unwanted)
	}
	for _, t := range r.topics {
		size["back-offs"] += len(t.backoff)
		size["members"] += len(t.members) + len(t.always) + len(t.mesh) + len(t.fanout)
	}
	for _, p := range r.partials {
		size["groups"] += len(p.groups)
	}
	if r.Board != nil {
		size["judged peers"], _, size["judged messages"] = r.Board.Size()
	}
	return size
}
