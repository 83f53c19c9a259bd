// SPDX-License-Identifier: Apache-2.0 OR MIT

package mesh

import (
	"cmp"
	"slices"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

// clearTicks is how often, in heartbeats, back-offs that have ended are
// forgotten.
const clearTicks = 15

func (r *Router) heartbeat(now time.Time) {
	r.ticks++
	r.breakPromises(now)
	if r.Board != nil {
		r.Board.Refresh(now)
	}
	recent := r.cache.recent()
	for _, t := range r.joined {
		r.maintain(t, now)
		r.gossip(t, t.mesh, recent[t.name], now)
	}
	for _, t := range slices.Clone(r.fanout) {
		if r.maintainFanout(t, now) {
			r.gossip(t, t.fanout, recent[t.name], now)
		}
	}
	if every(r.ticks, time.Duration(r.Params.DirectConnectInterval), time.Duration(r.Params.HeartbeatInterval)) {
		r.reconnect()
	}
	if r.ticks%clearTicks == 0 {
		for _, t := range r.topics {
			t.clearBackoffs(now)
			r.tidy(t)
		}
	}
	for _, m := range r.peers {
		m.ihaves, m.asked, m.told = 0, 0, 0
		for id := range m.unwanted {
			if m.unwanted[id]--; m.unwanted[id] <= 0 {
				delete(m.unwanted, id)
			}
		}
		if len(m.unwanted) == 0 {
			m.unwanted = nil
		}
	}
	r.agePartials()
	r.cache.shift()
}

// every reports whether an interval has come round in this heartbeat.
func every(tick int, interval, beat time.Duration) bool {
	n := max(1, int(interval/beat))
	return tick%n == 1%n
}

// breakPromises counts what peers have not sent in time (P7).
func (r *Router) breakPromises(now time.Time) {
	for _, m := range r.peers {
		broken := 0
		for id, until := range m.promises {
			if now.After(until) {
				r.breakPromise(m, id)
				broken++
			}
		}
		r.penalize(m.id, broken)
	}
}

// maintain keeps a mesh in size and in good company.
func (r *Router) maintain(t *topic, now time.Time) {
	p := r.Params
	backoff := time.Duration(p.PruneBackoff)
	for _, m := range slices.Clone(t.mesh) {
		if r.score(m, now) < 0 {
			r.prune(t, m, now, backoff, false)
		}
	}
	if len(t.mesh) < p.DLow {
		for _, m := range r.choose(t, p.D-len(t.mesh), now, nil) {
			r.graft(t, m, now)
		}
	}
	if len(t.mesh) > p.DHigh {
		for _, m := range r.surplus(t, now) {
			r.prune(t, m, now, backoff, p.PeerExchange)
		}
	}
	if len(t.mesh) >= p.DLow {
		if need := *p.DOut - outbound(t.mesh); need > 0 {
			for _, m := range r.choose(t, need, now, func(m *member) bool { return m.outbound }) {
				r.graft(t, m, now)
			}
		}
	}
	r.better(t, now)
}

func outbound(list []*member) int {
	n := 0
	for _, m := range list {
		if m.outbound {
			n++
		}
	}
	return n
}

// surplus are the peers of a mesh that is too large that leave it: all but D, of
// which DScore are the best and DOut were dialled by the node, if there are that
// many.
func (r *Router) surplus(t *topic, now time.Time) []*member {
	list := r.pick(slices.Clone(t.mesh), len(t.mesh))
	slices.SortStableFunc(list, func(a, b *member) int { return cmp.Compare(r.score(b, now), r.score(a, now)) })
	r.pick(list[r.Params.DScore:], len(list))
	keep, rest := list[:r.Params.D], list[r.Params.D:]
	// Those that were dialled take the place of the last that were not.
	missing := *r.Params.DOut - outbound(keep)
	for i, last := 0, len(keep)-1; i < len(rest) && missing > 0; i++ {
		if !rest[i].outbound {
			continue
		}
		for last >= 0 && keep[last].outbound {
			last--
		}
		if last < 0 {
			break
		}
		keep[last], rest[i] = rest[i], keep[last]
		missing--
	}
	return rest
}

// better grafts peers of a score above the median of a mesh whose median is low.
func (r *Router) better(t *topic, now time.Time) {
	if r.Board == nil || now.Before(t.nextOpportunity) {
		return
	}
	first := t.nextOpportunity.IsZero()
	t.nextOpportunity = now.Add(time.Duration(r.Params.OpportunisticGraftInterval))
	if first || len(t.mesh) < 2 {
		return
	}
	scores := make([]float64, len(t.mesh))
	for i, m := range t.mesh {
		scores[i] = r.score(m, now)
	}
	slices.Sort(scores)
	median := scores[len(scores)/2]
	if median >= *r.Board.Params().OpportunisticGraft {
		return
	}
	for _, m := range r.choose(t, r.Params.OpportunisticGraftPeers, now, func(m *member) bool { return r.score(m, now) > median }) {
		r.graft(t, m, now)
	}
}

// maintainFanout reports whether something has been published lately enough.
func (r *Router) maintainFanout(t *topic, now time.Time) bool {
	if now.Sub(t.published) > time.Duration(r.Params.FanoutTTL) {
		t.fanout, t.published = nil, time.Time{}
		r.fanout = slices.DeleteFunc(r.fanout, func(o *topic) bool { return o == t })
		r.tidy(t)
		return false
	}
	r.fillFanout(t, now)
	return true
}

// gossip tells peers that are not among those that get the messages which
// messages there were lately.
func (r *Router) gossip(t *topic, not []*member, ids [][]byte, now time.Time) {
	partial := r.partials[t.name]
	if len(ids) == 0 && partial == nil {
		return
	}
	var list, parts []*member
	for _, m := range t.members {
		if m.always() || slices.Contains(not, m) || r.below(m, now, gossipThreshold) {
			continue
		}
		if partial.wants(m, t.name) {
			parts = append(parts, m)
		} else {
			list = append(list, m)
		}
	}
	if len(parts) > 0 {
		n := max(*r.Params.DLazy, int(*r.Params.GossipFactor*float64(len(parts))))
		r.gossipPartial(t, partial, r.pick(parts, n))
	}
	if len(ids) == 0 {
		return
	}
	n := max(*r.Params.DLazy, int(*r.Params.GossipFactor*float64(len(list))))
	most := r.Params.MaxIHaveLength
	for _, m := range r.pick(list, n) {
		some := ids
		if len(ids) > most { // others get others
			some = slices.Clone(ids)
			r.Rand.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
			some = some[:most]
		}
		c := r.control(m)
		c.IHave = append(c.IHave, rpc.IHave{Topic: t.name, IDs: some})
	}
}

// reconnect asks for direct peers that are not here.
func (r *Router) reconnect() {
	var gone []peer.ID
	for _, p := range r.Direct {
		if r.peers[p] == nil {
			gone = append(gone, p)
		}
	}
	if len(gone) > 0 {
		r.out = append(r.out, Reconnect{gone})
	}
}
