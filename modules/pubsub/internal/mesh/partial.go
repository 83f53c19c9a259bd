// SPDX-License-Identifier: Apache-2.0 OR MIT

package mesh

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

// PartialParams are the parameters of the extension for partial messages.
type PartialParams struct {
	// GroupTTL is for how many heartbeats the state of a group is kept after it
	// was last published.
	// Default: 3.
	GroupTTL int `json:"group_ttl,omitempty"`
	// PeerGroups is how many groups of a topic are kept that peers have spoken
	// of, and the node has not.
	// Default: 255.
	PeerGroups int `json:"peer_groups,omitempty"`
	// GroupsPerPeer is how many of them one peer may begin.
	// Default: 8.
	GroupsPerPeer int `json:"groups_per_peer,omitempty"`
}

// Provision fills in what is not given.
func (p *PartialParams) Provision() {
	fill(&p.GroupTTL, 3)
	fill(&p.PeerGroups, 255)
	fill(&p.GroupsPerPeer, 8)
}

// Validate says what cannot be meant.
func (p *PartialParams) Validate() error {
	var errs []error
	for _, n := range []struct {
		key  string
		v    int
		high int
	}{
		{"group_ttl", p.GroupTTL, 1000},
		{"peer_groups", p.PeerGroups, 10_000},
		{"groups_per_peer", p.GroupsPerPeer, 10_000},
	} {
		if n.v < 1 || n.v > n.high {
			errs = append(errs, fmt.Errorf("%s: want 1 to %d, have %d", n.key, n.high, n.v))
		}
	}
	return errors.Join(errs...)
}

type (
	// PartialHandled: the node handles partial messages of a topic from now on,
	// or no longer.
	PartialHandled struct {
		Topic    string
		On       bool
		Requests bool // it asks for them
	}
	// PartialArrived: a peer has sent a partial message.
	PartialArrived struct {
		Peer    peer.ID
		Partial *rpc.Partial
	}
	// PartialPublished: the node has something to say about a group. Parts is
	// asked about each peer, or about those in To alone if there are any.
	PartialPublished struct {
		Topic string
		Group []byte
		Parts func(core.PartialPeer) core.PartialParts
		To    []peer.ID
	}
)

func (PartialHandled) event()   {}
func (PartialArrived) event()   {}
func (PartialPublished) event() {}

type (
	// PartialReceived says that a partial message is to be handled.
	PartialReceived struct {
		Peer    peer.ID
		Partial *rpc.Partial
	}
	// SendPartial sends one to a peer.
	SendPartial struct {
		Peer    peer.ID
		Partial *rpc.Partial
	}
	// PartialGossip says which peers should hear of a group.
	PartialGossip struct {
		Topic, Group string
		Peers        []peer.ID
	}
)

func (PartialReceived) action() {}
func (SendPartial) action()     {}
func (PartialGossip) action()   {}

// wish is what a peer has said about partial messages of a topic.
type wish struct{ requests, sends bool }

// partialTopic is a topic of which the node handles partial messages.
type partialTopic struct {
	requests bool
	groups   map[string]*group // those the node has published, and PeerGroups
}

// group is what is known of the parts of a message.
type group struct {
	peers map[peer.ID]*partialPeer // who is to hear of it: members
	ttl   int                      // heartbeats
	by    peer.ID                  // who has begun it; empty if the node has published it
}

type partialPeer struct {
	known, sent []byte // metadata of either side
}

// wants reports whether a peer gets parts of messages of a topic in place of
// whole ones.
func (p *partialTopic) wants(m *member, topic string) bool {
	return p != nil && m.partial && m.wishes[topic].requests
}

// sends reports whether a peer sends parts to the node.
func (p *partialTopic) sends(m *member, topic string) bool {
	return p != nil && p.requests && m.partial && m.wishes[topic].sends
}

func (r *Router) partialHandled(e PartialHandled) {
	if !e.On {
		delete(r.partials, e.Topic)
		return
	}
	p := r.partials[e.Topic]
	if p == nil {
		p = &partialTopic{groups: make(map[string]*group)}
		r.partials[e.Topic] = p
	}
	p.requests = e.Requests
}

func (r *Router) partialArrived(e PartialArrived) {
	m, p := r.peers[e.Peer], r.partials[e.Partial.Topic]
	if m == nil || p == nil || !m.partial {
		return
	}
	id := string(e.Partial.Group)
	g := p.groups[id]
	if g == nil {
		if !p.room(m.id, r.Partial) {
			return
		}
		g = &group{peers: make(map[peer.ID]*partialPeer), ttl: r.Partial.GroupTTL, by: m.id}
		p.groups[id] = g
	}
	state := g.peer(m.id)
	if e.Partial.Metadata != nil {
		state.known = slices.Clone(e.Partial.Metadata) // not the whole frame
	}
	r.out = append(r.out, PartialReceived(e))
}

// room reports whether a peer may begin one more group.
func (p *partialTopic) room(by peer.ID, params *PartialParams) bool {
	all, own := 0, 0
	for _, g := range p.groups {
		if g.by != "" {
			all++
		}
		if g.by == by {
			own++
		}
	}
	return all < params.PeerGroups && own < params.GroupsPerPeer
}

func (g *group) peer(p peer.ID) *partialPeer {
	if g.peers[p] == nil {
		g.peers[p] = new(partialPeer)
	}
	return g.peers[p]
}

func (r *Router) partialPublished(e PartialPublished, now time.Time) {
	p := r.partials[e.Topic]
	if p == nil {
		return
	}
	id := string(e.Group)
	g := p.groups[id]
	if g == nil {
		g = &group{peers: make(map[peer.ID]*partialPeer)}
		p.groups[id] = g
	}
	g.by, g.ttl = "", r.Partial.GroupTTL
	for _, id := range r.partialAudience(p, g, e, now) {
		m, state := r.peers[id], g.peer(id)
		wants := p.wants(m, e.Topic)
		parts := e.Parts(core.PartialPeer{Peer: id, Requests: wants, Metadata: state.known, Sent: state.sent})
		if parts.Known != nil {
			state.known = parts.Known
		}
		if !wants {
			parts.Data = nil
		}
		if len(parts.Data) == 0 && len(parts.Metadata) == 0 {
			continue
		}
		if len(parts.Metadata) > 0 {
			state.sent = parts.Metadata
		}
		r.out = append(r.out, SendPartial{id, &rpc.Partial{
			Topic: e.Topic, Group: e.Group, Message: parts.Data, Metadata: parts.Metadata,
		}})
	}
}

// partialAudience are the peers that hear of what is published of a group, sorted.
func (r *Router) partialAudience(p *partialTopic, g *group, e PartialPublished, now time.Time) []peer.ID {
	var ids []peer.ID
	if len(e.To) > 0 {
		for _, id := range e.To {
			m := r.peers[id]
			if g.peers[id] != nil || m != nil && m.partial && m.wishes[e.Topic].sends {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
		return slices.Compact(ids)
	}
	t := r.topic(e.Topic)
	list := t.mesh
	if !t.joined {
		list = r.fanoutOf(t, now)
	}
	for _, m := range list {
		if p.wants(m, e.Topic) || p.sends(m, e.Topic) {
			g.peer(m.id)
		}
	}
	return slices.Sorted(maps.Keys(g.peers))
}

// gossipPartial has peers outside the mesh hear of the groups that the node has
// published.
func (r *Router) gossipPartial(t *topic, p *partialTopic, list []*member) {
	for _, id := range slices.Sorted(maps.Keys(p.groups)) {
		g := p.groups[id]
		if g.by != "" {
			continue
		}
		var fresh []peer.ID
		for _, m := range list {
			if g.peers[m.id] == nil {
				g.peer(m.id)
				fresh = append(fresh, m.id)
			}
		}
		if len(fresh) > 0 {
			r.out = append(r.out, PartialGossip{t.name, id, fresh})
		}
	}
}

// agePartials forgets groups whose time is over.
func (r *Router) agePartials() {
	for _, p := range r.partials {
		for id, g := range p.groups {
			if g.ttl--; g.ttl < 0 || g.by != "" && len(g.peers) == 0 {
				delete(p.groups, id)
			}
		}
	}
}

// leavePartials forgets a peer in all groups.
func (r *Router) leavePartials(id peer.ID) {
	for _, p := range r.partials {
		for name, g := range p.groups {
			if delete(g.peers, id); g.by != "" && len(g.peers) == 0 {
				delete(p.groups, name)
			}
		}
	}
}
