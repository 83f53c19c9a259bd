// SPDX-License-Identifier: Apache-2.0 OR MIT

package bootstrap

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	// maxPeersOfName bounds the peers of one name.
	maxPeersOfName = 100
	// A name is looked up again after lookAgain; after a failure sooner, first
	// after firstRetry and then after twice as long each time. All vary by a
	// quarter.
	lookAgain  = 30 * time.Minute
	firstRetry = 5 * time.Second
)

// follow keeps the list of the peers that a name stands for.
func (b *Bootstrap) follow(ctx context.Context, name ma.Multiaddr) {
	var before []peer.ID
	timer := time.NewTimer(0)
	defer timer.Stop()
	for retry := firstRetry; ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		addrs, err := b.node.Resolve(ctx, name)
		if ctx.Err() != nil {
			return
		}
		peers := b.peersAt(addrs)
		if err == nil && len(peers) > 0 {
			before = b.replace(before, peers)
			timer.Reset(vary(lookAgain))
			retry = firstRetry
			continue
		}
		if retry == firstRetry {
			b.log.Warn("no peers found under a name; it is looked up again later", "name", name, "error", err)
		}
		timer.Reset(vary(retry))
		retry = min(2*retry, lookAgain)
	}
}

// peersAt sorts addresses by the peers that they end in, without those that end
// in none and those of the node itself.
func (b *Bootstrap) peersAt(addrs []ma.Multiaddr) (peers []peer.AddrInfo) {
	for _, a := range addrs {
		transport, id := peer.SplitAddr(a)
		if id == "" || id == b.node.ID() || transport == nil {
			continue
		}
		i := slices.IndexFunc(peers, func(p peer.AddrInfo) bool { return p.ID == id })
		if i < 0 {
			if len(peers) == maxPeersOfName {
				continue
			}
			i = len(peers)
			peers = append(peers, peer.AddrInfo{ID: id})
		}
		peers[i].Addrs = append(peers[i].Addrs, transport)
	}
	return peers
}

// replace takes peers in place of those that the name stood for before, and
// returns who they are.
func (b *Bootstrap) replace(before []peer.ID, peers []peer.AddrInfo) (now []peer.ID) {
	for _, p := range peers {
		b.found(p)
		now = append(now, p.ID)
	}
	for _, id := range before {
		fixed := slices.ContainsFunc(b.fixed, func(p peer.AddrInfo) bool { return p.ID == id })
		if !fixed && !slices.Contains(now, id) {
			b.lost(id)
		}
	}
	return now
}

func vary(d time.Duration) time.Duration { return d - d/4 + rand.N(d/2) }
