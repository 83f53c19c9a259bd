// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
	"github.com/xnode-p2p/xnode/modules/routing/internal/netsize"
)

// minSuspect is how many times as large as the closest peers a network must be
// for it to be strange that they are close. Small ones grow too fast.
const minSuspect = 10

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

// track takes the result of a look-up that has come to its end. It judges whether
// the peers are closer to the target than chance would have them.
func (s *sizes) track(target keyspace.Key, closest []peer.ID) (suspicion netsize.Suspicion, chance float64) {
	keys := make([]keyspace.Key, len(closest))
	for i, p := range closest {
		keys[i] = keyspace.OfPeer(p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Tracked first: it may show that earlier look-ups did not see everybody.
	s.estimator.Track(target, keys, time.Now())
	if size, ok := s.estimator.Size(time.Now()); ok && size >= float64(minSuspect*len(closest)) {
		suspicion, chance = netsize.Suspect(size, target, keys)
	}
	return suspicion, chance
}
