// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package query is Kademlia's iterative look-up: it asks the peers closest to a
// target for peers that are closer, until nobody knows any.
//
// A [Query] has two phases. First it walks towards the target, with few
// questions at a time, until the closest peers have answered. Then it asks all
// of the K closest at once, and follows what they tell, until each of them has
// answered. It may walk on several paths, which share what they hear of and
// whom they asked, but where each follows its own answers alone: somebody who
// lies on one path does not lead the others astray (S/Kademlia).
//
// A Query has no clock, goroutine or stream. Its owner tells it what happens
// with [Query.Step], asks whom it says, and calls it again by [Query.Wake].
//
// Peers lie. What they tell is bounded, both in one answer and in all; so are
// the questions, the hops and the time. Peers that fail discredit who told of
// them. And few of the peers that count may share a group of IP addresses.
package query

import (
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/ipgroup"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
)

// Config is how a query is made. A zero field stands for its default.
type Config struct {
	// Self is the own peer, which is not asked.
	Self peer.ID
	// K is how many peers are wanted. Default: 20.
	K int
	// Alpha is how many questions are open at a time during the walk, on all
	// paths together, slow ones not counted. In the end it is K. Default: 10.
	Alpha int
	// Beta is how many of the closest must have answered for the walk to end.
	// Default: 3.
	Beta int
	// Paths is on how many paths to walk, [MaxPaths] at most. More than one
	// cost no more questions, and little time. Default: 4.
	Paths int
	// PerGroup is how many peers of one group may count among the closest.
	// Negative means no limit. Default: 3.
	PerGroup int
	// PerAnswer is how many peers of one answer are used, the first. Default: 2K.
	PerAnswer int
	// Asks bounds the questions. Default: 10K.
	Asks int
	// Heard bounds the peers that are remembered, those closest to the target.
	// Default: 20K.
	Heard int
	// Hops bounds how far from the seeds a peer may be, in who told of whom.
	// Default: 20.
	Hops int
	// Strikes is how many of the peers that somebody told of may fail or be
	// slow, more than those that answer, before the others are no longer asked
	// on that word alone. Default: 5.
	Strikes int
	// Slow is how long a question may be open before the query goes on as if
	// it had failed. The answer still counts if it comes before the query
	// ends. Default: 3s.
	Slow time.Duration
	// PeerTimeout is how long a question may be open. Default: 10s.
	PeerTimeout time.Duration
	// Timeout is how long the query may take. Default: 1m.
	Timeout time.Duration
	// Accept, if there is one, chooses who may be asked.
	Accept func(peer.ID) bool
}

// MaxPaths is on how many paths a query can walk.
const MaxPaths = 8

func (c *Config) setDefaults() {
	def := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	def(&c.K, 20)
	def(&c.Alpha, 10)
	def(&c.Beta, min(3, c.K))
	def(&c.Paths, 4)
	def(&c.PerGroup, 3)
	def(&c.PerAnswer, 2*c.K)
	def(&c.Asks, 10*c.K)
	def(&c.Heard, 20*c.K)
	def(&c.Hops, 20)
	def(&c.Strikes, 5)
	c.Paths = min(c.Paths, MaxPaths)
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.Slow, 3 * time.Second}, {&c.PeerTimeout, 10 * time.Second}, {&c.Timeout, time.Minute},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
}

// Peer is a peer as a query hears of it: with the group of its address, which
// is zero if it is in none.
type Peer struct {
	ID    peer.ID
	Group ipgroup.Group
}

// Event is what happened: [Start], [Answer], [Failure], [Tick] or [Stop].
type Event interface{ event() }

// Start begins a query with the peers that the node knows.
type Start struct{ Seeds []Peer }

// Answer is what a peer that was asked said: who is closer. From.Group is that
// of the address at which it was reached, and counts more than what was told.
type Answer struct {
	From   Peer
	Closer []Peer
}

// Failure tells that a peer that was asked cannot be reached or gave no
// sensible answer.
type Failure struct{ From peer.ID }

// Tick tells that time went by.
type Tick struct{}

// Stop ends the query: its owner knows enough, or wants no more.
type Stop struct{}

func (Start) event()   {}
func (Answer) event()  {}
func (Failure) event() {}
func (Tick) event()    {}
func (Stop) event()    {}

// Actions is what is to be done after a step. Ask is valid until the next step.
type Actions struct {
	Ask []peer.ID
	// Done tells that the query has ended: see [Query.Result]. What is still
	// being asked can be given up.
	Done bool
}

// Reason is why a query ended.
type Reason string

const (
	// Converged: the closest peers have answered.
	Converged Reason = "converged"
	// Starved: there are fewer peers than are wanted, or nobody answers.
	Starved Reason = "starved"
	// Stopped: the owner said [Stop].
	Stopped Reason = "stopped"
	// TimedOut: it took too long.
	TimedOut Reason = "timed out"
	// Exhausted: it took too many questions.
	Exhausted Reason = "exhausted"
)

// Result is what came out of a query.
type Result struct {
	// Closest are the K closest peers of those that answered, the closest
	// first.
	Closest []peer.ID
	Reason  Reason
	// Asked, Answered and Failed count peers.
	Asked, Answered, Failed int
	// Hops is how many peers stand between a seed and the closest peer.
	Hops int
	// Took is how long it took.
	Took time.Duration
}

// Query is a look-up.
type Query struct {
	Config
	target   keyspace.Key
	nodes    []node  // <= Heard
	order    []int32 // of the nodes, the closest to the target first
	paths    int     // 0 before Start
	last     bool    // in the last phase
	reason   Reason  // set once it has ended
	ask      []peer.ID
	asked    int
	answered int
	failed   int
	began    time.Time
	ended    time.Time
}

// New returns a query that has not started.
func New(target keyspace.Key, c Config) *Query {
	c.setDefaults()
	return &Query{Config: c, target: target}
}

// Step tells the query of an event and returns what is to be done. Events of
// peers that are not being asked are ignored, as is everything after the end.
func (q *Query) Step(e Event, now time.Time) Actions {
	q.ask = q.ask[:0]
	if q.reason != "" {
		return Actions{Done: true}
	}
	switch e := e.(type) {
	case Start:
		q.start(e.Seeds, now)
	case Answer:
		q.answer(e, now)
	case Failure:
		if i, ok := q.find(keyspace.OfPeer(e.From)); ok {
			q.fail(q.order[i])
		}
	case Stop:
		q.end(Stopped, now)
	}
	if q.reason == "" && q.paths > 0 {
		q.age(now)
		q.proceed(now)
	}
	return Actions{Ask: q.ask, Done: q.reason != ""}
}

// Wake returns when the query wants its next [Tick], unless something happens
// before.
func (q *Query) Wake() time.Time {
	wake := q.began.Add(q.Timeout)
	for i := range q.nodes {
		var at time.Time
		switch n := &q.nodes[i]; n.state {
		case asked:
			at = n.since.Add(min(q.Slow, q.PeerTimeout))
		case slow:
			at = n.since.Add(q.PeerTimeout)
		default:
			continue
		}
		if at.Before(wake) {
			wake = at
		}
	}
	return wake
}

// Result returns what has come out so far.
func (q *Query) Result() Result {
	r := Result{Reason: q.reason, Asked: q.asked, Answered: q.answered, Failed: q.failed}
	if q.reason != "" {
		r.Took = q.ended.Sub(q.began)
	}
	w := q.walk(func(n *node) bool { return n.state == answered })
	for len(r.Closest) < q.K {
		n := w.next()
		if n == nil {
			break
		}
		if len(r.Closest) == 0 {
			r.Hops = int(n.hops)
		}
		r.Closest = append(r.Closest, n.id)
	}
	return r
}

// Nearest appends to dst the n closest peers that have not failed and count,
// whether they have answered yet or not.
func (q *Query) Nearest(dst []peer.ID, n int) []peer.ID {
	w := q.walk(q.counts)
	for range n {
		next := w.next()
		if next == nil {
			break
		}
		dst = append(dst, next.id)
	}
	return dst
}

func (q *Query) end(r Reason, now time.Time) {
	q.reason, q.ended = r, now
	if q.began.IsZero() {
		q.began = now
	}
}
