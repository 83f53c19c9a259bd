// SPDX-License-Identifier: Apache-2.0 OR MIT

package holepunch

import (
	"slices"
	"sync"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// maxObserved bounds the connections whose observed addresses are remembered.
const maxObserved = 64

// observed has the addresses at which single peers see the node. Nobody else is
// told of them: one peer may lie, but then a hole is punched in vain.
type observed struct {
	private bool

	mu    sync.Mutex
	addrs map[core.Conn]ma.Multiaddr
}

// add notes what a peer says in identify, if the port that it has seen is one
// that the node listens on.
func (o *observed) add(c core.Conn, seen ma.Multiaddr, listen []ma.Multiaddr) {
	if seen == nil || isRelayed(c) || len(usable([]ma.Multiaddr{seen}, o.private)) == 0 || !fromListener(c, listen) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.addrs == nil {
		o.addrs = make(map[core.Conn]ma.Multiaddr)
	}
	if len(o.addrs) < maxObserved {
		o.addrs[c] = seen
	}
}

func (o *observed) remove(c core.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.addrs, c)
}

func (o *observed) list() (list []ma.Multiaddr) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, a := range o.addrs {
		list = append(list, a)
	}
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
