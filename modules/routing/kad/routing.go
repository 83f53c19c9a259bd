// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/kadwire"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
)

// errNoPeers means that a look-up has nobody to begin with.
var errNoPeers = errors.New("the routing table is empty: not connected to any server of the DHT")

// FindPeer implements [core.PeerRouting]. A peer that this node is connected to
// is found at once. Otherwise the first addresses at which the peer is reached
// are returned, or all that were told of if it is reached at none.
func (k *Kad) FindPeer(ctx context.Context, p peer.ID) (peer.AddrInfo, error) {
	if err := p.Validate(); err != nil {
		return peer.AddrInfo{}, err
	}
	dhts, err := k.running()
	if err != nil {
		return peer.AddrInfo{}, err
	}
	node := dhts[0].node
	if p == node.ID() {
		return peer.AddrInfo{ID: p, Addrs: node.Addrs()}, nil
	}
	if len(node.ConnsTo(p)) > 0 {
		return connected(node, p), nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	found, err := race(dhts, cancel, func(d *dht) (peer.AddrInfo, bool, error) { return d.findPeer(ctx, p) })
	info := peer.AddrInfo{ID: p}
	for _, f := range found {
		for _, a := range f.Addrs {
			if !slices.ContainsFunc(info.Addrs, a.Equal) {
				info.Addrs = append(info.Addrs, a)
			}
		}
	}
	if len(info.Addrs) > 0 {
		return info, nil
	}
	if err == nil {
		err = core.ErrNotFound
	}
	return info, fmt.Errorf("find peer %v: %w", p, err)
}

// connected is where a peer is that the node is connected to.
func connected(node core.Node, p peer.ID) peer.AddrInfo {
	addrs := node.PeerAddrs(p)
	for _, c := range node.ConnsTo(p) {
		if a := c.RemoteMultiaddr(); a != nil && !slices.ContainsFunc(addrs, a.Equal) && c.Stat().Direction == core.Outbound {
			addrs = append(addrs, a)
		}
	}
	return peer.AddrInfo{ID: p, Addrs: addrs}
}

// race does something in all DHTs at once, and returns what came of it. One that
// is final ends the others. The error is that of the first, if nothing else
// came.
func race[T any](dhts []*dht, cancel func(), do func(*dht) (result T, final bool, err error)) (results []T, err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	errs := make([]error, len(dhts))
	over := false
	for i, d := range dhts {
		wg.Go(func() {
			result, final, err := do(d)
			mu.Lock()
			defer mu.Unlock()
			if over {
				return
			}
			if errs[i] = err; err == nil {
				results = append(results, result)
			}
			if final {
				over = true
				results = []T{result}
				cancel()
			}
		})
	}
	wg.Wait()
	if len(results) > 0 {
		return results, nil
	}
	return nil, errs[0]
}

// findPeer looks for a peer. It is final if the peer was reached.
func (d *dht) findPeer(ctx context.Context, p peer.ID) (info peer.AddrInfo, final bool, err error) {
	ctx, end := d.begin(ctx, 0)
	defer end()
	var dials sync.WaitGroup
	defer dials.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	info.ID = p
	reached := make(chan core.Conn, 1)
	_, err = d.lookup(ctx, search{
		request: kadwire.FindNode, key: []byte(p), skip: p,
		heard: func(_ peer.ID, from ma.Multiaddr, answer *kadwire.Message) (int, bool) {
			for _, q := range answer.Closer {
				if q.ID != p {
					continue
				}
				var fresh []ma.Multiaddr
				for _, a := range d.scope.filter(q, from) {
					if !slices.ContainsFunc(info.Addrs, a.Equal) && len(info.Addrs) < kadwire.MaxAddrs {
						info.Addrs = append(info.Addrs, a)
						fresh = append(fresh, a)
					}
				}
				if len(fresh) > 0 {
					dials.Go(func() {
						if c, err := d.node.Connect(core.NoLookup(ctx), peer.AddrInfo{ID: p, Addrs: fresh}); err == nil {
							select {
							case reached <- c:
							default:
							}
							stop()
						}
					})
				}
				return 1, false
			}
			return 0, false
		},
	})
	select {
	case <-reached:
		return connected(d.node, p), true, nil
	default:
	}
	if len(info.Addrs) > 0 {
		return info, false, nil
	}
	if err == nil {
		err = core.ErrNotFound
	}
	return info, false, err
}

// ClosestPeers implements [core.PeerRouting].
func (k *Kad) ClosestPeers(ctx context.Context, key []byte) ([]peer.AddrInfo, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	dhts, err := k.running()
	if err != nil {
		return nil, err
	}
	results, err := race(dhts, func() {}, func(d *dht) ([]peer.AddrInfo, bool, error) {
		ctx, end := d.begin(ctx, 0)
		defer end()
		found, err := d.closest(ctx, key)
		return found, false, err
	})
	if err != nil {
		return nil, fmt.Errorf("closest peers: %w", err)
	}
	var all []peer.AddrInfo
	for _, r := range results {
		for _, p := range r {
			if !slices.ContainsFunc(all, func(q peer.AddrInfo) bool { return q.ID == p.ID }) {
				all = append(all, p)
			}
		}
	}
	keyspace.Sort(keyspace.Of(key), all, func(p peer.AddrInfo) keyspace.Key { return keyspace.OfPeer(p.ID) })
	return all[:min(len(all), k.BucketSize)], nil
}

// closest finds the peers closest to a key.
func (d *dht) closest(ctx context.Context, key []byte) ([]peer.AddrInfo, error) {
	if mapped := d.mapped(keyspace.Of(key)); len(mapped) > 0 {
		return mapped, nil
	}
	return d.lookup(ctx, search{request: kadwire.FindNode, key: key})
}
