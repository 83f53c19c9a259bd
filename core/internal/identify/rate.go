// SPDX-License-Identifier: Apache-2.0 OR MIT

package identify

import (
	"net/netip"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// How many pushes are taken.
const (
	pushConcurrent = 32
	pushInterval   = 5 * time.Second // one by one, from one network
	pushBurst      = 10              // at once, from one network
	pushPerSecond  = 2000            // in all
	pushOrigins    = 8192            // networks that are remembered
)

// bucket holds tokens that come back one by one.
type bucket struct {
	tokens float64
	at     time.Time // when tokens was right
}

// take takes a token, if there is one. There are at most burst.
func (b *bucket) take(now time.Time, interval time.Duration, burst float64) bool {
	b.tokens = min(burst, b.tokens+float64(now.Sub(b.at))/float64(interval))
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// origin is who shares a bucket: an IPv4 /24 or an IPv6 /56 of the Internet,
// one host of a local network, one peer where there is no IP address.
type origin struct {
	network netip.Prefix
	peer    peer.ID
}

// originOf returns the origin of what comes on c; ok is false on this machine,
// which needs no limit of its own.
func originOf(c core.Conn) (o origin, ok bool) {
	remote := c.RemoteMultiaddr()
	ip, isIP := peer.IP(remote)
	if !isIP {
		return origin{peer: c.RemotePeer()}, true
	}
	bits := ip.BitLen()
	switch {
	case peer.IsLoopback(remote):
		return o, false
	case peer.IsPrivate(remote):
	case ip.Is4():
		bits = 24
	default:
		bits = 56
	}
	o.network, _ = ip.Prefix(bits)
	return o, true
}

// pushLimiter decides which pushes are taken.
type pushLimiter struct {
	now func() time.Time

	mu      sync.Mutex
	running int
	all     bucket
	origins map[origin]*bucket // at most pushOrigins
	swept   time.Time          // when origins was last gone through
}

func (l *pushLimiter) init(now func() time.Time) {
	l.now = now
	l.all = bucket{tokens: pushPerSecond, at: now()}
	l.origins = make(map[origin]*bucket)
}

// take admits a push on c until release is called.
func (l *pushLimiter) take(c core.Conn) (release func(), ok bool) {
	o, limited := originOf(c)
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running == pushConcurrent {
		return nil, false
	}
	if limited && !l.takeOrigin(o, now) {
		return nil, false
	}
	if !l.all.take(now, time.Second/pushPerSecond, pushPerSecond) {
		return nil, false
	}
	l.running++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.running--
	}, true
}

func (l *pushLimiter) takeOrigin(o origin, now time.Time) bool {
	b := l.origins[o]
	if b == nil {
		if len(l.origins) >= pushOrigins && now.Sub(l.swept) >= time.Second {
			l.sweep(now)
		}
		if len(l.origins) >= pushOrigins {
			return false
		}
		b = &bucket{tokens: pushBurst, at: now}
		l.origins[o] = b
	}
	return b.take(now, pushInterval, pushBurst)
}

// sweep forgets the origins whose buckets are full again.
func (l *pushLimiter) sweep(now time.Time) {
	l.swept = now
	for o, b := range l.origins {
		if b.tokens+float64(now.Sub(b.at))/float64(pushInterval) >= pushBurst {
			delete(l.origins, o)
		}
	}
}
