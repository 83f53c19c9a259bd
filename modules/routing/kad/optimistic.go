// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/kadwire"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
	"github.com/xnode-p2p/xnode/modules/routing/internal/netsize"
)

const (
	// likely is how likely a peer must be one of the closest to be told at once.
	likely = 0.9
	// told is the part of the announcements that is waited for.
	told = 0.75
)

// provideOptimistic announces content to peers as soon as they are likely to be
// among the closest, and looks no further once those known are as close as is to
// be expected. It waits for most of the announcements; the others go on. Nothing
// is done if the size of the network is not known.
func (d *dht) provideOptimistic(ctx context.Context, key, frame []byte) (done bool, err error) {
	size, ok := d.sizes.estimate()
	if !ok {
		return false, nil
	}
	frame = bytes.Clone(frame) // announcements outlive the caller's
	target := keyspace.Of(key)
	results := make(chan error, 2*d.kad.BucketSize)
	begun := make(map[peer.ID]bool)
	begin := func(p peer.ID) {
		if begun[p] || len(begun) == cap(results) {
			return
		}
		begun[p] = true
		d.wg.Go(func() { // whoever calls has begun, so the group waits already
			ctx, end := d.begin(context.WithoutCancel(ctx), time.Duration(d.kad.RequestTimeout))
			defer end()
			results <- d.announce(ctx, p, frame)
		})
	}
	var closest []peer.ID
	_, err = d.lookup(ctx, search{request: kadwire.FindNode, key: key, plain: true, moved: func(l *lookup, now []peer.ID) bool {
		closest = append(closest[:0], now...)
		keys := make([]keyspace.Key, len(now))
		for i, p := range now {
			keys[i] = keyspace.OfPeer(p)
			if netsize.Among(size, d.kad.BucketSize, target, keys[i]) >= likely {
				l.reach(p)
				begin(p)
			}
		}
		enough := netsize.Complete(size, d.kad.BucketSize, target, keys)
		if enough {
			for _, p := range now {
				l.reach(p)
			}
		}
		return enough
	}})
	if err != nil {
		return true, err
	}
	if suspicion, _ := suspect(size, target, closest); suspicion != netsize.Plausible {
		return false, nil // there is more to be done
	}
	for _, p := range closest {
		begin(p)
	}
	if len(begun) == 0 {
		return true, errNoPeers
	}
	var errs []error
	for ended := 0; ended < len(begun) && (len(errs) == ended || float64(ended) < told*float64(len(begun))); ended++ {
		select {
		case err := <-results:
			if err != nil {
				errs = append(errs, err)
			}
		case <-ctx.Done():
			return true, context.Cause(ctx)
		}
	}
	if len(errs) == len(begun) {
		return true, errors.Join(errs...)
	}
	return true, nil
}
