// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package host assembles a node: it is the only package that knows all kinds
// of module. A [Host] is a running node; [App] is the same as an app of a Caddy
// configuration.
package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/connmgr"
	"github.com/xnode-p2p/xnode/core/internal/eventbus"
	"github.com/xnode-p2p/xnode/core/internal/gater"
	"github.com/xnode-p2p/xnode/core/internal/identify"
	"github.com/xnode-p2p/xnode/core/internal/limits"
	"github.com/xnode-p2p/xnode/core/internal/netmon"
	"github.com/xnode-p2p/xnode/core/internal/peerstore"
	"github.com/xnode-p2p/xnode/core/internal/resolve"
	"github.com/xnode-p2p/xnode/core/internal/swarm"
	"github.com/xnode-p2p/xnode/core/peer"
)

// protocolVersion is what identify tells peers in its first field.
const protocolVersion = "ipfs/0.1.0"

// Settings are what a host is made of, beside the plans it runs.
type Settings struct {
	// Key is the node's private key.
	Key peer.PrivateKey
	// Log receives what the node itself has to say. Nil means: nothing.
	Log *slog.Logger
	// Resolver looks up names. Nil means the system's resolver.
	Resolver resolve.Backend
	// NoIdentify makes a node that neither asks nor answers identify. It is
	// for measurements: other peers learn nothing of such a node.
	NoIdentify bool
	// WatchNetwork makes a node that notices when the network of the machine
	// changes. Without it, addresses are looked up when listeners change.
	WatchNetwork bool
}

// Host is a node. It plays all roles of [core.Node]. What it runs is decided
// by the plan that was acquired last.
type Host struct {
	core.Node
	log      *slog.Logger
	logs     *core.Logs // where log leads, in a Caddy configuration
	swarm    *swarm.Swarm
	limits   *limits.Limits
	gater    *gater.Gater
	book     *peerstore.Book
	identify *identify.Service
	addrs    *addrs
	network  netmon.Monitor
	keeper   *keeper

	applying sync.Mutex // held while plans change

	mu        sync.Mutex
	leases    []*Lease
	running   []module // in the order of their start
	listeners []listener
	closed    bool
}

// node gathers the parts that play the roles. Three roles have a method of
// their own name, hence the aliases.
type (
	node struct {
		core.Identity
		core.Streams
		core.Dialer
		core.Peers
		connTable
		addrBook
		core.Names
		core.Events
		moduleList
		*core.ShareTable
		core.Prober
	}
	connTable  = core.Conns
	addrBook   = core.Addrs
	moduleList = core.Modules
)

// New returns a host that runs nothing yet.
func New(s Settings) (*Host, error) {
	if s.Key == nil {
		return nil, errors.New("a host needs a private key")
	}
	log := s.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	h := &Host{log: log}
	id := newIdentity(s.Key)
	bus := eventbus.New(func(event, recovered any, stack []byte) {
		log.Error("panic in an event subscriber", "event", fmt.Sprintf("%T", event),
			"panic", fmt.Sprint(recovered), "stack", string(stack))
	})
	book := peerstore.New(peerstore.Config{}, time.Now)
	var config limits.Config
	if err := config.Provision(); err != nil {
		return nil, err
	}
	h.limits = limits.New(config, time.Now)
	var err error
	if h.gater, err = gater.New(gater.Config{}); err != nil {
		return nil, err
	}
	h.book = book
	h.keeper = newKeeper(book, log)
	h.addrs = newAddrs(bus, h.bound, h.judged)
	resolver := resolve.New(s.Resolver)
	h.swarm = swarm.New(swarm.Settings{
		Identity: id,
		Events:   bus,
		Book:     book,
		Limits:   h.limits,
		Gater:    h.gater,
		Manager:  new(connmgr.Manager),
		Resolver: resolver,
		Log:      log,
		OwnAddrs: h.addrs.Addrs,
		Routing:  h.routing,
	})
	h.Node = node{id, h.swarm, h.swarm, book, h.swarm, h.addrs, names{resolver}, bus, h, new(core.ShareTable), h.swarm}
	h.identify = identify.New(identify.Settings{
		Node:            h,
		Conns:           h.swarm.Conns,
		Book:            book,
		Protocols:       h.swarm.Protocols,
		InOrder:         h.swarm.InOrder,
		ProtocolVersion: protocolVersion,
		Log:             log,
		Now:             time.Now,
	})
	if !s.NoIdentify {
		h.identify.Start()
	}
	h.network = netmon.Monitor{Addrs: interfaceAddrs, Changed: h.networkChanged, Tick: h.relisten}
	if s.WatchNetwork {
		h.network.Start()
	}
	return h, nil
}

// networkChanged tells what follows from a change of the machine's network.
func (h *Host) networkChanged() {
	h.log.Info("the network has changed")
	h.swarm.NetworkChanged()
	h.addrs.update()
	h.Emit(core.NetworkChanged{})
}

// routing returns the modules that find peers, as one; false if there is none.
func (h *Host) routing() (core.PeerRouting, bool) {
	_, ok := core.Find[core.PeerRouting](h)
	return core.Routers{Of: h}, ok
}

// judged tells whether a module finds out which addresses can be reached.
func (h *Host) judged() bool {
	_, ok := core.Find[core.ReachReporter](h)
	return ok
}

// Modules implements [core.Modules].
func (h *Host) Modules() []any {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]any, len(h.running))
	for i, m := range h.running {
		list[i] = m.value
	}
	return list
}

// Protocols lists the served protocols, sorted.
func (h *Host) Protocols() []string { return h.swarm.Protocols() }

// Agent is what the node tells its peers it runs. It is empty until a plan is
// acquired.
func (h *Host) Agent() string { return h.identify.OwnAgent() }

// Disconnect closes all connections to p.
func (h *Host) Disconnect(p peer.ID) error { return h.swarm.Disconnect(p) }

// PeerProtocolVersion is the version of the protocol family that p names in
// identify; empty if unknown.
func (h *Host) PeerProtocolVersion(p peer.ID) string { return h.book.PeerProtocolVersion(p) }

// WaitIdentified waits until identify on c has ended and says how. With
// [Settings].NoIdentify it waits for ctx.
func (h *Host) WaitIdentified(ctx context.Context, c core.Conn) error { return h.identify.Wait(ctx, c) }

// Limits returns what is in use of the limits.
func (h *Host) Limits() limits.Stat { return h.limits.Stat() }

// Close ends everything, plans that are still held included.
func (h *Host) Close() error {
	h.applying.Lock()
	defer h.applying.Unlock()
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	running, listeners := h.running, h.listeners
	h.running, h.listeners, h.leases = nil, nil, nil
	h.mu.Unlock()

	h.network.Close()
	var errs []error
	for _, l := range listeners {
		errs = append(errs, l.Close())
	}
	for _, m := range slices.Backward(running) {
		errs = append(errs, closeModule(m))
	}
	h.identify.Close()
	errs = append(errs, h.swarm.Close())
	h.keeper.close() // when nobody is connected any more
	return errors.Join(errs...)
}

// Destruct implements [caddy.Destructor].
func (h *Host) Destruct() error { return h.Close() }

var _ core.Node = (*Host)(nil)
