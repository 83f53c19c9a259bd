// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// maxDialAddrs bounds the addresses of a dial: that many of those given and that
// many of those in the peerstore. Those that names resolve to are bounded by
// the resolver.
const maxDialAddrs = 64

// candidates are the addresses of a dial, before and after names are resolved.
type candidates struct {
	peer   peer.ID
	record *core.DialRecord
	// source tells for each address, as bytes, where it is from. It is
	// bounded by maxDialAddrs and the limits of the resolver, as are the others.
	source map[string]string
	// names has the DNS name that an address was resolved from.
	names map[string]string
	// asked has the addresses that the caller named, and what they resolved to.
	asked map[string]bool
	// outside has what names resolved to that are not those of a local network.
	outside map[string]bool
	addrs   []ma.Multiaddr
}

// collect takes the addresses of a list that could be the peer's.
func (c *candidates) collect(from string, list []ma.Multiaddr) {
	if n := len(list) - maxDialAddrs; n > 0 {
		err := fmt.Errorf("one of %d addresses too many; a dial takes %d", n, maxDialAddrs)
		c.skip(list[maxDialAddrs], from, err)
		list = list[:maxDialAddrs]
	}
	for _, a := range list {
		a, id := peer.SplitAddr(a)
		key := string(a.Bytes())
		if a == nil || c.source[key] != "" {
			continue
		}
		c.source[key] = from
		c.asked[key] = from == given
		if id != "" && id != c.peer && !has(a, ma.P_CIRCUIT) {
			c.skip(a, from, &core.PeerMismatchError{Want: c.peer, Got: id})
			continue
		}
		c.addrs = append(c.addrs, a)
	}
}

// given is the source of the addresses that the caller names.
const given = "given"

// resolved notes the answer for a name.
func (c *candidates) resolved(n core.DialResolution) {
	c.record.Resolved = append(c.record.Resolved, n)
	for _, a := range n.Found {
		key := keyOf(a)
		if c.source[key] == "" {
			c.source[key] = n.Addr.String()
			c.outside[key] = c.outside[keyOf(n.Addr)] || !isLocal(n.Addr)
		}
		c.asked[key] = c.asked[key] || c.asked[keyOf(n.Addr)]
		switch n.Addr[0].Code() {
		case ma.P_DNS, ma.P_DNS4, ma.P_DNS6:
			c.names[key] = n.Addr[0].Value()
		}
	}
}

// inwards tells whether an address is one of this machine or a local network that
// the caller did not ask for, and that was hidden behind a name on the Internet:
// peers do not choose what is dialled there.
func (c *candidates) inwards(a ma.Multiaddr, key string) bool {
	return c.outside[key] && !c.asked[key] && isLocal(a)
}

// isLocal tells whether an address or a name is of this machine or a local network.
func isLocal(a ma.Multiaddr) bool { return peer.IsPrivate(a) || peer.IsLoopback(a) }

// keyOf is an address without a peer ID, as bytes.
func keyOf(a ma.Multiaddr) string {
	a, _ = peer.SplitAddr(a)
	return string(a.Bytes())
}

func (c *candidates) skip(a ma.Multiaddr, source string, why error) {
	c.record.Attempts = append(c.record.Attempts,
		core.DialAttempt{Addr: a, Source: source, Outcome: core.DialSkipped, Err: why})
}

// gather collects the addresses of a dial, resolves names, notes those that
// will not be tried in r, and returns the rest in the order of their ranks.
func (s *Swarm) gather(ctx context.Context, d *dial, r *core.DialRecord) *race {
	c := &candidates{peer: d.key.peer, record: r, source: map[string]string{}, names: map[string]string{}, asked: map[string]bool{}, outside: map[string]bool{}}
	seen := map[string]bool{}
	if d.key.routed {
		c.routed(d.before, seen)
		c.collect("routing", s.lookUp(ctx, c.peer, r))
	} else if d.key.relayed {
		c.collect(given, d.given)
	} else {
		c.collect(given, d.given)
		if d.key.punch.Role == 0 {
			c.collect("peerstore", s.Book.PeerAddrs(c.peer))
		}
	}
	resolved := s.Resolver.Resolve(ctx, c.addrs, c.peer, c.resolved)

	var own []ma.Multiaddr
	if s.OwnAddrs != nil {
		own = s.OwnAddrs()
	}
	var good []ma.Multiaddr
	for _, a := range resolved {
		a, _ = peer.SplitAddr(a)
		key := string(a.Bytes())
		if a == nil || seen[key] {
			continue
		}
		seen[key] = true
		err := s.refuseAddr(d, a, c.asked[key], own)
		if err == nil && c.inwards(a, key) {
			err = errInwards
		}
		if err != nil {
			c.skip(a, c.source[key], err)
			continue
		}
		good = append(good, a)
	}

	if d.key.punch.Role == 0 {
		good = s.withoutBlackHoles(d.policy, c, good)
	}

	race := &race{swarm: s, policy: d.policy, peer: c.peer, results: make(chan *attempt, len(good))}
	for _, k := range d.policy.Policy.rank(good) {
		key := k.addr.Bytes()
		if d.key.punch.Role != 0 {
			k.delay = 0
		}
		race.attempts = append(race.attempts, &attempt{name: c.names[string(key)], DialAttempt: core.DialAttempt{
			Addr: k.addr, Source: c.source[string(key)], Delay: k.delay, Outcome: core.DialCancelled,
		}})
	}
	return race
}

// withoutBlackHoles leaves out what would most likely be swallowed, unless there
// is nothing else.
func (s *Swarm) withoutBlackHoles(policy *dialPolicy, c *candidates, addrs []ma.Multiaddr) []ma.Multiaddr {
	if policy.Policy.NoBlackHoles {
		return addrs
	}
	var left []ma.Multiaddr
	why := make(map[string]error)
	for _, a := range addrs {
		if err := s.holes.check(a); err != nil {
			why[string(a.Bytes())] = err
		} else {
			left = append(left, a)
		}
	}
	if len(left) == 0 {
		return addrs
	}
	for _, a := range addrs {
		if err := why[string(a.Bytes())]; err != nil {
			c.skip(a, c.source[string(a.Bytes())], err)
		}
	}
	return left
}

var (
	errUnspecified = errors.New("an unspecified address cannot be dialled")
	errMany        = errors.New("a multicast or broadcast address cannot be dialled")
	errInwards     = errors.New("a public name leads into a local network; name the address itself to dial it")
	errRelayed     = errors.New("relayed, and a direct connection is wanted")
	errDirect      = errors.New("direct, and a relayed connection is wanted")
)

// refuseAddr says why an address must not be dialled, or nil.
func (s *Swarm) refuseAddr(d *dial, a ma.Multiaddr, asked bool, own []ma.Multiaddr) error {
	if _, ok := TransportFor(*s.transports.Load(), a); !ok {
		return core.ErrNoTransport
	}
	switch behind := isRelayed(a); {
	case d.key.direct && behind:
		return errRelayed
	case d.key.relayed && !behind:
		return errDirect
	}
	if ip, ok := peer.IP(a); ok {
		if err := refuseIP(ip); err != nil {
			return err
		}
	}
	if err := s.Gater.Addr(a); err != nil {
		return err
	}
	if !has(a, ma.P_CIRCUIT) && slices.ContainsFunc(own, a.Equal) { // others are behind our relays too
		return core.ErrSelf
	}
	if !asked && s.backoff.waits(backoffKey{d.key.peer, string(a.Bytes())}, time.Now()) {
		return core.ErrBackoff
	}
	return nil
}

// broadcast is the address of everyone on the local network.
var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// refuseIP says why no peer can be at an IP address, or nil.
func refuseIP(ip netip.Addr) error {
	switch {
	case ip.IsUnspecified(), ip.Is4() && ip.As4()[0] == 0: // 0.0.0.0/8 is "this network"
		return errUnspecified
	case ip.IsMulticast(), ip == broadcast:
		return errMany
	}
	return nil
}
