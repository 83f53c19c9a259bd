// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package gater drops messages by chance before anything is done about them
// while validators are overloaded: those of sources first whose messages have
// mostly been of no use, as go-libp2p-pubsub's peer gater does
// (https://github.com/libp2p/specs/blob/master/pubsub/gossipsub/red.md). It knows
// no clock and no network: who uses it says what happens, and when.
package gater

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
)

// maxRetained bounds the sources that have left and are remembered.
const maxRetained = 10_000

// Gater has the counters. The zero value is not usable: see [New].
type Gater struct {
	params *Params
	rand   *rand.Rand

	validated, throttled float64
	lastThrottled        time.Time

	peers     map[peer.ID]*source // one each peer that is here
	sources   map[string]*source  // one each source that is here, and maxRetained
	retained  []*source           // those that have left, the longest gone first
	nextDecay time.Time
}

// source are the counters of the peers that share an IP address.
type source struct {
	key   string
	here  int       // peers
	until time.Time // when it is forgotten, if here is 0

	delivered, duplicate, ignored, rejected float64
}

// New returns a gater for parameters that have been provisioned and validated.
func New(p *Params, r *rand.Rand) *Gater {
	return &Gater{params: p, rand: r, peers: make(map[peer.ID]*source), sources: make(map[string]*source)}
}

// Join begins to count for a peer. One without an IP address is a source of its
// own.
func (g *Gater) Join(p peer.ID, ip netip.Addr) {
	if g.peers[p] != nil {
		return
	}
	key := string(p)
	if ip.IsValid() {
		key = ip.Unmap().String()
	}
	s := g.sources[key]
	if s == nil {
		s = &source{key: key}
		g.sources[key] = s
	} else if s.here == 0 {
		g.retained = slices.DeleteFunc(g.retained, func(o *source) bool { return o == s })
	}
	s.here++
	g.peers[p] = s
}

// Leave ends that. The counters of its source are remembered.
func (g *Gater) Leave(p peer.ID, now time.Time) {
	s := g.peers[p]
	if s == nil {
		return
	}
	delete(g.peers, p)
	if s.here--; s.here > 0 {
		return
	}
	if s.delivered+s.duplicate+s.ignored+s.rejected == 0 {
		delete(g.sources, s.key)
		return
	}
	s.until = now.Add(time.Duration(g.params.RetainStats))
	g.retained = append(g.retained, s)
	for len(g.retained) > maxRetained {
		g.forget()
	}
}

// forget forgets the source that is the longest gone.
func (g *Gater) forget() {
	delete(g.sources, g.retained[0].key)
	g.retained = g.retained[1:]
}

// Validate notes that a message is about to be validated.
func (g *Gater) Validate() { g.validated++ }

// Throttle notes that validators had no room for one.
func (g *Gater) Throttle(now time.Time) {
	g.throttled++
	g.lastThrottled = now
}

// Deliver notes that a message of p was good.
func (g *Gater) Deliver(p peer.ID, topic string) {
	if s := g.peers[p]; s != nil {
		if weight := g.params.TopicDeliveryWeights[topic]; weight > 0 {
			s.delivered += weight
		} else {
			s.delivered++
		}
	}
}

// Duplicate notes that a message of p had come before.
func (g *Gater) Duplicate(p peer.ID) {
	if s := g.peers[p]; s != nil {
		s.duplicate++
	}
}

// Ignore notes that a message of p was ignored.
func (g *Gater) Ignore(p peer.ID) {
	if s := g.peers[p]; s != nil {
		s.ignored++
	}
}

// Reject notes that a message of p was not valid.
func (g *Gater) Reject(p peer.ID) {
	if s := g.peers[p]; s != nil {
		s.rejected++
	}
}

// Accept reports whether messages of p are to be handled.
func (g *Gater) Accept(p peer.ID, now time.Time) bool {
	if g.throttled == 0 || now.Sub(g.lastThrottled) > time.Duration(g.params.Quiet) {
		return true
	}
	if g.validated > 0 && g.throttled/g.validated < g.params.Threshold {
		return true
	}
	s := g.peers[p]
	if s == nil {
		return true
	}
	total := s.delivered + g.params.DuplicateWeight*s.duplicate + g.params.IgnoreWeight*s.ignored + g.params.RejectWeight*s.rejected
	// The one that is added leaves everybody a chance.
	return g.rand.Float64()*(1+total) < 1+s.delivered
}

// Refresh lets counters decay, if it is time to, and forgets sources. It is called
// every heartbeat.
func (g *Gater) Refresh(now time.Time) {
	for len(g.retained) > 0 && now.After(g.retained[0].until) {
		g.forget()
	}
	if now.Before(g.nextDecay) {
		return
	}
	g.nextDecay = now.Add(time.Duration(g.params.DecayInterval))
	g.decay(&g.validated, g.params.GlobalDecay)
	g.decay(&g.throttled, g.params.GlobalDecay)
	for _, s := range g.sources {
		if s.here > 0 {
			g.decay(&s.delivered, g.params.SourceDecay)
			g.decay(&s.duplicate, g.params.SourceDecay)
			g.decay(&s.ignored, g.params.SourceDecay)
			g.decay(&s.rejected, g.params.SourceDecay)
		}
	}
}

func (g *Gater) decay(v *float64, factor float64) {
	if *v *= factor; *v < g.params.DecayToZero {
		*v = 0
	}
}

// Size is how much the gater remembers: peers, and sources.
func (g *Gater) Size() (peers, sources int) { return len(g.peers), len(g.sources) }
