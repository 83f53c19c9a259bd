// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package relay lets peers meet that cannot dial each other, through a third
// that both can dial: circuit relay v2, /libp2p/circuit/relay/0.2.0/hop and stop.
//
// Spec: https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md
//
//	"nat": {"relay": {"relays": ["/dns4/relay.example.org/tcp/4001/p2p/12D3Koo…"]}}
//
// A node that has the module dials addresses that end in /p2p-circuit. If it
// listens on /p2p-circuit, it has places at relays as long as it is not reachable
// itself: at those named, or else at some that it finds; if it listens on a
// relay's address that ends in /p2p-circuit, it always has a place at that one.
// With service it is a relay for others. What relays carry is encrypted
// between the two ends. Version 1 of the protocol is not spoken.
package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

func init() { core.Register(new(Relay), core.Beta) }

// The protocols' IDs.
const (
	HopID  = "/libp2p/circuit/relay/0.2.0/hop"
	StopID = "/libp2p/circuit/relay/0.2.0/stop"
)

const (
	defaultCount = 2
	// maxRelays bounds the relays that a configuration names, and count.
	maxRelays = 16
)

// Relay is the xnode.nat.relay module.
type Relay struct {
	// Service makes this node a relay for others, within its limits; {} has
	// the default ones. Default: none, which serves nobody.
	Service *Service `json:"service,omitempty"`
	// Relays are where the node has its places while it listens on
	// /p2p-circuit: multiaddrs that end in /p2p/ID. Without any, it finds
	// some. Placeholders are expanded. Default: none.
	Relays []string `json:"relays,omitempty"`
	// Count is at how many relays the node has a place at a time, 1 to 16.
	// Default: 2.
	Count int `json:"count,omitempty"`

	relays []peer.AddrInfo
	log    *slog.Logger

	mu        sync.Mutex
	listeners []*listener // one each address in the document
	hub       *hub        // between Start and Close
	release   func() error
}

// CaddyModule implements [caddy.Module].
func (*Relay) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.nat.relay", New: func() caddy.Module { return new(Relay) }}
}

// Provision implements [caddy.Provisioner].
func (r *Relay) Provision(ctx caddy.Context) error {
	r.log = core.Logger(ctx)
	if r.Count == 0 {
		r.Count = defaultCount
	}
	var errs []error
	for i, text := range r.Relays {
		info, err := parseRelay(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("relays/%d: %w", i, err))
			continue
		}
		r.relays = append(r.relays, info)
	}
	if r.Service != nil {
		if err := r.Service.Provision(); err != nil {
			errs = append(errs, fmt.Errorf("service: %w", err))
		}
	}
	return errors.Join(errs...)
}

func parseRelay(text string) (info peer.AddrInfo, err error) {
	if text, err = core.Expand(text); err != nil {
		return info, err
	}
	if info, err = peer.ParseAddrInfo(text); err != nil {
		return info, fmt.Errorf("%q: %w; an example is /dns4/relay.example.org/tcp/4001/p2p/12D3Koo…", text, err)
	}
	if slices.ContainsFunc(info.Addrs, relayed) {
		return info, fmt.Errorf("%s is behind a relay itself; name one that is not", text)
	}
	return info, nil
}

// Validate implements [caddy.Validator].
func (r *Relay) Validate() error {
	switch {
	case r.Count < 1 || r.Count > maxRelays:
		return fmt.Errorf("count: %d is not between 1 and %d", r.Count, maxRelays)
	case len(r.Relays) > maxRelays:
		return fmt.Errorf("relays: there are %d; name at most %d", len(r.Relays), maxRelays)
	case r.Service != nil:
		if err := r.Service.Validate(); err != nil {
			return fmt.Errorf("service: %w", err)
		}
	}
	return nil
}

// Start implements [core.Service].
func (r *Relay) Start(_ context.Context, n core.Node) error {
	h, release, err := core.Share(n, hubKey{}, func() (*hub, error) { return newHub(n, r.log), nil })
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.hub, r.release = h, release
	r.mu.Unlock()
	h.enter(r)
	return nil
}

// Close implements [core.Service].
func (r *Relay) Close() error {
	r.mu.Lock()
	h, release := r.hub, r.release
	r.hub = nil
	r.mu.Unlock()
	if h == nil {
		return nil
	}
	h.leave(r)
	return release()
}

// running returns the hub, or an error if the module does not run.
func (r *Relay) running() (*hub, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hub == nil {
		return nil, fmt.Errorf("relay: %w", net.ErrClosed)
	}
	return r.hub, nil
}

// Match implements [core.Transport].
func (*Relay) Match(a ma.Multiaddr) bool {
	_, ok := splitCircuit(a)
	return ok
}

// Dial implements [core.RawTransport].
func (r *Relay) Dial(ctx context.Context, a ma.Multiaddr) (manet.Conn, error) {
	way, dst := peer.SplitAddr(a)
	relay, ok := splitCircuit(way)
	switch {
	case !ok || dst == "":
		return nil, fmt.Errorf("dial %s: not an address of a peer behind a relay", a)
	case relay.ID == "":
		return nil, fmt.Errorf("dial %s: it names no relay", a)
	}
	h, err := r.running()
	if err != nil {
		return nil, err
	}
	c, err := h.dial(ctx, relay, dst)
	if err != nil {
		return nil, fmt.Errorf("relay %s: %w", relay.ID.Short(), err)
	}
	return c, nil
}

// Listen implements [core.RawTransport].
func (r *Relay) Listen(a ma.Multiaddr) (manet.Listener, error) {
	relay, ok := splitCircuit(a)
	if !ok {
		return nil, fmt.Errorf("listen %s: not an address behind a relay", a)
	}
	l := newListener(r, a, relay)
	r.mu.Lock()
	r.listeners = append(r.listeners, l)
	h := r.hub
	r.mu.Unlock()
	if h != nil {
		h.plan(nil)
	}
	return l, nil
}

// unlisten takes a listener off.
func (r *Relay) unlisten(l *listener) {
	r.mu.Lock()
	r.listeners = slices.DeleteFunc(r.listeners, func(o *listener) bool { return o == l })
	h := r.hub
	r.mu.Unlock()
	if h != nil {
		h.plan(nil)
	}
}

// listenerFor returns the listener for connections through a relay, or nil: the
// one on its own address, or else the one behind any.
func (r *Relay) listenerFor(relay peer.ID) (found *listener) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.listeners {
		if l.relay.ID == relay || l.relay.ID == "" && found == nil {
			found = l
		}
	}
	return found
}

// listening returns the relays that are listened on by name, and whether the
// choice of others is the node's.
func (r *Relay) listening() (named []peer.AddrInfo, any bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.listeners {
		if l.relay.ID == "" {
			any = true
		} else {
			named = append(named, l.relay)
		}
	}
	return named, any
}

// splitCircuit parts an address behind a relay, without the peer's own ID at its
// end. The relay's ID is empty if the address is /p2p-circuit alone.
func splitCircuit(a ma.Multiaddr) (relay peer.AddrInfo, ok bool) {
	n := len(a)
	if n == 0 || a[n-1].Code() != ma.P_CIRCUIT || relayed(a[:n-1]) {
		return relay, false
	}
	if n == 1 {
		return relay, true
	}
	addr, id := peer.SplitAddr(a[:n-1])
	if id == "" || id.Validate() != nil {
		return relay, false
	}
	relay.ID = id
	if addr != nil {
		relay.Addrs = []ma.Multiaddr{addr}
	}
	return relay, true
}

// relayed reports whether an address is one behind a relay.
func relayed(a ma.Multiaddr) bool {
	return slices.ContainsFunc(a, func(c ma.Component) bool { return c.Code() == ma.P_CIRCUIT })
}

// behind returns the address behind a relay that is at a.
func behind(a ma.Multiaddr, relay peer.ID) ma.Multiaddr {
	return slices.Concat(peer.JoinAddr(a, relay), circuitAddr)
}

var circuitAddr = ma.StringCast("/p2p-circuit")

var (
	_ core.NAT          = (*Relay)(nil)
	_ core.RawTransport = (*Relay)(nil)
)
