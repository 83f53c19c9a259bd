// SPDX-License-Identifier: Apache-2.0 OR MIT

package autonat

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// client is the shell around a [tracker]: it tells it what happens, and does what
// it wants.
type client struct {
	node          core.Node
	log           *slog.Logger
	first, second bool // the versions it speaks
	allowPrivate  bool

	stop    context.CancelFunc
	running sync.WaitGroup
	quiet   []func() // end the subscriptions
	backs   backs

	// stepping is held from an event until what follows from it is emitted, so
	// that the newest verdict is the last.
	stepping sync.Mutex
	tracker  *tracker
	timer    *time.Timer
	ended    bool

	mu   sync.Mutex
	last core.Reach
	seen map[peer.ID]ma.Multiaddr // where connected peers see the node
}

func newClient(s *Service, n core.Node, first, second bool) *client {
	return &client{
		node: n, log: s.log, first: first, second: second, allowPrivate: s.AllowPrivate,
		seen:    make(map[peer.ID]ma.Multiaddr),
		tracker: newTracker(s.Confirmations, time.Duration(s.Recheck), time.Duration(s.Retry)),
	}
}

// start begins to ask.
func (c *client) start() {
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	wake := make(chan struct{}, 1)
	c.timer = time.AfterFunc(time.Hour, func() {
		select {
		case wake <- struct{}{}:
		default: // it is awake
		}
	})
	// Events come on the goroutines of others, which must not wait: they are
	// noted, and looked at one after the other here. What they say is looked up
	// then, so that one note of each sort is enough.
	news := &news{peers: make(map[peer.ID]bool), ready: make(chan struct{}, 1)}
	c.quiet = []func(){
		core.On(c.node, func(e core.Identified) {
			c.observe(e)
			news.peer(e.Conn.RemotePeer())
		}),
		core.On(c.node, func(e core.PeerProtocolsChanged) { news.peer(e.Peer) }),
		core.On(c.node, func(e core.Disconnected) {
			if e.Last {
				c.forget(e.Conn.RemotePeer())
			}
			news.peer(e.Conn.RemotePeer())
		}),
		core.On(c.node, func(core.CandidateAddrsChanged) { news.set(&news.addrs) }),
		core.On(c.node, func(core.NetworkChanged) { news.set(&news.moved) }),
	}
	for _, conn := range c.node.Conns() {
		news.peer(conn.RemotePeer())
	}
	news.set(&news.addrs)
	c.running.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-wake:
				c.step(ctx, tick{})
			case <-news.ready:
				for _, event := range c.look(news) {
					c.step(ctx, event)
				}
			}
		}
	})
}

// news is what has happened and was not looked at yet.
type news struct {
	ready chan struct{}

	mu    sync.Mutex
	peers map[peer.ID]bool // of whom there is news; bounded by the connections
	addrs bool             // the candidates are others
	moved bool             // the network is another
}

func (n *news) set(what *bool) {
	n.mu.Lock()
	*what = true
	n.mu.Unlock()
	n.wake()
}

func (n *news) peer(p peer.ID) {
	n.mu.Lock()
	n.peers[p] = true
	n.mu.Unlock()
	n.wake()
}

func (n *news) wake() {
	select {
	case n.ready <- struct{}{}:
	default:
	}
}

// look turns news into events of the tracker.
func (c *client) look(n *news) (events []any) {
	n.mu.Lock()
	peers, addrs, moves := n.peers, n.addrs, n.moved
	n.peers, n.addrs, n.moved = make(map[peer.ID]bool), false, false
	n.mu.Unlock()
	if moves {
		events = append(events, moved{})
	}
	if addrs {
		events = append(events, c.candidates())
	}
	for p := range peers {
		events = append(events, c.about(p))
	}
	return events
}

// candidates are the addresses to ask about.
func (c *client) candidates() candidates {
	var e candidates
	if !c.second {
		return e
	}
	for _, a := range c.node.Candidates() {
		if mayCheck(a, c.allowPrivate) {
			e.addrs = append(e.addrs, string(a.Bytes()))
		}
	}
	return e
}

// about says what a peer is good for.
func (c *client) about(p peer.ID) any {
	protocols := c.node.PeerProtocols(p)
	e := joined{
		id:     p,
		first:  c.first && slices.Contains(protocols, DialID1),
		second: c.second && slices.Contains(protocols, DialRequestID),
	}
	for _, conn := range c.node.ConnsTo(p) {
		a := conn.RemoteMultiaddr()
		ip, ok := peer.IP(a)
		if !ok || conn.Stat().Limited || isRelayed(a) || !mayCheck(a, c.allowPrivate) {
			continue
		}
		e.network = network(ip, p, peer.IsPublic(a))
	}
	c.mu.Lock()
	if a := c.seen[p]; a != nil {
		e.observed = string(a.Bytes())
	}
	c.mu.Unlock()
	if e.network == "" || !e.first && !e.second {
		return left{p}
	}
	return e
}

// observe notes where a peer sees the node, if that may be a way to a listener:
// the connection is from the port of one.
func (c *client) observe(e core.Identified) {
	a := e.ObservedAddr
	if a == nil || !mayCheck(a, c.allowPrivate) || !slices.ContainsFunc(c.node.ListenAddrs(), func(l ma.Multiaddr) bool {
		return sameWay(l, a) && samePort(l, e.Conn.LocalMultiaddr())
	}) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[e.Conn.RemotePeer()] = a
}

func (c *client) forget(p peer.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.seen, p)
}

// samePort tells whether two addresses have the same TCP or UDP port.
func samePort(a, b ma.Multiaddr) bool {
	port := func(a ma.Multiaddr) string {
		for _, c := range a {
			if c.Code() == ma.P_TCP || c.Code() == ma.P_UDP {
				return c.String()
			}
		}
		return ""
	}
	return port(a) == port(b)
}

// network is what a peer has one say for: its network, if that is one of the
// Internet; a local network is one for all who are in it.
func network(ip netip.Addr, p peer.ID, public bool) string {
	if !public {
		return string(p)
	}
	bits := 24
	if ip.Is6() {
		bits = 56
	}
	prefix, err := ip.Prefix(bits)
	if err != nil {
		return string(p)
	}
	return prefix.String()
}

// step passes an event to the tracker and does what follows.
func (c *client) step(ctx context.Context, event any) {
	c.stepping.Lock()
	defer c.stepping.Unlock()
	if c.ended {
		return
	}
	now := time.Now()
	c.timer.Stop()
	for _, a := range c.tracker.step(event, now) {
		switch a := a.(type) {
		case ask:
			c.running.Go(func() {
				outcome := c.ask(ctx, a)
				c.step(ctx, answered{a.id, a.target, outcome, a.moves})
			})
		case wake:
			c.timer.Reset(a.at.Sub(now))
		case verdict:
			c.tell(a)
		}
	}
	c.mu.Lock()
	c.last.Addrs = addrsOf(c.tracker.reports())
	c.mu.Unlock()
}

// tell emits what is known now.
func (c *client) tell(v verdict) {
	next := core.Reach{Reachability: v.node, Addrs: addrsOf(v.addrs)}
	c.mu.Lock()
	before := c.last
	c.last = next
	c.mu.Unlock()
	c.node.Emit(core.AddrsReachabilityChanged{Addrs: addrsOf(v.addrs)})
	if before.Reachability != next.Reachability {
		c.log.Info("reachability changed", "reachability", next.Reachability)
		c.node.Emit(core.ReachabilityChanged{Reachability: next.Reachability})
	}
}

func addrsOf(reports []report) []core.AddrReachability {
	var list []core.AddrReachability
	for _, r := range reports {
		if a, err := ma.NewMultiaddrBytes([]byte(r.addr)); err == nil {
			list = append(list, core.AddrReachability{
				Addr: a, Reachability: r.reachability, Reached: r.reached, Missed: r.missed, Checked: r.checked,
			})
		}
	}
	return list
}

// reach is what is known.
func (c *client) reach() core.Reach {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := core.Reach{Reachability: c.last.Reachability, Addrs: slices.Clone(c.last.Addrs)}
	for _, a := range c.seen {
		r.Seen = append(r.Seen, a)
	}
	slices.SortFunc(r.Seen, func(a, b ma.Multiaddr) int { return a.Compare(b) })
	return r
}

// close ends all questions. What was found out is forgotten, unless s has a
// successor, which finds out anew.
func (c *client) close(s *Service) {
	for _, stop := range c.quiet {
		stop()
	}
	c.stop()
	c.stepping.Lock()
	c.ended = true
	c.timer.Stop()
	c.stepping.Unlock()
	c.running.Wait()
	if r, ok := core.Find[core.ReachReporter](c.node); ok && r != core.ReachReporter(s) {
		return
	}
	c.node.Emit(core.AddrsReachabilityChanged{})
	if c.reach().Reachability != core.ReachabilityUnknown {
		c.node.Emit(core.ReachabilityChanged{})
	}
}
