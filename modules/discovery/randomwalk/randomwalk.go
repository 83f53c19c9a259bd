// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package randomwalk finds peers by looking for whoever is closest to keys that
// nobody chose, with whatever module of the node routes peers.
//
//	"routing": {"kad": {}}, "discovery": {"randomwalk": {}}
//
// A DHT keeps its own routing table alive without it: the module is for nodes
// that want to know, and be connected to, peers from everywhere in the network.
package randomwalk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/modules/discovery/internal/pool"
)

func init() { core.Register(new(RandomWalk), core.Beta) }

// name is the module's, in what it tells of peers.
const name = "randomwalk"

const (
	// keySize is that of the keys, in bytes: they have the form of the peer ID
	// of a hashed key, so that those understand them too who know no others.
	keySize   = 34
	keyPrefix = "\x12\x20" // SHA-256, of 32 bytes
	// maxWalks bounds the walks that are made at a time.
	maxWalks = 16
	// minInterval is the least time from one round to the next.
	minInterval = time.Second
	// maxPeers bounds the peers that are remembered.
	maxPeers = 1000
	// firstRetry is how long after a round that found nobody the next begins:
	// a node that starts may know nobody yet who could be asked. It doubles
	// with each such round, up to the interval.
	firstRetry = 5 * time.Second
)

// RandomWalk is the xnode.discovery.randomwalk module.
type RandomWalk struct {
	// Interval is the time from one round of walks to the next; each varies by a
	// quarter. The first round is at the start. At least 1s. Default: "5m".
	Interval core.Duration `json:"interval,omitempty"`
	// Walks is how many walks a round has, at once; 1 to 16. Default: 1.
	Walks int `json:"walks,omitempty"`
	// Timeout bounds a walk. Default: "1m".
	Timeout core.Duration `json:"timeout,omitempty"`
	// MinConnections is how many peers, of whatever sort, the node is to be
	// connected to: as long as there are fewer, peers that were found are
	// dialled. Default: 8.
	MinConnections int `json:"min_connections,omitempty"`

	log    *slog.Logger
	member *pool.Member
	stop   context.CancelFunc
	wg     sync.WaitGroup
}

// CaddyModule implements [caddy.Module].
func (*RandomWalk) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.discovery.randomwalk", New: func() caddy.Module { return new(RandomWalk) }}
}

// Provision implements [caddy.Provisioner].
func (r *RandomWalk) Provision(ctx caddy.Context) error {
	r.log = core.Logger(ctx)
	if r.Interval == 0 {
		r.Interval = core.Duration(5 * time.Minute)
	}
	if r.Walks == 0 {
		r.Walks = 1
	}
	if r.Timeout == 0 {
		r.Timeout = core.Duration(time.Minute)
	}
	if r.MinConnections == 0 {
		r.MinConnections = 8
	}
	return nil
}

// Validate implements [caddy.Validator].
func (r *RandomWalk) Validate() error {
	switch {
	case time.Duration(r.Interval) < minInterval:
		return fmt.Errorf("interval: %v is too short; want at least %v", r.Interval, minInterval)
	case r.Walks < 1 || r.Walks > maxWalks:
		return fmt.Errorf("walks: %d is not between 1 and %d", r.Walks, maxWalks)
	case r.MinConnections < 1:
		return fmt.Errorf("min_connections: %d would never dial; want at least 1", r.MinConnections)
	}
	return nil
}

// Start implements [core.Service].
func (r *RandomWalk) Start(_ context.Context, n core.Node) (err error) {
	r.member, err = pool.Join(n, pool.Source{Name: name, Most: maxPeers, Connect: r.MinConnections, All: true}, r.log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	r.wg.Go(func() { r.run(ctx, core.Routers{Of: n}) })
	return nil
}

// Close implements [core.Service].
func (r *RandomWalk) Close() error {
	if r.member == nil {
		return nil
	}
	r.stop()
	r.wg.Wait()
	return r.member.Leave()
}

// Discovered implements [core.PeerDiscovery].
func (r *RandomWalk) Discovered() []core.PeerDiscovered {
	if r.member == nil {
		return nil
	}
	return r.member.Discovered()
}

// run makes rounds of walks until ctx ends.
func (r *RandomWalk) run(ctx context.Context, routing core.PeerRouting) {
	interval := time.Duration(r.Interval)
	retry := min(firstRetry, interval)
	warned := false
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		found, err := r.round(ctx, routing)
		if errors.Is(err, core.ErrNoRouting) && !warned {
			r.log.Warn("no module routes peers, so there are no walks; add one to routing, such as kad")
			warned = true
		}
		if found > 0 {
			retry = min(firstRetry, interval)
			timer.Reset(vary(interval))
			continue
		}
		timer.Reset(vary(retry))
		retry = min(2*retry, interval)
	}
}

// vary returns a time within a quarter of d, so that nodes that have started
// together do not go on together.
func vary(d time.Duration) time.Duration {
	return d - d/4 + mathrand.N(d/2+1)
}

// round makes the walks of one round. It returns how many peers they have found,
// and the error of the last that has failed.
func (r *RandomWalk) round(ctx context.Context, routing core.PeerRouting) (found int, err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range r.Walks {
		wg.Go(func() {
			n, failed := r.walk(ctx, routing)
			mu.Lock()
			defer mu.Unlock()
			found += n
			if failed != nil {
				err = failed
			}
		})
	}
	wg.Wait()
	return found, err
}

// walk looks for the peers that are closest to a new key, and hands those that
// have addresses to the pool. It returns how many those are.
func (r *RandomWalk) walk(ctx context.Context, routing core.PeerRouting) (found int, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(r.Timeout))
	defer cancel()
	key := make([]byte, keySize)
	rand.Read(key[copy(key, keyPrefix):])
	peers, err := routing.ClosestPeers(ctx, key)
	if err != nil {
		r.log.Debug("random walk has found nobody", "error", err)
		return 0, err
	}
	for _, p := range peers {
		if len(p.Addrs) > 0 {
			r.member.Found(p, max(core.DiscoveredTTL, 2*time.Duration(r.Interval)))
			found++
		}
	}
	return found, nil
}

var (
	_ core.Discoverer    = (*RandomWalk)(nil)
	_ core.PeerDiscovery = (*RandomWalk)(nil)
	_ caddy.Provisioner  = (*RandomWalk)(nil)
	_ caddy.Validator    = (*RandomWalk)(nil)
)
