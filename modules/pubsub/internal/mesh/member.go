// SPDX-License-Identifier: Apache-2.0 OR MIT

package mesh

import (
	"maps"
	"slices"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

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
	partial  bool                 // it and the node speak the one for partial messages
	wishes   map[string]wish      // what it said about those, by topic, of topics
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
	r.leavePartials(p)
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
			m.wish(s)
			continue
		}
		if len(m.topics) >= MaxTopicsPerPeer {
			excess++
			continue
		}
		t := r.topic(s.Topic)
		m.topics[s.Topic] = t
		m.wish(s)
		t.members = append(t.members, m)
		if m.always() {
			t.always = append(t.always, m)
		}
	}
	r.penalize(e.Peer, min(excess, 1))
}

// wish notes what a peer says about partial messages of a topic that it wants.
func (m *member) wish(s rpc.Subscription) {
	if !s.SendsPartial || m.version < V13 {
		delete(m.wishes, s.Topic)
		return
	}
	if m.wishes == nil {
		m.wishes = make(map[string]wish)
	}
	m.wishes[s.Topic] = wish{s.RequestsPartial, s.SendsPartial}
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
	m.partial = false
	r.leavePartials(p)
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
	delete(m.wishes, t.name)
	t.forget(m)
	if slices.Contains(t.mesh, m) {
		r.leaveMesh(t, m)
	}
	r.tidy(t)
}
