// SPDX-License-Identifier: Apache-2.0 OR MIT

package holepunch

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"sync"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// maxObserved bounds the connections whose observed addresses are remembered, of
// each direction: those that others have made must not displace the rest.
const maxObserved = 32

// observed has the addresses at which single peers see the node. Nobody else is
// told of them: one peer may lie, but then a hole is punched in vain.
type observed struct {
	private bool

	mu   sync.Mutex
	seen map[core.Conn]observation // bounded by twice maxObserved
}

// observation is what the other side of a connection says.
type observation struct {
	addr ma.Multiaddr
	by   netip.Addr
}

// add notes what a peer says in identify, if the port that it has seen is one
// that the node listens on.
func (o *observed) add(c core.Conn, seen ma.Multiaddr, listen []ma.Multiaddr) {
	if seen == nil || isRelayed(c) || len(usable([]ma.Multiaddr{seen}, o.private)) == 0 || !fromListener(c, listen) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen == nil {
		o.seen = make(map[core.Conn]observation)
	}
	others := 0
	for other := range o.seen {
		if other.Stat().Direction == c.Stat().Direction {
			others++
		}
	}
	if others < maxObserved {
		by, _ := peer.IP(c.RemoteMultiaddr())
		o.seen[c] = observation{seen, by}
	}
}

func (o *observed) remove(c core.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.seen, c)
}

// list returns the addresses, and first those that are seen from most places, of
// peers that this node has chosen to connect to.
func (o *observed) list() (list []ma.Multiaddr) {
	type place struct {
		addr string
		by   netip.Addr
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	places := make(map[place]bool)
	votes := make(map[string]int)
	for c, s := range o.seen {
		key := string(s.addr.Bytes())
		if votes[key] == 0 {
			list = append(list, s.addr)
		}
		votes[key]++
		if at := (place{key, s.by}); c.Stat().Direction == core.Outbound && !places[at] {
			places[at] = true
			votes[key] += 2 * maxObserved // more than all of the others together
		}
	}
	slices.SortFunc(list, func(a, b ma.Multiaddr) int {
		return cmp.Or(cmp.Compare(votes[string(b.Bytes())], votes[string(a.Bytes())]), bytes.Compare(a.Bytes(), b.Bytes()))
	})
	return list
}

// fromListener reports whether the local end of a connection has the port of a
// listener: only then does a NAT let in there what comes for it.
func fromListener(c core.Conn, listen []ma.Multiaddr) bool {
	local := c.LocalMultiaddr()
	if len(local) < 2 {
		return false
	}
	return slices.ContainsFunc(listen, func(l ma.Multiaddr) bool {
		return len(l) > 1 && l[1].Code() == local[1].Code() && l[1].Value() == local[1].Value()
	})
}

// usable returns those of addresses that holes can be punched to: TCP and QUIC, at
// an IP address on the Internet. Nobody is made to dial into a local network,
// unless private is true, nor this machine, nor what is none.
func usable(addrs []ma.Multiaddr, private bool) (list []ma.Multiaddr) {
	for _, a := range addrs {
		a, _ = peer.SplitAddr(a)
		far := peer.IsPublic(a) || private && (peer.IsPrivate(a) || peer.IsLoopback(a))
		if _, ok := peer.IP(a); !ok || !far || len(list) == maxAddrs || slices.ContainsFunc(list, a.Equal) {
			continue
		}
		tcp := len(a) == 2 && a[1].Code() == ma.P_TCP
		quic := len(a) == 3 && a[1].Code() == ma.P_UDP && a[2].Code() == ma.P_QUIC_V1
		if tcp || quic {
			list = append(list, a)
		}
	}
	return list
}

// isRelayed reports whether a connection is through a relay.
func isRelayed(c core.Conn) bool {
	return c.Stat().Limited || slices.ContainsFunc(c.RemoteMultiaddr(), func(p ma.Component) bool { return p.Code() == ma.P_CIRCUIT })
}
