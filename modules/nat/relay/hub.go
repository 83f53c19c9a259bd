// SPDX-License-Identifier: Apache-2.0 OR MIT

package relay

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// hubKey is the hub's in the node's shares.
type hubKey struct{}

// hub is what the instances of the module on one node have in common, so that
// places and circuits outlive a reload: the handlers, the ledger of the relay
// and the node's own places. The settings are those of the newest instance.
type hub struct {
	node     core.Node
	log      *slog.Logger
	ctx      context.Context // ends with the hub: of its goroutines, no call's
	cancel   context.CancelFunc
	stops    []func()
	circuits circuits
	planning planning

	serving sync.Mutex // held while the hop handler changes
	unserve func()     // nil if nobody is served

	mu        sync.Mutex
	instances []*Relay // the newest last; two at most, in a reload
	service   *Service // nil if nobody is served
	ledger    *ledger
	tally     tally
	closed    bool

	running sync.WaitGroup
}

func newHub(n core.Node, log *slog.Logger) *hub {
	h := &hub{node: n, log: log, ledger: newLedger()}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.planning.init()
	h.stops = []func(){
		n.Handle(StopID, h.serveStop),
		core.On(n, h.disconnected),
		core.On(n, func(e core.Identified) { h.identified(e.Conn) }),
		core.On(n, func(e core.PeerDiscovered) { h.plan(found{e.Peer.ID}) }),
		core.On(n, func(e core.ReachabilityChanged) { h.plan(reachability{e.Reachability}) }),
	}
	h.running.Go(h.run)
	return h
}

// enter makes an instance's settings those of the hub.
func (h *hub) enter(r *Relay) {
	h.mu.Lock()
	h.instances = append(h.instances, r)
	h.mu.Unlock()
	h.configure()
	if reporter, ok := core.Find[core.ReachReporter](h.node); ok { // which has begun before
		h.plan(reachability{reporter.Reach().Reachability})
	}
}

// leave makes the settings again those of the instance before, if there is one.
func (h *hub) leave(r *Relay) {
	h.mu.Lock()
	h.instances = slices.DeleteFunc(h.instances, func(o *Relay) bool { return o == r })
	h.mu.Unlock()
	h.configure()
}

// configure takes the settings of the newest instance over.
func (h *hub) configure() {
	h.serving.Lock()
	defer h.serving.Unlock()
	h.mu.Lock()
	h.service = nil
	if n := len(h.instances); n > 0 {
		h.service = h.instances[n-1].Service
	}
	serves := h.service != nil
	h.mu.Unlock()
	switch {
	case serves && h.unserve == nil:
		h.unserve = h.node.Handle(HopID, h.serveHop, core.HandleLimited())
	case !serves && h.unserve != nil:
		h.unserve() // which ends the circuits
		h.unserve = nil
		h.mu.Lock()
		h.ledger, h.tally = newLedger(), tally{}
		h.mu.Unlock()
		h.circuits.bytes.Store(0)
	}
	h.plan(nil)
}

// Close ends all. It is called when the last instance has gone.
func (h *hub) Close() error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.cancel()
	for _, stop := range h.stops {
		stop()
	}
	h.running.Wait()
	h.planning.end()
	return nil
}

// spawn runs f, unless the hub has been closed.
func (h *hub) spawn(f func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.running.Go(f)
	return true
}

// listenerFor returns who accepts connections through a relay, or nil.
func (h *hub) listenerFor(relay peer.ID) *listener {
	h.mu.Lock()
	instances := slices.Clone(h.instances)
	h.mu.Unlock()
	for _, r := range slices.Backward(instances) {
		if l := r.listenerFor(relay); l != nil {
			return l
		}
	}
	return nil
}

// settings returns what the instances want of the node's own places.
func (h *hub) settings() (s settings) {
	h.mu.Lock()
	instances := slices.Clone(h.instances)
	h.mu.Unlock()
	for i, r := range slices.Backward(instances) {
		named, any := r.listening()
		s.named = append(s.named, named...)
		s.any = s.any || any
		if i == len(instances)-1 {
			s.static, s.count = r.relays, r.Count
		}
	}
	return s
}

// disconnected follows the connections of those who have a place here, and of
// the relays where this node has one.
func (h *hub) disconnected(e core.Disconnected) {
	p := e.Conn.RemotePeer()
	if h.direct(p) {
		return
	}
	h.mu.Lock()
	h.ledger.left(p)
	h.mu.Unlock()
	if h.planning.holds(p) {
		h.plan(lost{p})
	}
}

// direct reports whether there is a connection to p that is not relayed.
func (h *hub) direct(p peer.ID) bool { return h.directConn(p) != nil }

func (h *hub) directConn(p peer.ID) core.Conn {
	for _, c := range h.node.ConnsTo(p) {
		if !isRelayed(c) {
			return c
		}
	}
	return nil
}

// isRelayed reports whether a connection is through a relay.
func isRelayed(c core.Conn) bool { return c.Stat().Limited || relayed(c.RemoteMultiaddr()) }

// finish has a closed connection finished.
func (h *hub) finish(c *conn) {
	if !h.spawn(func() { c.finish(h.ctx) }) {
		c.stream.Reset(core.StreamNoError)
	}
}
