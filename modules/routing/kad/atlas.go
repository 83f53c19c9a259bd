// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
	"github.com/xnode-p2p/xnode/modules/routing/internal/query"
)

// atlas is the map of all of the network that the accelerated client has: all
// peers that answered when it was last crawled.
type atlas struct {
	mu     sync.RWMutex
	places []place // at most maxCrawled; replaced as a whole
}

// place is where a peer is.
type place struct {
	key keyspace.Key
	peer.AddrInfo
}

// nearest returns the n peers closest to a target, the closest first; none while
// there is no map.
func (a *atlas) nearest(target keyspace.Key, n int) []place {
	a.mu.RLock()
	places := a.places
	a.mu.RUnlock()
	near := make([]place, 0, n+1)
	for _, p := range places {
		if len(near) == n && !keyspace.Closer(target, p.key, near[n-1].key) {
			continue
		}
		i := len(near)
		near = append(near, p)
		for ; i > 0 && keyspace.Closer(target, p.key, near[i-1].key); i-- {
			near[i] = near[i-1]
		}
		near[i] = p
		near = near[:min(len(near), n)]
	}
	return near
}

func (a *atlas) replace(places []place) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.places = places
}

// size tells how many peers are on the map.
func (a *atlas) size() int {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return len(a.places)
}

// draw draws the map, at first as soon as there are peers, and then again and
// again.
func (d *dht) draw() {
	pause := time.Second
	for {
		timer := time.NewTimer(pause)
		select {
		case <-d.done:
			timer.Stop()
			return
		case <-timer.C:
		}
		var mu sync.Mutex
		var places []place
		err := d.crawl(context.Background(), func(p core.CrawledPeer) bool {
			if p.Err == nil {
				mu.Lock()
				places = append(places, place{keyspace.OfPeer(p.ID), p.AddrInfo})
				mu.Unlock()
			}
			return true
		})
		if err != nil || len(places) == 0 {
			pause = min(2*pause, time.Minute)
			continue
		}
		d.log.Debug("map drawn", "peers", len(places))
		d.atlas.replace(places)
		pause = time.Duration(d.kad.Accelerated.Interval)
	}
}

// mapped returns the peers closest to a key that are on the map, and lets the node
// know where they are.
func (d *dht) mapped(key keyspace.Key) []peer.AddrInfo {
	near := d.atlas.nearest(key, d.kad.BucketSize)
	infos := make([]peer.AddrInfo, len(near))
	for i, p := range near {
		infos[i] = p.AddrInfo
		d.node.AddPeerAddrs(p.ID, core.TempTTL, p.Addrs...)
	}
	return infos
}

// besideMapped returns more peers that are on the map if the closest to a key
// crowd there.
func (d *dht) besideMapped(ctx context.Context, key []byte, closest []peer.AddrInfo) []peer.AddrInfo {
	ids := make([]peer.ID, len(closest))
	for i, p := range closest {
		ids[i] = p.ID
	}
	size, crowded := d.crowded(ctx, search{key: key}, ids)
	if !crowded {
		return nil
	}
	return d.beside(ctx, keyspace.Of(key), size)
}

// seeds returns the peers that a look-up of a key begins with: those of the
// routing table, twice as many as are looked for since some may not answer, of the
// map if there is one, and of the search.
func (d *dht) seeds(key keyspace.Key, s search) []query.Peer {
	seeds := d.contacts.seeds(key, 2*d.kad.BucketSize, s.without)
	for _, p := range slices.Concat(d.mapped(key), s.seeds) {
		seeds = append(seeds, query.Peer{ID: p.ID, Group: d.contacts.groupOf(p.Addrs)})
	}
	return seeds
}
