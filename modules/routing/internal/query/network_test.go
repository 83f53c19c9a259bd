// SPDX-License-Identifier: Apache-2.0 OR MIT

package query

import (
	"container/heap"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
	"github.com/xnode-p2p/xnode/modules/routing/internal/table"
)

// network is a network of peers with real routing tables and imagined links.
type network struct {
	rng    *rand.Rand
	peers  []*member
	byID   map[peer.ID]*member
	config Config
	link   func() time.Duration // the time from a question to its answer
}

type member struct {
	id    peer.ID
	key   keyspace.Key
	ip    netip.Addr
	table *table.Table
	dead  bool
	// lies, if it is set, is what the peer answers instead of the truth.
	lies func(target keyspace.Key) []peer.ID
}

func newNetwork(size int, seed uint64, config Config) *network {
	n := &network{
		rng: rand.New(rand.NewPCG(seed, 0)), byID: map[peer.ID]*member{}, config: config,
		link: func() time.Duration { return 100 * time.Millisecond },
	}
	for i := range size {
		n.join(addr(i))
	}
	return n
}

// join adds a peer that nobody knows yet.
func (n *network) join(ip netip.Addr) *member {
	id := [34]byte{0x12, 0x20}
	binary.BigEndian.PutUint64(id[18:], n.rng.Uint64())
	binary.BigEndian.PutUint64(id[26:], n.rng.Uint64())
	return n.joinAs(peer.ID(id[:]), ip)
}

func (n *network) joinAs(p peer.ID, ip netip.Addr) *member {
	m := &member{id: p, key: keyspace.OfPeer(p), ip: ip}
	n.peers = append(n.peers, m)
	n.byID[p] = m
	return m
}

// meet has every peer meet every other, in an order of its own.
func (n *network) meet(c table.Config) {
	others := slices.Clone(n.peers)
	for _, m := range n.peers {
		m.table = table.New(m.id, c)
		n.rng.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
		var full [keyspace.Bits + 1]int
		for _, o := range others {
			// Those for whom there is no place would be spares.
			if at := keyspace.CommonPrefix(m.key, o.key); full[at] < m.table.K && m.table.Answered(o.id, o.ip, start) {
				full[at]++
			}
		}
	}
}

// closest returns the k closest to a target of those that are as they should.
func (n *network) closest(target keyspace.Key, k int, self peer.ID) (peers []peer.ID) {
	var keys []keyspace.Key
	for _, m := range n.peers {
		if m.dead || m.lies != nil || m.id == self {
			continue
		}
		i := len(keys)
		for i > 0 && keyspace.Closer(target, m.key, keys[i-1]) {
			i--
		}
		if i < k {
			keys, peers = slices.Insert(keys, i, m.key), slices.Insert(peers, i, m.id)
			keys, peers = keys[:min(k, len(keys))], peers[:min(k, len(peers))]
		}
	}
	return peers
}

func (n *network) told(m *member, peers []peer.ID) (heard []Peer) {
	for _, p := range peers {
		h := Peer{ID: p}
		if o := n.byID[p]; o != nil {
			h.Group = m.table.Group(o.ip)
		}
		heard = append(heard, h)
	}
	return heard
}

// lookup runs a query of one peer on a clock of its own. It calls each before
// every step.
func (n *network) lookup(from *member, target keyspace.Key, each func(*Query, Event, time.Time)) Result {
	c := n.config
	c.Self = from.id
	q := New(target, c)
	k := q.K
	now := start
	var queue events
	e := Event(Start{n.told(from, from.table.Nearest(nil, target, k))})
	for {
		if each != nil {
			each(q, e, now)
		}
		a := q.Step(e, now)
		if a.Done {
			return q.Result()
		}
		for _, p := range a.Ask {
			if e := n.ask(from, p, target, k); e != nil {
				heap.Push(&queue, timed{now.Add(n.link()), len(queue), e})
			}
		}
		if wake := q.Wake(); len(queue) == 0 || wake.Before(queue[0].at) {
			now, e = wake, Tick{}
		} else {
			next := heap.Pop(&queue).(timed)
			now, e = next.at, next.event
		}
	}
}

// ask returns what comes of a question: a dead peer says nothing, and one that
// never was cannot be reached.
func (n *network) ask(from *member, p peer.ID, target keyspace.Key, k int) Event {
	m := n.byID[p]
	switch {
	case m == nil:
		return Failure{p}
	case m.dead:
		return nil
	}
	var closer []peer.ID
	if m.lies != nil {
		closer = m.lies(target)
	} else {
		closer = m.table.Nearest(nil, target, k)
	}
	return Answer{Peer{p, from.table.Group(m.ip)}, n.told(from, closer)}
}

type timed struct {
	at    time.Time
	order int
	event Event
}

type events []timed

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].order < q[j].order
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(timed)) }
func (q *events) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// addr is an address in a group of its own, for each number.
func addr(i int) netip.Addr { return netip.AddrFrom4([4]byte{byte(60 + i>>8), byte(i), 0, 1}) }
