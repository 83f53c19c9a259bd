// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
	"github.com/xnode-p2p/xnode/modules/routing/internal/netsize"
)

// sizes estimates the size of the network.
type sizes struct {
	mu        sync.Mutex
	estimator *netsize.Estimator
}

func newSizes(k *Kad) *sizes { return &sizes{estimator: netsize.New(k.BucketSize)} }

// estimate returns how many peers there are; ok is false while that is not known.
func (s *sizes) estimate() (peers float64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.estimator.Size(time.Now())
}

// track takes the result of a look-up that has come to its end.
func (s *sizes) track(target keyspace.Key, closest []peer.ID) {
	keys := make([]keyspace.Key, len(closest))
	for i, p := range closest {
		keys[i] = keyspace.OfPeer(p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.estimator.Track(target, keys, time.Now())
}

// of is what one look-up alone says of the size.
func (s *sizes) of(target keyspace.Key, closest []peer.AddrInfo) float64 {
	keys := make([]keyspace.Key, len(closest))
	for i, p := range closest {
		keys[i] = keyspace.OfPeer(p.ID)
	}
	return s.estimator.Of(target, keys)
}
