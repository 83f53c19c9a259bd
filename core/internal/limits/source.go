// SPDX-License-Identifier: Apache-2.0 OR MIT

package limits

import (
	"net/netip"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/internal/subnet"
	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	// maxSources bounds the subnets that are remembered although they have no
	// connections; there are two at most for each connection besides.
	maxSources = 8192
	// looks is how many remembered subnets each new connection looks at, to
	// forget those that are as good as new.
	looks = 8

	// wideFactor is how much more a /48 or a private address may have.
	wideFactor = 8
	// shareOfHandshakes is how many handshakes a subnet may have in flight
	// once half of all are taken.
	shareOfHandshakes = 2

	// What a connection costs of its subnet's rate: at first, given back when
	// the handshake ends well, and on top when the connection ends without.
	costOpen, costGood, costBad = 1, 0.75, 1
)

// origin is a subnet and how many times the limits it may have. A factor of
// zero means none.
type origin struct {
	prefix netip.Prefix
	factor int
}

// source is what is remembered of a subnet: a token bucket and two counts.
type source struct {
	factor            int
	conns, handshakes int
	// tokens is how many more connections may be opened, as of at. It falls
	// below zero, at most to minus the burst, for connections that fail.
	tokens float64
	at     time.Time
	// full is when it last had all tokens.
	full time.Time
}

// originsOf returns the subnets with which a connection from remote counts.
func (l *Limits) originsOf(remote ma.Multiaddr) (list [2]origin) {
	ip, ok := peer.IP(remote)
	if !ok || peer.IsLoopback(remote) || relayed(remote) {
		return list
	}
	for _, p := range l.trusted {
		if p.Contains(ip) {
			return list
		}
	}
	factor := 1
	if peer.IsPrivate(remote) {
		factor = wideFactor
	}
	list[0] = origin{subnet.Narrow(ip), factor}
	if wide, ok := subnet.Wide(ip); ok {
		list[1] = origin{wide, factor * wideFactor}
	}
	return list
}

// relayed tells whether the address is one behind a relay, whose own address
// says nothing of where the peer is.
func relayed(a ma.Multiaddr) bool {
	for i := range a {
		if a[i].Code() == ma.P_CIRCUIT {
			return true
		}
	}
	return false
}

// refill brings the tokens of a source up to date.
func (l *Limits) refill(s *source, now time.Time) {
	if d := now.Sub(s.at); d > 0 {
		s.tokens += d.Seconds() * l.config.ConnectRate * float64(s.factor)
		s.at = now
	}
	if burst := l.burst(s); s.tokens >= burst {
		s.tokens, s.full = burst, now
	}
}

// burst is how many tokens a source has at most.
func (l *Limits) burst(s *source) float64 { return float64(l.config.ConnectBurst) * float64(s.factor) }

// checkSource tells whether one more connection may come from o.
func (l *Limits) checkSource(o origin, now time.Time) error {
	s, ok := l.sources[o.prefix]
	if !ok {
		return nil
	}
	scope := "subnet " + o.prefix.String()
	if limit := l.config.ConnectionsPerSubnet * o.factor; s.conns >= limit {
		return l.refuse(scope, "inbound connections", limit, "connections_per_subnet")
	}
	l.refill(s, now)
	if s.tokens < costOpen {
		// Which of the two keys helps: has it been going on for longer than
		// all tokens take to come back?
		limit := l.config.ConnectBurst * o.factor
		long := time.Duration(float64(l.config.ConnectBurst) / l.config.ConnectRate * float64(time.Second))
		if now.Sub(s.full) < long {
			return l.refuse(scope, "inbound connections at once", limit, "connect_burst")
		}
		return l.refuse(scope, "inbound connections in a row", limit, "connect_rate")
	}
	if limit := shareOfHandshakes * o.factor; s.handshakes >= limit && l.handshakes.list.Len() >= (l.config.Handshakes+1)/2 {
		return l.refuse(scope, "inbound handshakes while many others wait", limit, "handshakes")
	}
	return nil
}

// enterSource counts a connection from o, and pays for it.
func (l *Limits) enterSource(o origin, now time.Time) *source {
	s, ok := l.sources[o.prefix]
	if !ok {
		s = &source{factor: o.factor, at: now, full: now}
		s.tokens = l.burst(s)
		l.sources[o.prefix] = s
	}
	s.conns++
	s.handshakes++
	s.tokens -= costOpen
	return s
}

// settleSource ends the handshake of a connection from s, well or not.
func (l *Limits) settleSource(s *source, good bool) {
	s.handshakes--
	if good {
		s.tokens = min(s.tokens+costGood, l.burst(s))
	} else {
		s.tokens = max(s.tokens-costBad, -l.burst(s))
	}
}

// forgetSources looks at some remembered subnets, in random order, and forgets
// those of which nothing is left to remember. If there are too many it forgets
// the one with the most tokens besides.
func (l *Limits) forgetSources(now time.Time) {
	seen := 0
	var most netip.Prefix
	var tokens float64
	for prefix, s := range l.sources {
		if seen++; seen > looks {
			break
		}
		if s.conns > 0 {
			continue
		}
		l.refill(s, now)
		if s.tokens >= l.burst(s) {
			delete(l.sources, prefix)
		} else if !most.IsValid() || s.tokens > tokens {
			most, tokens = prefix, s.tokens
		}
	}
	if len(l.sources) >= maxSources && most.IsValid() {
		delete(l.sources, most)
	}
}
