// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package bootstrap connects a node to peers that its configuration names, so
// that it gets into a network and stays there.
//
//	"discovery": {"bootstrap": {"peers": ["/ip4/192.0.2.1/tcp/4001/p2p/12D3…", "/dnsaddr/bootstrap.example.org"]}}
//
// As long as the node has few connections it dials those of the peers that it
// is not connected to, in random order; one that does not answer is tried again
// later, and later still, but within seconds while the node has no connection at
// all. Their connections are protected from being trimmed.
// The module does not close connections when there are enough.
package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/discovery/internal/pool"
)

func init() { core.Register(new(Bootstrap), core.Beta) }

// name is the module's, in what it tells of peers.
const name = "bootstrap"

// Bootstrap is the xnode.discovery.bootstrap module.
type Bootstrap struct {
	// Peers are addresses that end in /p2p/ID. A /dnsaddr without an ID stands
	// for all peers that its records name; they are looked up again every half
	// hour. Placeholders are expanded. There must be at least one.
	Peers []string `json:"peers"`
	// MinConnections is how many peers, of whatever sort, the node is to be
	// connected to: as long as there are fewer, peers of the list are dialled.
	// With as many as the list has, or more, it stays connected to all of them
	// while it knows no others. Default: 4.
	MinConnections int `json:"min_connections,omitempty"`

	log   *slog.Logger
	fixed []peer.AddrInfo
	names []ma.Multiaddr

	node   core.Node
	member *pool.Member
	stop   context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex
	protected map[peer.ID]func() // at most those of the configuration, and maxPeersOfName each name
}

// CaddyModule implements [caddy.Module].
func (*Bootstrap) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.discovery.bootstrap", New: func() caddy.Module { return new(Bootstrap) }}
}

// Provision implements [caddy.Provisioner].
func (b *Bootstrap) Provision(ctx caddy.Context) error {
	b.log = core.Logger(ctx)
	if b.MinConnections == 0 {
		b.MinConnections = 4
	}
	var errs []error
	for i, text := range b.Peers {
		if err := b.add(text); err != nil {
			errs = append(errs, fmt.Errorf("peers/%d: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

// add takes a peer of the configuration.
func (b *Bootstrap) add(text string) error {
	text, err := core.Expand(text)
	if err != nil {
		return err
	}
	a, err := ma.NewMultiaddr(text)
	if err != nil {
		return fmt.Errorf("%q is no multiaddr: %w; an example is /ip4/192.0.2.1/tcp/4001/p2p/12D3…", text, err)
	}
	transport, id := peer.SplitAddr(a)
	switch {
	case id == "" && a[0].Code() == ma.P_DNSADDR:
		b.names = append(b.names, a)
		return nil
	case id == "":
		return fmt.Errorf("%s does not say who is there; add /p2p/ID", a)
	case transport == nil:
		return fmt.Errorf("%s does not say where the peer is; write its address before it", a)
	}
	if err := id.Validate(); err != nil {
		return fmt.Errorf("%s: %w", a, err)
	}
	for i := range b.fixed {
		if b.fixed[i].ID == id { // one peer, several addresses
			b.fixed[i].Addrs = append(b.fixed[i].Addrs, transport)
			return nil
		}
	}
	b.fixed = append(b.fixed, peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{transport}})
	return nil
}

// Validate implements [caddy.Validator].
func (b *Bootstrap) Validate() error {
	if len(b.Peers) == 0 {
		return errors.New("peers: there are none; name at least one, or remove the module")
	}
	if b.MinConnections < 1 {
		return fmt.Errorf("min_connections: %d would never dial; want at least 1", b.MinConnections)
	}
	return nil
}

// Start implements [core.Service].
func (b *Bootstrap) Start(_ context.Context, n core.Node) error {
	member, err := pool.Join(n, pool.Source{
		Name:       name,
		Most:       len(b.fixed) + maxPeersOfName*len(b.names),
		Connect:    b.MinConnections,
		All:        true,
		Configured: true,
	}, b.log)
	if err != nil {
		return err
	}
	b.node, b.member, b.protected = n, member, make(map[peer.ID]func())
	for _, p := range b.fixed {
		if !b.found(p) {
			b.log.Info("the node itself is one of its bootstrap peers, and does not dial itself")
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.stop = cancel
	for _, a := range b.names {
		b.wg.Go(func() { b.follow(ctx, a) })
	}
	return nil
}

// Close implements [core.Service].
func (b *Bootstrap) Close() error {
	if b.member == nil {
		return nil
	}
	b.stop()
	b.wg.Wait()
	err := b.member.Leave()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, unprotect := range b.protected {
		unprotect()
	}
	clear(b.protected)
	return err
}

// Discovered implements [core.PeerDiscovery].
func (b *Bootstrap) Discovered() []core.PeerDiscovered {
	if b.member == nil {
		return nil
	}
	return b.member.Discovered()
}

// found takes a peer to be dialled. It refuses the node itself.
func (b *Bootstrap) found(p peer.AddrInfo) bool {
	if p.ID == b.node.ID() {
		return false
	}
	b.mu.Lock()
	if b.protected[p.ID] == nil {
		b.protected[p.ID] = b.node.Protect(p.ID, name)
	}
	b.mu.Unlock()
	b.member.Found(p, 0)
	return true
}

// lost takes a peer back.
func (b *Bootstrap) lost(id peer.ID) {
	b.mu.Lock()
	if unprotect := b.protected[id]; unprotect != nil {
		unprotect()
		delete(b.protected, id)
	}
	b.mu.Unlock()
	b.member.Lost(id)
}

var (
	_ core.Discoverer    = (*Bootstrap)(nil)
	_ core.PeerDiscovery = (*Bootstrap)(nil)
	_ caddy.Provisioner  = (*Bootstrap)(nil)
	_ caddy.Validator    = (*Bootstrap)(nil)
)
