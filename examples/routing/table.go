// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package table finds peers in a table that the configuration has.
//
//	"routing": {"table": {"peers": ["/ip4/192.0.2.1/tcp/4001/p2p/12D3KooW…"]}}
//
// It asks nobody.
package table

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

func init() { core.Register(new(Table), core.Development) }

// Table is the xnode.routing.table module.
type Table struct {
	// Peers are addresses that end in /p2p/ID. Placeholders are expanded.
	// Default: none.
	Peers []string `json:"peers,omitempty"`

	known map[peer.ID][]ma.Multiaddr
}

// CaddyModule implements [caddy.Module].
func (*Table) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.routing.table", New: func() caddy.Module { return new(Table) }}
}

// Provision implements [caddy.Provisioner].
func (t *Table) Provision(caddy.Context) error {
	t.known = make(map[peer.ID][]ma.Multiaddr)
	for i, text := range t.Peers {
		text, err := core.Expand(text)
		if err != nil {
			return fmt.Errorf("peers/%d: %w", i, err)
		}
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			return fmt.Errorf("peers/%d: %q is no multiaddr: %w", i, text, err)
		}
		where, id := peer.SplitAddr(a)
		if id == "" || where == nil {
			return fmt.Errorf("peers/%d: %s does not say who is where; write an address and /p2p/ID behind it", i, a)
		}
		t.known[id] = append(t.known[id], where)
	}
	return nil
}

// Start implements [core.Service].
func (*Table) Start(context.Context, core.Node) error { return nil }

// Close implements [core.Service].
func (*Table) Close() error { return nil }

// FindPeer implements [core.PeerRouting].
func (t *Table) FindPeer(_ context.Context, p peer.ID) (peer.AddrInfo, error) {
	addrs, ok := t.known[p]
	if !ok {
		return peer.AddrInfo{}, fmt.Errorf("%s: %w", p, core.ErrNotFound)
	}
	return peer.AddrInfo{ID: p, Addrs: slices.Clone(addrs)}, nil
}

// ClosestPeers implements [core.PeerRouting]: by the distance that Kademlia has.
func (t *Table) ClosestPeers(_ context.Context, key []byte) ([]peer.AddrInfo, error) {
	target := sha256.Sum256(key)
	var list []peer.AddrInfo
	for id, addrs := range t.known {
		list = append(list, peer.AddrInfo{ID: id, Addrs: slices.Clone(addrs)})
	}
	distance := func(p peer.AddrInfo) []byte {
		d := sha256.Sum256([]byte(p.ID))
		for i := range d {
			d[i] ^= target[i]
		}
		return d[:]
	}
	slices.SortFunc(list, func(a, b peer.AddrInfo) int { return bytes.Compare(distance(a), distance(b)) })
	return list[:min(len(list), 20)], nil
}

var (
	_ core.Routing     = (*Table)(nil)
	_ core.PeerRouting = (*Table)(nil)
)
