// SPDX-License-Identifier: Apache-2.0 OR MIT

package mdns

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	port = 5353

	// ttl is how long others may remember the node, legacyTTL how long those
	// who know only unicast DNS may.
	ttl       = 6 * time.Minute
	legacyTTL = 10 * time.Second

	// The first query goes out at once, more or less, and each of those that
	// follow after thrice as long, from firstQuery to lastQuery.
	firstQuery = time.Second
	lastQuery  = 150 * time.Second
	// shortest is how long a found peer is remembered at least: until it has
	// had two more occasions to answer.
	shortest = 2*lastQuery + 30*time.Second

	// announcements are how many unsolicited answers tell of a change, one a
	// second.
	announcements = 2
	// between is the time between two answers to everybody on a link.
	between = time.Second

	// On a link, so many packets are read in a second, and so many questions
	// are answered to those who asked alone; the rest is dropped.
	maxReads    = 500
	maxUnicasts = 10

	// maxKnown bounds the instances that are remembered, and the peers.
	maxKnown = 100
	// maxNames bounds the names of one peer that are remembered: rust-libp2p makes
	// up another one for every answer.
	maxNames = 4
)

// The events of a [machine].
type (
	// linksChanged says which links there are, and what to tell on them.
	linksChanged struct{ links []linkState }
	// received is a packet.
	received struct {
		link int
		from netip.AddrPort
		data []byte
	}
	// tick says that it is time.
	tick struct{}
	// closing says that the node is going.
	closing struct{}
)

// linkState is a link as it is now.
type linkState struct {
	index    int
	prefixes []netip.Prefix
	local    bool // the machine itself: its packets have addresses of any of its links
	own      *own
}

// The actions of a [machine].
type (
	// send sends a packet to one, or to everybody on a link if to is zero.
	send struct {
		link int
		to   netip.AddrPort
		data []byte
	}
	// found tells of a peer.
	found struct {
		peer peer.AddrInfo
		ttl  time.Duration
	}
	// lost tells that a peer has gone.
	lost struct{ id peer.ID }
)

// machine is the protocol. It has no goroutine, no clock and no socket.
type machine struct {
	self   peer.ID
	names  names
	random *rand.Rand

	links map[int]*link          // those that the system has
	known map[string]*instanceOf // by lower-case name; at most maxKnown
}

// instanceOf is what a name stands for.
type instanceOf struct {
	peer peer.ID
	ends time.Time
}

// link is what happens on one link.
type link struct {
	linkState
	queryAt   time.Time
	queryWait time.Duration

	pending   wants     // to be answered to everybody
	answerAt  time.Time // valid if something is pending
	answered  time.Time // the last time
	announces int       // left to be made

	reads, unicasts rate
}

// rate counts what happens within a second.
type rate struct {
	second time.Time
	n      int
}

func (r *rate) allow(most int, now time.Time) bool {
	if now.Sub(r.second) >= time.Second {
		r.second, r.n = now, 0
	}
	r.n++
	return r.n <= most
}

func newMachine(self peer.ID, service, name string, seed uint64) *machine {
	return &machine{
		self:   self,
		names:  names{service: service, instance: name + "." + service, host: name + ".p2p.local."},
		random: rand.New(rand.NewPCG(seed, 0)),
		links:  make(map[int]*link),
		known:  make(map[string]*instanceOf),
	}
}

// Step takes an event and returns what is to be done, and when the next tick
// is due; zero means when something else has happened.
func (m *machine) Step(event any, now time.Time) (actions []any, wake time.Time) {
	switch e := event.(type) {
	case linksChanged:
		m.change(e.links, now)
	case received:
		actions = m.receive(e, now)
	case closing:
		return m.leave(), time.Time{}
	}
	for _, i := range slices.Sorted(maps.Keys(m.links)) {
		acts, at := m.due(m.links[i], now)
		actions = append(actions, acts...)
		if !at.IsZero() && (wake.IsZero() || at.Before(wake)) {
			wake = at
		}
	}
	return actions, wake
}

// change takes the links as they are now. What is new is told and asked.
func (m *machine) change(states []linkState, now time.Time) {
	gone := maps.Clone(m.links)
	for _, s := range states {
		delete(gone, s.index)
		l := m.links[s.index]
		fresh := l == nil
		if fresh {
			l = new(link)
			m.links[s.index] = l
		}
		networks := !slices.Equal(l.prefixes, s.prefixes)
		told := fresh || networks || !slices.Equal(l.own.texts, s.own.texts)
		l.linkState = s
		if fresh || networks {
			l.queryAt, l.queryWait = now.Add(m.soon()), firstQuery
		}
		if told && s.own.anyone {
			l.announces = announcements
			m.answerSoon(l, wantPTR, now)
		}
	}
	for i := range gone {
		delete(m.links, i)
	}
}

// soon is the time that those who may do the same at the same moment spread over.
func (m *machine) soon() time.Duration {
	return 20*time.Millisecond + time.Duration(m.random.Int64N(int64(100*time.Millisecond)))
}

// answerSoon has everybody on a link told, but not too often.
func (m *machine) answerSoon(l *link, w wants, now time.Time) {
	if l.pending == 0 {
		l.answerAt = now.Add(m.soon())
		if next := l.answered.Add(between); l.answerAt.Before(next) {
			l.answerAt = next
		}
	}
	l.pending |= w
}

// due does what it is time for on a link, and tells when it is time again.
func (m *machine) due(l *link, now time.Time) (actions []any, wake time.Time) {
	if !l.queryAt.After(now) {
		actions = append(actions, send{link: l.index, data: m.names.question()})
		l.queryAt = now.Add(l.queryWait - l.queryWait/8 + time.Duration(m.random.Int64N(int64(l.queryWait/4))))
		l.queryWait = min(3*l.queryWait, lastQuery)
	}
	wake = l.queryAt
	if l.pending != 0 && !l.answerAt.After(now) {
		w := l.pending
		l.pending, l.answered = 0, now
		if l.own.anyone {
			actions = append(actions, m.tell(l, answer{wants: w, ttl: ttl}, netip.AddrPort{})...)
			if l.announces = max(0, l.announces-1); l.announces > 0 {
				m.answerSoon(l, wantPTR, now)
			}
		}
	}
	if l.pending != 0 && l.answerAt.Before(wake) {
		wake = l.answerAt
	}
	return actions, wake
}

// tell makes the packet of an answer.
func (m *machine) tell(l *link, a answer, to netip.AddrPort) []any {
	a.own = l.own
	packet, err := m.names.build(a)
	if err != nil {
		return nil // a name that is none; ours are
	}
	return []any{send{link: l.index, to: to, data: packet}}
}

// leave says goodbye.
func (m *machine) leave() (actions []any) {
	for _, i := range slices.Sorted(maps.Keys(m.links)) {
		if l := m.links[i]; l.own.anyone && !l.answered.IsZero() {
			actions = append(actions, m.tell(l, answer{wants: wantPTR}, netip.AddrPort{})...)
		}
	}
	return actions
}

// receive reads a packet. Those from elsewhere than the link are not for us,
// RFC 6762 section 11.
func (m *machine) receive(e received, now time.Time) (actions []any) {
	l := m.links[e.link]
	if l == nil || !l.local && !onLink(l.prefixes, e.from.Addr()) || !l.reads.allow(maxReads, now) {
		return nil
	}
	p, err := parse(e.data, m.names)
	if err != nil && len(p.instances) == 0 {
		return nil
	}
	if p.query.wants != 0 && l.own.anyone {
		actions = append(actions, m.reply(l, p.query, e.from, now)...)
	}
	for _, i := range p.instances {
		actions = append(actions, m.hear(l, i, now)...)
	}
	return actions
}

// reply answers a question: to everybody, who then know too, and to those alone
// who want it so or cannot hear the answer to all.
func (m *machine) reply(l *link, q query, from netip.AddrPort, now time.Time) (actions []any) {
	m.answerSoon(l, q.wants, now)
	switch {
	case from.Port() == port && !q.unicast, !l.unicasts.allow(maxUnicasts, now):
		return nil
	case from.Port() == port:
		return m.tell(l, answer{wants: q.wants, ttl: ttl}, from)
	}
	return m.tell(l, answer{wants: q.wants, ttl: legacyTTL, legacy: legacy{q.id, &q.first}}, from)
}

// hear takes what is said of an instance.
func (m *machine) hear(l *link, i instance, now time.Time) []any {
	if i.name == m.names.instance {
		return nil
	}
	if i.bye {
		before := m.known[i.name]
		if before == nil {
			return nil
		}
		delete(m.known, i.name)
		for _, other := range m.known {
			if other.peer == before.peer {
				return nil // it has another name now
			}
		}
		return []any{lost{before.peer}}
	}
	p := heard(l.prefixes, i.texts)
	if p.ID == "" || p.ID == m.self {
		return nil
	}
	life := max(min(i.ttl, time.Hour), shortest)
	m.remember(i.name, p.ID, now.Add(life))
	return []any{found{p, life}}
}

// remember notes whose name it is. When there are too many, of the peer or in all,
// the one that ends first makes way: its goodbye will not be understood, and that
// is all.
func (m *machine) remember(name string, id peer.ID, ends time.Time) {
	if _, ok := m.known[name]; !ok {
		var first, firstOf string
		names := 0
		for n, k := range m.known {
			if first == "" || k.ends.Before(m.known[first].ends) {
				first = n
			}
			if k.peer != id {
				continue
			}
			if names++; firstOf == "" || k.ends.Before(m.known[firstOf].ends) {
				firstOf = n
			}
		}
		if names >= maxNames {
			delete(m.known, firstOf)
		} else if len(m.known) >= maxKnown {
			delete(m.known, first)
		}
	}
	m.known[name] = &instanceOf{id, ends}
}
