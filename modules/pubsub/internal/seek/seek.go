// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package seek decides when a node tells others of its topics, looks for others
// that want them, and dials those that it finds. It knows no clock and no
// network: who uses it says what happens, and when.
package seek

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// Params say how topics are looked for.
type Params struct {
	// MinPeers is how many peers of a topic are enough: with fewer, others are
	// looked for.
	// Default: 5.
	MinPeers int `json:"min_peers,omitempty"`
	// Interval is how soon a topic is looked for again. It doubles with each time
	// that brings nobody new, up to MaxInterval.
	// Default: "5s".
	Interval core.Duration `json:"interval,omitempty"`
	// MaxInterval bounds it.
	// Default: "5m".
	MaxInterval core.Duration `json:"max_interval,omitempty"`
	// DialBackoff is how soon a peer that was found is dialled again. It grows
	// fivefold with each time, up to MaxDialBackoff, and what is waited is
	// chosen by chance between that and half of it.
	// Default: "10s".
	DialBackoff core.Duration `json:"dial_backoff,omitempty"`
	// MaxDialBackoff bounds it.
	// Default: "1h".
	MaxDialBackoff core.Duration `json:"max_dial_backoff,omitempty"`
}

// Provision fills in what is not given.
func (p *Params) Provision() {
	if p.MinPeers == 0 {
		p.MinPeers = 5
	}
	for _, f := range []struct {
		v  *core.Duration
		to time.Duration
	}{
		{&p.Interval, 5 * time.Second},
		{&p.MaxInterval, 5 * time.Minute},
		{&p.DialBackoff, 10 * time.Second},
		{&p.MaxDialBackoff, time.Hour},
	} {
		if *f.v == 0 {
			*f.v = core.Duration(f.to)
		}
	}
}

// Validate says what cannot be meant.
func (p *Params) Validate() error {
	var errs []error
	if p.MinPeers < 1 || p.MinPeers > 1000 {
		errs = append(errs, fmt.Errorf("min_peers: want 1 to 1000, have %d", p.MinPeers))
	}
	for _, f := range []struct {
		low, high       string
		lowest, highest core.Duration
	}{
		{"interval", "max_interval", p.Interval, p.MaxInterval},
		{"dial_backoff", "max_dial_backoff", p.DialBackoff, p.MaxDialBackoff},
	} {
		if f.lowest < core.Duration(time.Second) || f.lowest > f.highest || f.highest > core.Duration(24*time.Hour) {
			errs = append(errs, fmt.Errorf("%s: want 1s or more, and at most %s, which is at most 24h; have %s and %s",
				f.low, f.high, f.lowest, f.highest))
		}
	}
	return errors.Join(errs...)
}

const (
	// retryAdvertise is how soon a topic is advertised again that could not be;
	// it doubles, up to maxRetryAdvertise.
	retryAdvertise    = 5 * time.Second
	maxRetryAdvertise = 2 * time.Minute
	// maxPeers bounds the peers whose dials are remembered.
	maxPeers = 1000
)

// Seeker is what is known of topics and peers. See [New].
type Seeker struct {
	params *Params
	rand   *rand.Rand
	topics map[string]*topic
	peers  map[peer.ID]*dials // maxPeers
}

type topic struct {
	advertising, finding bool // is under way
	advertise, find      time.Time
	retry, interval      time.Duration
}

// dials are those of a peer.
type dials struct {
	next time.Time
	wait time.Duration
}

// New returns a seeker for parameters that have been provisioned and validated.
func New(p *Params, r *rand.Rand) *Seeker {
	return &Seeker{params: p, rand: r, topics: make(map[string]*topic), peers: make(map[peer.ID]*dials)}
}

// Due returns what it is time for, of the topics that the node is in and the
// number of peers that each has: topics to advertise, and topics to look for, at
// most most together. Who asks has to say how it ended.
func (s *Seeker) Due(now time.Time, peers map[string]int, most int) (advertise, find []string) {
	maps.DeleteFunc(s.topics, func(name string, _ *topic) bool { _, ok := peers[name]; return !ok })
	for _, name := range slices.Sorted(maps.Keys(peers)) {
		t := s.topics[name]
		if t == nil {
			t = &topic{retry: retryAdvertise, interval: time.Duration(s.params.Interval)}
			s.topics[name] = t
		}
		if len(advertise)+len(find) < most && !t.advertising && !now.Before(t.advertise) {
			t.advertising = true
			advertise = append(advertise, name)
		}
		if len(advertise)+len(find) < most && !t.finding && peers[name] < s.params.MinPeers && !now.Before(t.find) {
			t.finding = true
			find = append(find, name)
		}
	}
	return advertise, find
}

// Advertised says for how long a topic is known to others; zero if that failed.
func (s *Seeker) Advertised(name string, lasts time.Duration, now time.Time) {
	t := s.topics[name]
	if t == nil {
		return
	}
	t.advertising = false
	if lasts <= 0 {
		t.advertise = now.Add(t.retry)
		t.retry = min(2*t.retry, maxRetryAdvertise)
		return
	}
	t.retry = retryAdvertise
	t.advertise = now.Add(max(lasts/4*3, retryAdvertise)) // before it ends
}

// Found says that a search is over, and how many of those that it found were
// worth a dial.
func (s *Seeker) Found(name string, fresh int, now time.Time) {
	t := s.topics[name]
	if t == nil {
		return
	}
	t.finding = false
	if fresh > 0 {
		t.interval = time.Duration(s.params.Interval)
	}
	t.find = now.Add(t.interval)
	t.interval = min(2*t.interval, time.Duration(s.params.MaxInterval))
}

// Try reports whether a peer that was found is to be dialled now. If so, it is
// not for a while.
func (s *Seeker) Try(p peer.ID, now time.Time) bool {
	d := s.peers[p]
	if d == nil {
		if len(s.peers) >= maxPeers && !s.forget(now) {
			return false
		}
		d = &dials{wait: time.Duration(s.params.DialBackoff)}
		s.peers[p] = d
	}
	if now.Before(d.next) {
		return false
	}
	d.next = now.Add(d.wait/2 + time.Duration(s.rand.Int64N(int64(d.wait/2)+1)))
	d.wait = min(5*d.wait, time.Duration(s.params.MaxDialBackoff))
	return true
}

// forget makes room, of which there is none if all have been dialled lately.
func (s *Seeker) forget(now time.Time) bool {
	maps.DeleteFunc(s.peers, func(_ peer.ID, d *dials) bool { return !now.Before(d.next) })
	return len(s.peers) < maxPeers
}

// Met says that a peer is here: if it goes, it may be dialled at once.
func (s *Seeker) Met(p peer.ID) { delete(s.peers, p) }
