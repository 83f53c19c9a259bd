// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
	"github.com/xnode-p2p/xnode/modules/routing/internal/kadwire"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
	"github.com/xnode-p2p/xnode/modules/routing/internal/netsize"
)

const (
	// soundings is how many look-ups of random targets say how large the
	// network is now.
	soundings = 3
	// sections of the key space around a target are looked through, each half as
	// large as the one before: the first has at least twice as many peers as are
	// wanted, so that some may be liars too, and what the last leaves out has
	// less than one.
	sections = 10
)

// Somebody who makes up peer IDs can have them lie closer to a key than all
// honest peers do. The routing tables of others then have room for nobody else
// around there, and a look-up sees the liars alone, as it should: they are the
// closest. But nobody has IDs enough to be closest to all keys. So where the
// closest are too close for the size of the network, the honest peers that would
// be the closest are found by what lies beside the key: the part of the space
// that shares all but the last of so many bits with it has no liar, and a
// look-up of any target there finds who is. What is to be stored is stored with
// all of them, and what is looked for is asked of them.

// crowded tells whether the closest peers to a target are closer than chance
// would have them, and how large the network is. If it seems so, random targets
// are looked up before: it may have grown, or its size was not known.
func (d *dht) crowded(ctx context.Context, s search, closest []peer.ID) (size float64, crowded bool) {
	target := keyspace.Of(s.key)
	size, known := d.size()
	if !known {
		size = float64(len(closest)) // at least
	}
	if suspicion, _ := suspect(size, target, closest); suspicion == netsize.Plausible {
		return size, false
	}
	size = max(size, d.sound(ctx))
	suspicion, chance := suspect(size, target, closest)
	if suspicion == netsize.Plausible || ctx.Err() != nil {
		return size, false
	}
	d.log.Warn("the peers closest to a key are closer than chance would have them; somebody may be hiding what is stored there, so others are asked too",
		"key", wire.Text(string(s.key), 128), "chance", chance)
	return size, true
}

func suspect(size float64, target keyspace.Key, closest []peer.ID) (netsize.Suspicion, float64) {
	keys := make([]keyspace.Key, len(closest))
	for i, p := range closest {
		keys[i] = keyspace.OfPeer(p)
	}
	return netsize.Suspect(size, target, keys)
}

// size is how many peers there are; known is false while too little is.
func (d *dht) size() (peers float64, known bool) {
	if n := d.atlas.size(); n > 0 {
		return float64(n), true
	}
	return d.sizes.estimate()
}

// sound looks up random targets, and returns the median of what they say of the
// size of the network.
func (d *dht) sound(ctx context.Context) float64 {
	var found [soundings]float64
	d.lookupAll(ctx, soundings, search{plain: true}, func(i int) (peer.ID, bool) {
		return keyspace.Preimage(keyspace.Key{byte(rand.Uint32())}, 0, newRand())
	}, func(i int, target keyspace.Key, closest []peer.AddrInfo) {
		found[i] = d.sizes.of(target, closest)
	})
	slices.Sort(found[:])
	return found[soundings/2]
}

// beside returns the peers around a target, without those that crowd there.
func (d *dht) beside(ctx context.Context, target keyspace.Key, size float64) []peer.AddrInfo {
	first := max(0, int(math.Log2(size/float64(d.kad.BucketSize)))-2)
	// Who crowds is closer to the sections than most others are, too.
	others := search{plain: true, without: func(p peer.ID) bool {
		return keyspace.CommonPrefix(target, keyspace.OfPeer(p)) >= first+sections
	}}
	// Those who know of peers in one section may be in another: hence twice.
	for range 2 {
		var found [sections][]peer.AddrInfo
		d.lookupAll(ctx, sections, others, func(i int) (peer.ID, bool) {
			return keyspace.Preimage(target, first+i, newRand())
		}, func(i int, _ keyspace.Key, closest []peer.AddrInfo) {
			for _, p := range closest { // the others are the matter of other sections
				if keyspace.CommonPrefix(target, keyspace.OfPeer(p.ID)) == first+i {
					found[i] = append(found[i], p)
				}
			}
		})
		others.seeds = slices.Concat(found[:]...)
	}
	return others.seeds
}

// lookupAll looks up the peers closest to targets, all at the same time.
func (d *dht) lookupAll(ctx context.Context, n int, s search, target func(int) (peer.ID, bool), found func(int, keyspace.Key, []peer.AddrInfo)) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for i := range n {
		wg.Go(func() {
			p, ok := target(i)
			if !ok {
				return
			}
			closest := d.mapped(keyspace.OfPeer(p))
			if len(closest) == 0 {
				var err error
				s := s
				s.request, s.key = kadwire.FindNode, []byte(p)
				if closest, err = d.lookup(ctx, s); err != nil {
					d.log.Debug("wider look-up", "error", err)
				}
			}
			found(i, keyspace.OfPeer(p), closest)
		})
	}
}

func newRand() *rand.Rand { return rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) }

// widen asks the peers around the target too, if those that were found crowd
// there, and returns all that have answered.
func (l *lookup) widen(ctx context.Context, closest []peer.ID) (all []peer.ID, crowded bool) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(l.d.kad.QueryTimeout))
	defer cancel()
	size, crowded := l.d.crowded(ctx, l.search, closest)
	if !crowded {
		return closest, false
	}
	var more, ask []peer.ID
	for _, p := range l.d.beside(ctx, l.target, size) {
		if p.ID == l.skip || p.ID == l.d.node.ID() {
			continue
		}
		if _, answered := l.answered[p.ID]; answered || l.heard == nil {
			more = append(more, p.ID) // has answered this, or who is closest
		} else {
			ask = append(ask, p.ID)
		}
		l.addrs[p.ID] = p.Addrs
	}
	more = append(more, l.askAll(ctx, ask)...)
	closest = slices.Concat(closest, more)
	keyspace.Sort(l.target, closest, keyspace.OfPeer)
	return slices.Compact(closest), true
}

// askAll sends the request to more peers, and returns those that answered.
func (l *lookup) askAll(ctx context.Context, peers []peer.ID) (answered []peer.ID) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.outcomes = make(chan outcome) // not those that came too late
	for open := 0; (len(peers) > 0 || open > 0) && !l.unwanted(); {
		for ; len(peers) > 0 && open < l.d.kad.BucketSize; open++ {
			l.ask(ctx, peers[0])
			peers = peers[1:]
		}
		select {
		case o := <-l.outcomes:
			open--
			if l.take(o); o.err == nil {
				answered = append(answered, o.from.ID)
			}
		case <-ctx.Done():
			return answered
		}
	}
	return answered
}

// unwanted tells whether nothing more is of use to who looks.
func (l *lookup) unwanted() bool { return l.over != nil && l.over() }
