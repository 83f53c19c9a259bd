// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package holepunch makes a direct connection of one through a relay, where both
// ends are behind NATs: DCUtR, /libp2p/dcutr, over TCP and QUIC.
//
// Spec: https://github.com/libp2p/specs/blob/master/relay/DCUtR.md
//
//	"nat": {"relay": {}, "holepunch": {}}
//
// The two tell each other their addresses and dial at the same time, so that each
// opens its NAT for the packets of the other. The relayed connection stays where
// that fails; where it succeeds, it is closed once its streams have ended: new
// ones take the direct connection. Every attempt ends in a [core.HolePunched].
package holepunch

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

func init() { core.Register(new(HolePunch), core.Alpha) }

// ID is the protocol's ID.
const ID = "/libp2p/dcutr"

const (
	// streamTimeout bounds a stream.
	streamTimeout = time.Minute
	// maxStreams is how many streams a peer may have.
	maxStreams = 2
	// maxPunches bounds the peers that are being punched to at a time.
	maxPunches = 32
	// maxPerConn bounds the attempts of one relayed connection, whoever begins
	// them.
	maxPerConn = 6
	// patience is how long the other side's next attempt waits for the end of
	// the last one here: that both take the same time is by chance.
	patience = 2 * time.Second
)

// HolePunch is the xnode.nat.holepunch module.
type HolePunch struct {
	// Attempts is how often a hole is tried to be punched, 1 to 3. Default: 3.
	Attempts int `json:"attempts,omitempty"`
	// Timeout is how long an attempt may take; at least 1s. Default: "5s".
	Timeout core.Duration `json:"timeout,omitempty"`
	// Linger is how long a relayed connection may still be used by streams
	// that were open before the direct one was made. Default: "1m".
	Linger core.Duration `json:"linger,omitempty"`
	// AllowPrivate takes addresses of local networks and of this machine too.
	// With it, peers choose what is dialled there. Default: false.
	AllowPrivate bool `json:"allow_private,omitempty"`

	log      *slog.Logger
	node     core.Node
	observed observed
	stops    []func()
	ctx      context.Context // from Start to Close: of what runs then, no call's
	cancel   context.CancelFunc

	mu       sync.Mutex
	closed   bool
	punching map[peer.ID]chan struct{} // closed at its end; bounded by maxPunches
	relayed  map[core.Conn]*relayed    // one each relayed connection
	wg       sync.WaitGroup
}

// relayed is what is known of a relayed connection; under the module's mu.
type relayed struct {
	attempts   int           // begun by either side
	known      bool          // identify has ended
	identified chan struct{} // closed then
	dialled    bool          // so have been what the peer says are its addresses
}

// CaddyModule implements [caddy.Module].
func (*HolePunch) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.nat.holepunch", New: func() caddy.Module { return new(HolePunch) }}
}

// Provision implements [caddy.Provisioner].
func (h *HolePunch) Provision(ctx caddy.Context) error {
	h.log = core.Logger(ctx)
	if h.Attempts == 0 {
		h.Attempts = 3
	}
	if h.Timeout == 0 {
		h.Timeout = core.Duration(5 * time.Second)
	}
	if h.Linger == 0 {
		h.Linger = core.Duration(time.Minute)
	}
	return nil
}

// Validate implements [caddy.Validator].
func (h *HolePunch) Validate() error {
	switch {
	case h.Attempts < 1 || h.Attempts > 3:
		return fmt.Errorf("attempts: %d is not between 1 and 3", h.Attempts)
	case h.Timeout < core.Duration(time.Second):
		return fmt.Errorf("timeout: %v is too short; want at least 1s", h.Timeout)
	case h.Linger < 0:
		return fmt.Errorf("linger: %v is negative", h.Linger)
	}
	return nil
}

// Start implements [core.Service].
func (h *HolePunch) Start(_ context.Context, n core.Node) error {
	h.node = n
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.punching, h.relayed = make(map[peer.ID]chan struct{}), make(map[core.Conn]*relayed)
	h.observed.private = h.AllowPrivate
	h.stops = []func(){
		n.Handle(ID, h.serve, core.HandleLimited(), core.HandleAtMost(maxStreams)),
		core.On(n, h.connected),
		core.On(n, func(e core.Identified) { h.identified(e.Conn, e.ObservedAddr) }),
		core.On(n, func(e core.IdentifyFailed) { h.identified(e.Conn, nil) }),
		core.On(n, h.protocolsChanged),
		core.On(n, h.disconnected),
	}
	for _, c := range n.Conns() { // which somebody else may have left
		h.identified(c, nil)
		h.begin(c)
	}
	return nil
}

// Close implements [core.Service].
func (h *HolePunch) Close() error {
	if h.node == nil {
		return nil
	}
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.cancel()
	for _, stop := range h.stops {
		stop()
	}
	h.stops = nil
	h.wg.Wait()
	return nil
}

// spawn runs f, unless the module is closed.
func (h *HolePunch) spawn(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.wg.Go(f)
	}
}

// connected begins where somebody has connected through a relay.
func (h *HolePunch) connected(e core.Connected) { h.begin(e.Conn) }

// protocolsChanged begins where somebody who has is ready only now.
func (h *HolePunch) protocolsChanged(e core.PeerProtocolsChanged) {
	if slices.Contains(e.Added, ID) {
		for _, c := range h.node.ConnsTo(e.Peer) {
			h.begin(c)
		}
	}
}

func (h *HolePunch) begin(c core.Conn) {
	if isRelayed(c) && c.Stat().Direction == core.Inbound {
		h.spawn(func() { h.initiate(c) })
	}
}

// identified notes what the other side of a connection says.
func (h *HolePunch) identified(c core.Conn, seen ma.Multiaddr) {
	h.observed.add(c, seen, h.node.ListenAddrs())
	h.mu.Lock()
	defer h.mu.Unlock()
	if r, ok := h.stateLocked(c); ok && !r.known {
		r.known = true
		close(r.identified)
	}
}

func (h *HolePunch) disconnected(e core.Disconnected) {
	h.observed.remove(e.Conn)
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.relayed, e.Conn)
}

// stateLocked returns what is known of a connection; false if it is not relayed, or
// has ended.
func (h *HolePunch) stateLocked(c core.Conn) (*relayed, bool) {
	if !isRelayed(c) {
		return nil, false
	}
	select {
	case <-c.Done():
		return nil, false // nobody would take it off again
	default:
	}
	r, ok := h.relayed[c]
	if !ok {
		r = &relayed{identified: make(chan struct{})}
		h.relayed[c] = r
	}
	return r, true
}

// enter notes that a hole to the peer of a connection is being punched; false if
// one is already and goes on for longer than patience, or if there are too many.
func (h *HolePunch) enter(c core.Conn, patience time.Duration) bool {
	p := c.RemotePeer()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		h.mu.Lock()
		other, busy := h.punching[p]
		if !busy && len(h.punching) < maxPunches {
			h.punching[p] = make(chan struct{})
			h.mu.Unlock()
			return true
		}
		h.mu.Unlock()
		if !busy || patience == 0 {
			return false
		}
		select {
		case <-other:
		case <-timer.C:
			return false
		case <-c.Done():
			return false
		case <-h.ctx.Done():
			return false
		}
	}
}

func (h *HolePunch) leave(c core.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.punching[c.RemotePeer()])
	delete(h.punching, c.RemotePeer())
}

// count counts an attempt of a relayed connection and returns its number; 0 if it
// is one too many.
func (h *HolePunch) count(c core.Conn) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, ok := h.stateLocked(c)
	if !ok || r.attempts == maxPerConn {
		return 0
	}
	r.attempts++
	return r.attempts
}

// whenKnown waits until identify has ended on a connection. It reports whether the
// peer's addresses are still to be dialled, which they are once.
func (h *HolePunch) whenKnown(ctx context.Context, c core.Conn) (dial bool, err error) {
	h.mu.Lock()
	r, ok := h.stateLocked(c)
	h.mu.Unlock()
	if !ok {
		return false, core.ErrConnClosed
	}
	select {
	case <-r.identified:
	case <-c.Done():
		return false, core.ErrConnClosed
	case <-ctx.Done():
		return false, ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	dial, r.dialled = !r.dialled, true
	return dial, nil
}

// ownAddrs are the addresses that the other side is told: some that the node tells
// everybody, and then those at which it has been seen.
func (h *HolePunch) ownAddrs() []ma.Multiaddr {
	told := usable(h.node.Addrs(), h.AllowPrivate)
	first := told[:min(len(told), maxAddrs/2)]
	return usable(slices.Concat(first, h.observed.list(), told), h.AllowPrivate)
}

// direct returns a connection to p that is not relayed, or nil.
func (h *HolePunch) direct(p peer.ID) core.Conn {
	for _, c := range h.node.ConnsTo(p) {
		if !isRelayed(c) {
			return c
		}
	}
	return nil
}

var _ core.NAT = (*HolePunch)(nil)
