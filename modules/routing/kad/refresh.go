// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/kadwire"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
	"github.com/xnode-p2p/xnode/modules/routing/internal/table"
)

// fill keeps the routing table filled: it looks for peers when there are new
// members, and from time to time, and asks members that have been silent whether
// they are still there.
func (d *dht) fill() {
	pause := min(time.Minute, time.Duration(d.kad.Refresh))
	rng := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	tick := time.NewTicker(pause - time.Duration(rng.Int64N(int64(pause)/8+1)))
	defer tick.Stop()
	for {
		save := false
		select {
		case <-d.done:
			return
		case <-d.wakeFill:
		case <-tick.C:
			save = true
			for _, c := range d.node.Conns() {
				d.consider(c.RemotePeer())
			}
		}
		peers, buckets := d.contacts.due(maxProbes)
		ctx, end := d.begin(context.Background(), 0)
		d.check(ctx, peers)
		for _, bucket := range buckets {
			d.refresh(ctx, bucket, rng)
		}
		end()
		if save || len(buckets) > 0 {
			d.saveContacts()
		}
	}
}

// check asks peers whether they are there.
func (d *dht) check(ctx context.Context, peers []peer.ID) {
	var wg sync.WaitGroup
	for _, p := range peers {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, time.Duration(d.kad.RequestTimeout))
			defer cancel()
			if _, err := d.ask(ctx, p, kadwire.FindNode, []byte(d.node.ID())); err != nil {
				d.log.Debug("probe", "peer", p, "error", err)
			}
		})
	}
	wg.Wait()
}

// refresh looks for peers of a bucket.
func (d *dht) refresh(ctx context.Context, bucket int, rng *rand.Rand) {
	target, ok := d.node.ID(), true
	if bucket != table.Self {
		target, ok = keyspace.Preimage(keyspace.OfPeer(d.node.ID()), bucket, rng)
	}
	if !ok {
		return
	}
	d.contacts.refreshed(keyspace.OfPeer(target))
	_, known := d.size() // if it is not, this is how that is found out
	if _, err := d.lookup(ctx, search{request: kadwire.FindNode, key: []byte(target), plain: !known}); err != nil && ctx.Err() == nil {
		d.log.Debug("refresh", "bucket", bucket, "error", err)
	}
}
