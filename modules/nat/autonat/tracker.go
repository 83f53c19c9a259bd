// SPDX-License-Identifier: Apache-2.0 OR MIT

package autonat

import (
	"cmp"
	"slices"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	// maxServers bounds the peers that are asked; those beyond are not noted.
	maxServers = 64
	// maxVotes bounds the networks whose answers about one address are kept.
	maxVotes = 16
	// maxTargets bounds the addresses that are looked after.
	maxTargets = 32
	// maxAsks is how many questions are under way at most.
	maxAsks = 3
	// refusal is how long a server is not asked again for what it did not do.
	refusal = 10 * time.Minute
	// answerTime is how long an answer is waited for.
	answerTime = time.Minute
)

// self is the target that stands for the node as a whole: whether it can be
// reached where a server sees it.
const self = ""

// tracker decides whom to ask about which address, and what follows from the
// answers. It is a state machine: [tracker.step] is all that it does.
//
// An answer counts for the network that it comes from, once; the latest replaces
// those before. A verdict needs answers from several networks and more of them
// than contradict it, and stays until there is another.
type tracker struct {
	confirmations  int
	recheck, retry time.Duration

	servers []*serverState
	gone    []*serverState // who left something undone, and may come back; at most maxServers, the last at the end
	targets []*target      // self is the first
	asks    int            // under way
	moves   int            // how often the network was another
	public  core.Reachability
	told    []report
}

// serverState is a peer that can be asked.
type serverState struct {
	id       peer.ID
	network  string
	first    bool   // speaks version 1
	second   bool   // speaks version 2
	observed string // where it sees the node, if that can be asked about
	busy     bool
	refused  map[string]time.Time // until when not to ask about which target; bounded by maxTargets
}

// target is something to ask about.
type target struct {
	addr    string // an address, as bytes; or self
	votes   []vote
	verdict core.Reachability
	due     time.Time // not to be asked about before
	asking  int       // questions under way
	checked time.Time
}

// vote is what a network says.
type vote struct {
	network string
	reached bool
	at      time.Time
}

// The events of a tracker.
type (
	// candidates are all addresses that there are to ask about.
	candidates struct{ addrs []string }
	// joined is a server that has come, or about which there is news.
	joined struct {
		id            peer.ID
		network       string
		first, second bool
		observed      string
	}
	// left is a server that has gone.
	left struct{ id peer.ID }
	// moved: the node's network is another; nothing that was found out holds.
	moved struct{}
	// answered is how a question ended.
	answered struct {
		id      peer.ID
		target  string
		outcome outcome
		moves   int // those of the question
	}
	// tick is the passing of time.
	tick struct{}
)

// outcome is how a question ended.
type outcome int

const (
	failed outcome = iota // no answer, or one that says nothing
	reached
	missed
	refused // the server does not want to dial
)

// The actions of a tracker.
type (
	// ask is a question to put to a server. With version 1 it has no address.
	ask struct {
		id      peer.ID
		version int
		target  string
		addr    string
		moves   int // before it
	}
	// verdict is what is known now, which is other than before.
	verdict struct {
		node  core.Reachability
		addrs []report
	}
	// wake is when a tick is wanted, at the latest.
	wake struct{ at time.Time }
)

// report is what is known of an address.
type report struct {
	addr            string
	reachability    core.Reachability
	reached, missed int
	checked         time.Time
}

func newTracker(confirmations int, recheck, retry time.Duration) *tracker {
	return &tracker{confirmations: confirmations, recheck: recheck, retry: retry, targets: []*target{{addr: self}}}
}

// step takes in an event and says what to do.
func (t *tracker) step(event any, now time.Time) []any {
	switch e := event.(type) {
	case candidates:
		t.setTargets(e.addrs)
	case joined:
		t.join(e)
	case left:
		t.leave(e.id)
	case moved:
		t.moves++
		for _, g := range t.targets {
			g.votes, g.verdict, g.due, g.checked = nil, core.ReachabilityUnknown, time.Time{}, time.Time{}
		}
		for _, s := range slices.Concat(t.servers, t.gone) {
			clear(s.refused)
		}
	case answered:
		t.answer(e, now)
	}
	actions := t.question(now)
	if v, changed := t.judge(); changed {
		actions = append(actions, v)
	}
	if at, ok := t.next(now); ok {
		actions = append(actions, wake{at})
	}
	return actions
}

// setTargets keeps what is known of the addresses that stay.
func (t *tracker) setTargets(addrs []string) {
	list := t.targets[:1:1]
	for _, a := range addrs[:min(len(addrs), maxTargets-1)] {
		i := slices.IndexFunc(t.targets[1:], func(g *target) bool { return g.addr == a })
		if i >= 0 {
			list = append(list, t.targets[1+i])
		} else {
			list = append(list, &target{addr: a})
		}
	}
	t.targets = list
	for _, s := range slices.Concat(t.servers, t.gone) {
		for a := range s.refused {
			if t.target(a) == nil {
				delete(s.refused, a)
			}
		}
	}
}

func (t *tracker) target(addr string) *target {
	for _, g := range t.targets {
		if g.addr == addr {
			return g
		}
	}
	return nil
}

func (t *tracker) server(id peer.ID) *serverState { return find(t.servers, id) }

func find(list []*serverState, id peer.ID) *serverState {
	if i := slices.IndexFunc(list, func(s *serverState) bool { return s.id == id }); i >= 0 {
		return list[i]
	}
	return nil
}

// leave notes that a server has gone. What it did not do is not forgotten: some end
// the connection on which they are asked, and come back.
func (t *tracker) leave(id peer.ID) {
	s := t.server(id)
	if s == nil {
		return
	}
	t.servers = slices.DeleteFunc(t.servers, func(o *serverState) bool { return o == s })
	if !s.busy && len(s.refused) == 0 {
		return
	}
	if len(t.gone) >= maxServers {
		t.gone = t.gone[1:]
	}
	t.gone = append(t.gone, s)
}

func (t *tracker) join(e joined) {
	s := t.server(e.id)
	if s == nil {
		if len(t.servers) >= maxServers {
			return
		}
		if s = find(t.gone, e.id); s != nil {
			t.gone = slices.DeleteFunc(t.gone, func(o *serverState) bool { return o == s })
		} else {
			s = &serverState{id: e.id, refused: make(map[string]time.Time)}
		}
		t.servers = append(t.servers, s)
	}
	s.network, s.first, s.second, s.observed = e.network, e.first, e.second, e.observed
}

// answer takes in how a question ended.
func (t *tracker) answer(e answered, now time.Time) {
	t.asks = max(0, t.asks-1)
	s, g := t.server(e.id), t.target(e.target)
	here := s != nil
	if s == nil {
		s = find(t.gone, e.id)
	}
	if s != nil {
		s.busy = false
	}
	if g == nil {
		return
	}
	g.asking = max(0, g.asking-1)
	if s == nil || e.moves != t.moves {
		return // it was asked about another network
	}
	if e.outcome == failed || e.outcome == refused {
		s.refused[e.target] = now.Add(refusal)
		return
	}
	if !here {
		return // who has left has no say
	}
	g.checked = now
	g.vote(vote{s.network, e.outcome == reached, now})
	before := g.verdict
	g.verdict = g.decide(t.confirmations)
	settled := g.verdict != core.ReachabilityUnknown && (g.verdict == core.ReachabilityPublic) == (e.outcome == reached)
	if settled && (g.verdict != before || !now.Before(g.due)) {
		g.due = now.Add(t.recheck)
	} else if !settled {
		g.due = now // others may see it the same way
	}
}

// vote notes what a network says. Of too many networks, the one that was asked
// the longest time ago is forgotten.
func (g *target) vote(v vote) {
	g.votes = slices.DeleteFunc(g.votes, func(o vote) bool { return o.network == v.network })
	if len(g.votes) >= maxVotes {
		g.votes = g.votes[1:]
	}
	g.votes = append(g.votes, v) // the newest is the last
}

// count returns how many networks could reach the target, and how many not.
func (g *target) count() (reached, missed int) {
	for _, v := range g.votes {
		if v.reached {
			reached++
		} else {
			missed++
		}
	}
	return reached, missed
}

// decide is the verdict that the votes allow.
func (g *target) decide(need int) core.Reachability {
	switch reached, missed := g.count(); {
	case reached >= need && reached > missed:
		return core.ReachabilityPublic
	case missed >= need && missed > reached:
		return core.ReachabilityPrivate
	}
	return g.verdict
}

// question puts the questions that are due, those about what is known least
// first.
func (t *tracker) question(now time.Time) []any {
	order := slices.Clone(t.targets)
	slices.SortStableFunc(order, func(a, b *target) int {
		return cmp.Or(cmp.Compare(known(a), known(b)), cmp.Compare(len(a.votes), len(b.votes)))
	})
	var actions []any
	for again := true; again; {
		again = false // one question about each target in turn
		for _, g := range order {
			if a, ok := t.askAbout(g, now); ok {
				actions = append(actions, a)
				again = true
			}
		}
	}
	return actions
}

func known(g *target) int {
	if g.verdict == core.ReachabilityUnknown {
		return 0
	}
	return 1
}

// askAbout returns a question about a target if one is due and somebody is there
// to answer it.
func (t *tracker) askAbout(g *target, now time.Time) (a ask, ok bool) {
	if t.asks >= maxAsks || now.Before(g.due) || g.asking >= t.wanted(g) || g.addr == self && !t.needsSelf() {
		return a, false
	}
	var best *serverState
	var bestVote time.Time
	for _, s := range t.servers {
		if s.busy || now.Before(s.refused[g.addr]) || !s.answers(g.addr) {
			continue
		}
		at := g.votedAt(s.network)
		if !at.IsZero() && now.Before(at.Add(t.retry)) || t.askedFrom(s.network) {
			continue
		}
		if best == nil || at.Before(bestVote) {
			best, bestVote = s, at
		}
	}
	if best == nil {
		return a, false
	}
	best.busy = true
	g.asking++
	t.asks++
	a = best.question(g.addr)
	a.moves = t.moves
	return a, true
}

// wanted is how many questions about a target may be under way: as many as are
// missing for a verdict, or one to see whether it still holds.
func (t *tracker) wanted(g *target) int {
	if g.verdict != core.ReachabilityUnknown {
		return 1
	}
	reached, missed := g.count()
	return max(1, t.confirmations-max(reached, missed))
}

// askedFrom tells whether a server of the network is answering.
func (t *tracker) askedFrom(network string) bool {
	return slices.ContainsFunc(t.servers, func(s *serverState) bool { return s.busy && s.network == network })
}

// votedAt is when a network was last asked; zero if it was not.
func (g *target) votedAt(network string) time.Time {
	for _, v := range g.votes {
		if v.network == network {
			return v.at
		}
	}
	return time.Time{}
}

// answers tells whether the server can be asked about a target.
func (s *serverState) answers(addr string) bool {
	if addr == self {
		return s.first || s.second && s.observed != ""
	}
	return s.second
}

func (s *serverState) question(target string) ask {
	switch {
	case target != self:
		return ask{id: s.id, version: 2, target: target, addr: target}
	case s.second && s.observed != "":
		return ask{id: s.id, version: 2, target: target, addr: s.observed}
	}
	return ask{id: s.id, version: 1, target: target}
}

// needsSelf tells whether the addresses alone do not say what holds for the node.
func (t *tracker) needsSelf() bool { return t.ofAddrs() == core.ReachabilityUnknown }

// ofAddrs is what the addresses say of the node: one that can be reached is
// enough, and if all cannot be, neither can the node.
func (t *tracker) ofAddrs() core.Reachability {
	private := 0
	for _, g := range t.targets[1:] {
		switch g.verdict {
		case core.ReachabilityPublic:
			return core.ReachabilityPublic
		case core.ReachabilityPrivate:
			private++
		}
	}
	if private > 0 && private == len(t.targets)-1 {
		return core.ReachabilityPrivate
	}
	return core.ReachabilityUnknown
}

// judge returns what is known, if that is other than before.
func (t *tracker) judge() (v verdict, changed bool) {
	v.node = t.ofAddrs()
	if v.node == core.ReachabilityUnknown {
		v.node = t.targets[0].verdict
	}
	v.addrs = t.reports()
	changed = v.node != t.public || !slices.EqualFunc(v.addrs, t.told, func(a, b report) bool {
		return a.addr == b.addr && a.reachability == b.reachability
	})
	t.public, t.told = v.node, v.addrs
	return v, changed
}

// reports is what is known of all addresses.
func (t *tracker) reports() []report {
	var list []report
	for _, g := range t.targets[1:] {
		reached, missed := g.count()
		list = append(list, report{g.addr, g.verdict, reached, missed, g.checked})
	}
	return list
}

// next is when there may be something to ask that cannot be asked now.
func (t *tracker) next(now time.Time) (at time.Time, ok bool) {
	note := func(when time.Time) {
		if when.After(now) && (!ok || when.Before(at)) {
			at, ok = when, true
		}
	}
	for _, g := range t.targets {
		if g.addr == self && !t.needsSelf() {
			continue
		}
		if now.Before(g.due) {
			note(g.due)
			continue
		}
		for _, s := range t.servers {
			if s.answers(g.addr) {
				note(s.refused[g.addr])
				if voted := g.votedAt(s.network); !voted.IsZero() {
					note(voted.Add(t.retry))
				}
			}
		}
	}
	return at, ok
}
