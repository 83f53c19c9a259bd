// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"bytes"
	"context"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/kadwire"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
	"github.com/xnode-p2p/xnode/modules/routing/internal/query"
)

// maxHeardAddrs is how many addresses a look-up remembers of a peer.
const maxHeardAddrs = 16

// search is what a look-up asks, and what becomes of the answers. Its functions
// are called one at a time, and may be nil.
type search struct {
	request kadwire.Type
	key     []byte
	// heard is told every answer and who sent it. It returns how much was
	// found in it, and whether that is enough, if whoever was asked is to be
	// believed.
	heard func(from peer.ID, at ma.Multiaddr, answer *kadwire.Message) (found int, enough bool)
	// near is told, once the walk to the target has ended, the closest peers
	// that have answered, each once. Some may turn out not to be the closest.
	near func(p peer.ID)
	// moved is told, after each step, the closest peers that are known, whether
	// they have answered or not. It returns whether the look-up is to end.
	moved func(l *lookup, closest []peer.ID) (enough bool)
	// over tells whether nothing more is of use to who looks.
	over func() bool
	// skip is a peer that is not asked.
	skip peer.ID
	// plain look-ups find those that are closest, even if they crowd there.
	plain bool
	// without tells who is left out, so that it says nothing of the size of the
	// network who is found; nil for nobody.
	without func(peer.ID) bool
	// seeds are peers to begin with, besides those that the node knows.
	seeds []peer.AddrInfo
}

// lookup is a look-up that runs. It belongs to one goroutine.
type lookup struct {
	search
	d        *dht
	frame    []byte // the request, which is the same for all
	target   keyspace.Key
	query    *query.Query
	began    time.Time
	outcomes chan outcome // those of the requests

	addrs    map[peer.ID][]ma.Multiaddr // of peers heard of: as many as all answers name
	answered map[peer.ID]bool           // who has; true once near was told
	closest  []peer.ID                  // for moved and near, used again
	trace    func(core.LookupStep)
}

// outcome is what became of a request.
type outcome struct {
	from   query.Peer
	at     ma.Multiaddr // the address of from
	asked  time.Time
	answer *kadwire.Message
	err    error
}

// lookup asks peers that are ever closer to a key, and returns the closest of
// those that answered, and more if they crowd there: see widen. It ends with
// ctx, whose end is no error: what was found until then counts.
func (d *dht) lookup(ctx context.Context, s search) ([]peer.AddrInfo, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	l := &lookup{
		search: s, d: d, target: keyspace.Of(s.key), began: time.Now(),
		outcomes: make(chan outcome), addrs: make(map[peer.ID][]ma.Multiaddr), answered: make(map[peer.ID]bool),
		trace: core.LookupTraceOf(ctx),
	}
	seeds := d.seeds(l.target, s)
	if len(seeds) == 0 {
		return nil, errNoPeers
	}
	message := kadwire.NewBuffer(s.request, s.key, 0)
	l.frame = bytes.Clone(message.Frame())
	message.Free()
	config := query.Config{
		Self: d.node.ID(), K: d.kad.BucketSize, Alpha: d.kad.Concurrency, Beta: d.kad.Resiliency, Paths: d.kad.DisjointPaths,
		PerAnswer:   min(2*d.kad.BucketSize, kadwire.MaxCloser),
		PeerTimeout: time.Duration(d.kad.RequestTimeout), Timeout: time.Duration(d.kad.QueryTimeout),
		Slow:   min(3*time.Second, time.Duration(d.kad.RequestTimeout)),
		Accept: func(p peer.ID) bool { return p != s.skip && (s.without == nil || !s.without(p)) },
	}
	if d.scope != scopeInternet {
		config.PerGroup = -1
	}
	l.query = query.New(l.target, config)
	l.run(ctx, query.Start{Seeds: seeds})
	r := l.query.Result()
	closest := r.Closest
	ended := r.Reason == query.Converged || r.Reason == query.Starved && len(closest) > 0
	if !s.plain && r.Reason != query.TimedOut && ctx.Err() == nil && !l.unwanted() {
		var crowded bool
		closest, crowded = l.widen(ctx, closest)
		ended = ended && !crowded
	}
	if ended && s.without == nil {
		d.sizes.track(l.target, r.Closest)
	}
	return l.infos(closest), context.Cause(ctx)
}

// run steps through the query until it has ended.
func (l *lookup) run(ctx context.Context, e query.Event) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // of dials; a request that was sent is not taken back
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	enough := false
	for {
		actions := l.query.Step(e, time.Now())
		for _, p := range actions.Ask {
			l.ask(ctx, p)
		}
		if enough = enough || l.look(); enough {
			l.query.Step(query.Stop{}, time.Now())
		}
		if enough || actions.Done {
			return
		}
		timer.Reset(time.Until(l.query.Wake()))
		select {
		case o := <-l.outcomes:
			e, enough = l.take(o)
		case <-timer.C:
			e = query.Tick{}
		case <-ctx.Done():
			e = query.Stop{}
		}
	}
}

// look tells moved and near of the closest peers.
func (l *lookup) look() (enough bool) {
	if l.near == nil && l.moved == nil {
		return false
	}
	l.closest = l.query.Nearest(l.closest[:0], l.d.kad.BucketSize)
	if l.moved != nil {
		enough = l.moved(l, l.closest)
	}
	if l.near == nil {
		return enough
	}
	for _, p := range l.closest[:min(l.d.kad.Resiliency, len(l.closest))] {
		if _, ok := l.answered[p]; !ok {
			return enough
		}
	}
	for _, p := range l.closest {
		if told, ok := l.answered[p]; ok && !told {
			l.answered[p] = true
			l.near(p)
		}
	}
	return enough
}

// ask sends the request to a peer.
func (l *lookup) ask(ctx context.Context, p peer.ID) {
	l.reach(p)
	asked := time.Now()
	l.report(p, asked, nil)
	outcomes := l.outcomes
	l.d.wg.Go(func() { // whoever calls has begun, so the group waits already
		o := outcome{from: query.Peer{ID: p}, asked: asked}
		o.answer, o.err = l.d.exchange(ctx, p, l.request, l.frame)
		if o.err == nil {
			o.at = l.d.addrOf(p)
			o.from.Group = l.d.contacts.groupOf([]ma.Multiaddr{o.at})
		}
		select {
		case outcomes <- o:
		case <-ctx.Done():
		}
	})
}

// reach lets the node know where a peer is.
func (l *lookup) reach(p peer.ID) {
	if addrs := l.addrs[p]; len(addrs) > 0 && len(l.d.node.ConnsTo(p)) == 0 {
		l.d.node.AddPeerAddrs(p, core.TempTTL, addrs...)
	}
}

// take takes what came of a request, and returns it as the query's event.
func (l *lookup) take(o outcome) (e query.Event, enough bool) {
	p := o.from.ID
	if o.err != nil {
		l.report(p, o.asked, &core.LookupStep{Err: o.err})
		return query.Failure{From: p}, false
	}
	step := &core.LookupStep{Heard: len(o.answer.Closer)}
	if l.heard != nil {
		step.Found, enough = l.heard(p, o.at, o.answer)
	}
	closer := make([]query.Peer, 0, len(o.answer.Closer))
	for _, q := range o.answer.Closer {
		addrs, known := l.addrs[q.ID]
		if !known {
			if addrs, known = l.meet(q, o.at); !known {
				continue
			}
			step.New++
		}
		closer = append(closer, query.Peer{ID: q.ID, Group: l.d.contacts.groupOf(addrs)})
	}
	l.report(p, o.asked, step)
	l.answered[p] = false
	return query.Answer{From: o.from, Closer: closer}, enough
}

// meet takes the addresses of a peer that an answer names. It returns whether
// the peer may be asked.
func (l *lookup) meet(p kadwire.Peer, from ma.Multiaddr) (addrs []ma.Multiaddr, ok bool) {
	addrs = l.d.heardAddrs(p, from)
	if !l.d.scope.admits(addrs) && !l.d.contacts.has(p.ID) {
		// Where it is may be known from elsewhere.
		if addrs = l.d.scope.own(l.d.node.PeerAddrs(p.ID)); !l.d.scope.admits(addrs) {
			return nil, false
		}
	}
	l.addrs[p.ID] = addrs
	return addrs, true
}

// infos adds the addresses of peers that have answered.
func (l *lookup) infos(peers []peer.ID) []peer.AddrInfo {
	infos := make([]peer.AddrInfo, len(peers))
	for i, p := range peers {
		addrs := l.d.scope.own(l.d.node.PeerAddrs(p))
		if len(addrs) == 0 {
			addrs = l.addrs[p]
		}
		infos[i] = peer.AddrInfo{ID: p, Addrs: addrs}
	}
	return infos
}

// report reports a request: that it was sent, or how it has ended.
func (l *lookup) report(p peer.ID, asked time.Time, end *core.LookupStep) {
	if l.trace == nil {
		return
	}
	var s core.LookupStep
	if end != nil {
		s = *end
		s.Done, s.Took = true, time.Since(asked)
	}
	s.Protocol, s.Peer, s.Request = l.d.protocol, p, l.request.String()
	s.Near, s.At = keyspace.CommonPrefix(l.target, keyspace.OfPeer(p)), asked.Sub(l.began)
	l.trace(s)
}
