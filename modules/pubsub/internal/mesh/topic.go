// SPDX-License-Identifier: Apache-2.0 OR MIT

package mesh

import (
	"cmp"
	"slices"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

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

// topic returns what is known of a topic, which is made known if need be.
func (r *Router) topic(name string) *topic {
	t := r.topics[name]
	if t == nil {
		t = &topic{name: name}
		r.topics[name] = t
	}
	return t
}

// Members is how many peers want a topic's messages.
func (r *Router) Members(topic string) int {
	if t := r.topics[topic]; t != nil {
		return len(t.members)
	}
	return 0
}

// tidy forgets a topic that nobody is in.
func (r *Router) tidy(t *topic) {
	if !t.joined && len(t.members) == 0 && len(t.backoff) == 0 && t.published.IsZero() {
		delete(r.topics, t.name)
	}
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
