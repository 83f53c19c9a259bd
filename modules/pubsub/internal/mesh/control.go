// SPDX-License-Identifier: Apache-2.0 OR MIT

package mesh

import (
	"slices"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

func (r *Router) controlled(e Controlled, now time.Time) {
	m := r.peers[e.Peer]
	if m == nil || m.version == Floodsub {
		return
	}
	c := e.Control
	r.extensions(m, c.Extensions, e.First)
	r.handleIHave(m, c.IHave, now)
	r.handleIWant(m, c.IWant, now)
	for _, name := range c.Graft {
		r.handleGraft(m, name, now)
	}
	for i := range c.Prune {
		r.handlePrune(m, &c.Prune[i], now)
	}
	r.handleIDontWant(m, c.IDontWant)
}

// extensions takes what extensions a peer speaks. It says so once, at the
// beginning.
func (r *Router) extensions(m *member, e *rpc.Extensions, first bool) {
	switch {
	case e == nil || m.version < V13:
	case !first:
		r.penalize(m.id, 1)
	default:
		m.partial = e.PartialMessages && r.Partial != nil
	}
}

// handleIHave asks for messages that a peer has and the node has not.
func (r *Router) handleIHave(m *member, list []rpc.IHave, now time.Time) {
	if len(list) == 0 || r.below(m, now, gossipThreshold) {
		return
	}
	if m.ihaves++; m.ihaves > r.Params.MaxIHaveMessages {
		return
	}
	var want [][]byte
	asking := make(map[string]bool)
	for _, h := range list {
		if t := r.topics[h.Topic]; t == nil || !t.joined {
			continue
		}
		for _, id := range h.IDs {
			if len(want) < 2*r.Params.MaxIHaveLength && !asking[string(id)] && !r.Seen(id) {
				asking[string(id)] = true
				want = append(want, id)
			}
		}
	}
	r.Rand.Shuffle(len(want), func(i, j int) { want[i], want[j] = want[j], want[i] })
	want = want[:min(len(want), r.Params.MaxIHaveLength-m.asked)]
	if len(want) == 0 {
		return
	}
	m.asked += len(want)
	r.promise(m, string(want[0]), now)
	c := r.control(m)
	c.IWant = append(c.IWant, want...)
}

// promise notes that a peer is to send a message. One of those that it was asked
// for stands for all.
func (r *Router) promise(m *member, id string, now time.Time) {
	if r.Board == nil {
		return
	}
	if m.promises == nil {
		m.promises = make(map[string]time.Time)
	}
	if _, ok := m.promises[id]; ok {
		return
	}
	m.promises[id] = now.Add(time.Duration(r.Params.IWantFollowupTime))
	r.promised[id]++
}

// handleIWant sends what a peer asks for, if it does not ask too often.
func (r *Router) handleIWant(m *member, ids [][]byte, now time.Time) {
	if len(ids) == 0 || r.below(m, now, gossipThreshold) {
		return
	}
	for _, id := range ids {
		if _, unwanted := m.unwanted[string(id)]; unwanted {
			continue
		}
		if message := r.cache.ask(string(id), m.id, r.Params.GossipRetransmission); message != nil {
			r.out = append(r.out, Deliver{Peers: []peer.ID{m.id}, Message: message, Asked: true})
		}
	}
}

// handleGraft lets a peer into the mesh, or says no with a Prune.
func (r *Router) handleGraft(m *member, name string, now time.Time) {
	t := r.topics[name]
	if t == nil || !t.joined || m.topics[name] == nil {
		// Nothing is said about topics that the node is not in: an answer would
		// be a way to make it send and remember.
		return
	}
	if slices.Contains(t.mesh, m) {
		return
	}
	backoff := time.Duration(r.Params.PruneBackoff)
	until, pruned := t.backoff[m.id]
	switch {
	case m.direct:
		r.prune(t, m, now, backoff, false)
	case pruned && now.Before(until):
		r.penalize(m.id, 1)
		if since := now.Sub(until.Add(-backoff)); since < time.Duration(r.Params.GraftFloodThreshold) {
			r.penalize(m.id, 1)
		}
		r.prune(t, m, now, backoff, false)
	case r.score(m, now) < 0:
		r.prune(t, m, now, backoff, false)
	case len(t.mesh) >= r.Params.DHigh && !m.outbound:
		r.prune(t, m, now, backoff, r.Params.PeerExchange)
	default:
		r.enterMesh(t, m, now)
	}
}

// handlePrune takes a peer out of the mesh that has taken the node out of its.
func (r *Router) handlePrune(m *member, p *rpc.Prune, now time.Time) {
	t := r.topics[p.Topic]
	if t == nil || !t.joined {
		return
	}
	if slices.Contains(t.mesh, m) {
		r.leaveMesh(t, m)
	}
	backoff := p.Backoff
	if backoff == 0 {
		backoff = time.Duration(r.Params.PruneBackoff)
	}
	r.setBackoff(t, m.id, now, backoff)
	if len(p.Peers) == 0 || !r.Params.PeerExchange || r.below(m, now, pxThreshold) {
		return
	}
	peers := p.Peers
	r.Rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	var unknown []rpc.PeerInfo
	for _, info := range peers[:min(len(peers), *r.Params.PrunePeers)] {
		if id, err := peer.FromBytes(info.ID); err == nil && r.peers[id] == nil {
			unknown = append(unknown, info)
		}
	}
	if len(unknown) > 0 {
		r.out = append(r.out, Dial{unknown})
	}
}

// handleIDontWant remembers which messages need not be sent to a peer.
func (r *Router) handleIDontWant(m *member, ids [][]byte) {
	for _, id := range ids {
		if m.told >= r.Params.MaxIDontWantMessages {
			return
		}
		m.told++
		if m.unwanted == nil {
			m.unwanted = make(map[string]int)
		}
		m.unwanted[string(id)] = r.Params.IDontWantTTL
	}
}
