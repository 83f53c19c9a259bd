// SPDX-License-Identifier: Apache-2.0 OR MIT

package mesh

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
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
	ticks    int // heartbeats so far

	dirty []*member // who have control messages waiting
	out   []Action
}

// member is a peer that can be sent to.
type member struct {
	id       peer.ID
	version  Version
	outbound bool
	direct   bool
	topics   map[string]*topic // at most MaxTopicsPerPeer

	pending *rpc.Control // what is to be sent at the end of the step

	ihaves   int                  // IHAVE messages in this heartbeat
	asked    int                  // IDs asked for in this heartbeat
	unwanted map[string]int       // IDs it does not want, and for how many heartbeats
	told     int                  // how many of them in this heartbeat
	promises map[string]time.Time // IDs it has promised, one a gossip, and until when
	extended bool                 // its extensions are known
	partial  bool                 // it speaks the one for partial messages
}

// topic is what is known of a topic.
type topic struct {
	name      string
	joined    bool
	members   []*member             // those who want its messages
	always    []*member             // those of them that get every message
	mesh      []*member             // if joined
	fanout    []*member             // if not, and there has been something to publish
	published time.Time             // when that was, last
	backoff   map[peer.ID]time.Time // who may not graft, or be grafted, and until when
	// nextOpportunity is when the mesh may be bettered.
	nextOpportunity time.Time
}

// maxBackoffs bounds the back-offs that are remembered, a topic.
const maxBackoffs = 4096

// New returns a router that has seen nothing.
func New(s Settings) *Router {
	return &Router{
		Settings: s,
		peers:    make(map[peer.ID]*member),
		topics:   make(map[string]*topic),
		promised: make(map[string]int),
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
		if r.Board != nil && e.ID != "" {
			r.Board.Ignore(e.ID)
		}
		r.fulfil(e.ID)
	case Misbehaved:
		r.penalize(e.Peer, e.Count)
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

func (r *Router) penalize(p peer.ID, n int) {
	if r.Board != nil && n > 0 {
		r.Board.Penalize(p, n)
	}
}

func (r *Router) peerJoined(e Joined) {
	r.peerLeft(e.Peer)
	r.peers[e.Peer] = &member{
		id:       e.Peer,
		version:  e.Version,
		outbound: e.Outbound,
		direct:   e.Direct || slices.Contains(r.Direct, e.Peer),
		topics:   make(map[string]*topic),
	}
}

func (r *Router) peerLeft(p peer.ID) {
	m := r.peers[p]
	if m == nil {
		return
	}
	for _, t := range m.topics {
		t.forget(m)
		t.mesh = without(t.mesh, m)
		r.tidy(t)
	}
	for id := range m.promises {
		r.breakPromise(m, id)
	}
	delete(r.peers, p)
}

// always reports whether a peer gets every message of its topics.
func (m *member) always() bool { return m.direct || m.version == Floodsub }

// forget takes a peer out of all lists but the mesh.
func (t *topic) forget(m *member) {
	t.members = without(t.members, m)
	t.always = without(t.always, m)
	t.fanout = without(t.fanout, m)
}

// without removes m from a list, whose order stays.
func without(list []*member, m *member) []*member {
	if i := slices.Index(list, m); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}

// topic returns what is known of a topic, which is made known if need be.
func (r *Router) topic(name string) *topic {
	t := r.topics[name]
	if t == nil {
		t = &topic{name: name}
		r.topics[name] = t
	}
	return t
}

// tidy forgets a topic that nobody is in.
func (r *Router) tidy(t *topic) {
	if !t.joined && len(t.members) == 0 && len(t.backoff) == 0 && t.published.IsZero() {
		delete(r.topics, t.name)
	}
}

func (r *Router) subscribed(e Subscribed) {
	m := r.peers[e.Peer]
	if m == nil {
		return
	}
	excess := 0
	for _, s := range e.Subscriptions {
		if !s.Subscribe {
			if t := m.topics[s.Topic]; t != nil {
				r.unsubscribe(m, t)
			}
			continue
		}
		if m.topics[s.Topic] != nil {
			continue
		}
		if len(m.topics) >= MaxTopicsPerPeer {
			excess++
			continue
		}
		t := r.topic(s.Topic)
		m.topics[s.Topic] = t
		t.members = append(t.members, m)
		if m.always() {
			t.always = append(t.always, m)
		}
	}
	r.penalize(e.Peer, min(excess, 1))
}

// restarted forgets what a peer has said.
func (r *Router) restarted(p peer.ID) {
	m := r.peers[p]
	if m == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(m.topics)) {
		r.unsubscribe(m, m.topics[name])
	}
	m.extended, m.partial = false, false
}

// TopicsOf lists the topics that a peer wants, and those in whose mesh it is,
// sorted.
func (r *Router) TopicsOf(p peer.ID) (topics, mesh []string) {
	m := r.peers[p]
	if m == nil {
		return nil, nil
	}
	topics = slices.Sorted(maps.Keys(m.topics))
	for _, name := range topics {
		if slices.Contains(m.topics[name].mesh, m) {
			mesh = append(mesh, name)
		}
	}
	return topics, mesh
}

func (r *Router) unsubscribe(m *member, t *topic) {
	delete(m.topics, t.name)
	t.forget(m)
	if slices.Contains(t.mesh, m) {
		r.leaveMesh(t, m)
	}
	r.tidy(t)
}

// enterMesh puts a peer into the mesh of a topic.
func (r *Router) enterMesh(t *topic, m *member, now time.Time) {
	t.mesh = append(t.mesh, m)
	if r.Board != nil {
		r.Board.Graft(m.id, t.name, now)
	}
	r.out = append(r.out, Grafted{m.id, t.name})
}

// leaveMesh takes a peer out of the mesh of a topic.
func (r *Router) leaveMesh(t *topic, m *member) {
	t.mesh = without(t.mesh, m)
	if r.Board != nil {
		r.Board.Prune(m.id, t.name)
	}
	r.out = append(r.out, Pruned{m.id, t.name})
}

func (r *Router) topicJoined(name string, now time.Time) {
	t := r.topic(name)
	if t.joined {
		return
	}
	t.joined = true
	r.joined = insert(r.joined, t)
	// Those that messages were published to are known to be good.
	for _, m := range t.fanout {
		if len(t.mesh) < r.Params.D && r.fit(t, m, now) {
			r.graft(t, m, now)
		}
	}
	t.fanout, t.published = nil, time.Time{}
	r.fanout = slices.DeleteFunc(r.fanout, func(o *topic) bool { return o == t })
	if need := r.Params.D - len(t.mesh); need > 0 {
		for _, m := range r.choose(t, need, now, nil) {
			r.graft(t, m, now)
		}
	}
}

func (r *Router) topicLeft(name string, now time.Time) {
	t := r.topics[name]
	if t == nil || !t.joined {
		return
	}
	t.joined = false
	r.joined = slices.DeleteFunc(r.joined, func(o *topic) bool { return o == t })
	for _, m := range slices.Clone(t.mesh) {
		r.prune(t, m, now, time.Duration(r.Params.UnsubscribeBackoff), r.Params.PeerExchange)
	}
	r.tidy(t)
}

// insert keeps a list in the order of names.
func insert(list []*topic, t *topic) []*topic {
	i, _ := slices.BinarySearchFunc(list, t.name, func(o *topic, name string) int { return cmp.Compare(o.name, name) })
	return slices.Insert(list, i, t)
}

// fit reports whether a peer may come into the mesh of a topic.
func (r *Router) fit(t *topic, m *member, now time.Time) bool {
	return m.version >= V10 && !m.direct && !slices.Contains(t.mesh, m) &&
		!now.Before(t.backoff[m.id]) && r.score(m, now) >= 0
}

// choose picks at most n peers by chance that may come into a mesh, of those
// that also pass the filter.
func (r *Router) choose(t *topic, n int, now time.Time, filter func(*member) bool) []*member {
	var list []*member
	for _, m := range t.members {
		if r.fit(t, m, now) && (filter == nil || filter(m)) {
			list = append(list, m)
		}
	}
	return r.pick(list, n)
}

// pick keeps n of a list by chance.
func (r *Router) pick(list []*member, n int) []*member {
	r.Rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:min(max(n, 0), len(list))]
}

// graft puts a peer into the mesh and tells it.
func (r *Router) graft(t *topic, m *member, now time.Time) {
	r.enterMesh(t, m, now)
	c := r.control(m)
	c.Graft = append(c.Graft, t.name)
}

// prune takes a peer out of the mesh, if it is there, and tells it.
func (r *Router) prune(t *topic, m *member, now time.Time, backoff time.Duration, exchange bool) {
	if slices.Contains(t.mesh, m) {
		r.leaveMesh(t, m)
	}
	r.setBackoff(t, m.id, now, backoff)
	p := rpc.Prune{Topic: t.name}
	if m.version >= V11 {
		p.Backoff = backoff
		if exchange {
			p.Peers = r.recommend(t, m, now)
		}
	}
	c := r.control(m)
	c.Prune = append(c.Prune, p)
}

// setBackoff makes a back-off longer, never shorter.
func (r *Router) setBackoff(t *topic, p peer.ID, now time.Time, d time.Duration) {
	until := now.Add(min(d, rpc.MaxBackoff))
	if !until.After(t.backoff[p]) {
		return
	}
	if t.backoff == nil {
		t.backoff = make(map[peer.ID]time.Time)
	}
	if len(t.backoff) >= maxBackoffs {
		t.clearBackoffs(now)
	}
	for q := range t.backoff { // somebody gives way, whoever it is
		if len(t.backoff) < maxBackoffs {
			break
		}
		delete(t.backoff, q)
	}
	t.backoff[p] = until
}

func (t *topic) clearBackoffs(now time.Time) {
	for p, until := range t.backoff {
		if !now.Before(until) {
			delete(t.backoff, p)
		}
	}
}

// recommend are the peers that a pruned one is told of.
func (r *Router) recommend(t *topic, not *member, now time.Time) []rpc.PeerInfo {
	var list []*member
	for _, m := range t.members {
		if m != not && r.score(m, now) >= 0 {
			list = append(list, m)
		}
	}
	var infos []rpc.PeerInfo
	for _, m := range r.pick(list, *r.Params.PrunePeers) {
		infos = append(infos, rpc.PeerInfo{ID: m.id.Bytes(), Record: r.Record(m.id)})
	}
	return infos
}

// Size is how much the router remembers, by what it is.
func (r *Router) Size() map[string]int {
	size := map[string]int{
		"peers": len(r.peers), "topics": len(r.topics) - len(r.joined), "own topics": len(r.joined),
		"promised messages": len(r.promised), "cached messages": len(r.cache.messages), "cached bytes": r.cache.bytes,
	}
	for _, t := range r.topics {
		size["back-offs"] += len(t.backoff)
		size["members"] += len(t.members) + len(t.always) + len(t.mesh) + len(t.fanout)
	}
	if r.Board != nil {
		size["judged peers"], _, size["judged messages"] = r.Board.Size()
	}
	return size
}
