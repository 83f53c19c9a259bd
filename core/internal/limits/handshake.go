// SPDX-License-Identifier: Apache-2.0 OR MIT

package limits

import (
	"container/list"
	"net/netip"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/internal/subnet"
	"github.com/xnode-p2p/xnode/core/peer"
)

// handshakeGrace is how long a handshake has before it may have to give way:
// enough for an honest one over most distances. Without it, those who begin
// many a second would have every honest one given up.
const handshakeGrace = 500 * time.Millisecond

// handshake is the part of a connection that is of use until its peer is known.
type handshake struct {
	from    netip.Prefix
	at      time.Time
	place   *list.Element // in handshakes.list; nil when it is over
	yield   func()        // has the connection closed; nil until OnYield
	yielded bool
}

// handshakes are the inbound connections that are in their handshake.
type handshakes struct {
	// list has their Conns, the oldest first: at most Config.Handshakes, unless
	// that has become less.
	list list.List
	// from is how many there are from each IPv4 address and each IPv6 /56,
	// loopback and trusted ones included; what has no address is one source.
	from map[netip.Prefix]int
}

// sourceOf is where a handshake is from.
func sourceOf(remote ma.Multiaddr) netip.Prefix {
	ip, ok := peer.IP(remote)
	if !ok || relayed(remote) {
		return netip.Prefix{}
	}
	return subnet.Narrow(ip)
}

func (h *handshakes) enter(c *Conn, from netip.Prefix, now time.Time) {
	h.from[from]++
	c.handshake = handshake{from: from, at: now, place: h.list.PushBack(c)}
}

// leave returns false if c is in no handshake.
func (h *handshakes) leave(c *Conn) bool {
	s := &c.handshake
	if s.place == nil {
		return false
	}
	h.list.Remove(s.place)
	s.place, s.yield = nil, nil
	if h.from[s.from]--; h.from[s.from] == 0 {
		delete(h.from, s.from)
	}
	return true
}

// dispensable returns the oldest handshake of the source that has the most of
// those that have had their grace, nil if there are none.
func (h *handshakes) dispensable(now time.Time) (oldest *Conn) {
	most := 0
	for e := h.list.Front(); e != nil; e = e.Next() {
		c := e.Value.(*Conn)
		if now.Sub(c.handshake.at) < handshakeGrace {
			break
		}
		if n := h.from[c.handshake.from]; n > most {
			oldest, most = c, n
		}
	}
	return oldest
}

// giveWay ends the handshake of a connection, and returns what has to be called
// for that; it may be nil.
func (c *Conn) giveWay() (yield func()) {
	yield = c.handshake.yield
	c.endHandshake(false)
	c.handshake.yielded = true
	return yield
}

// OnYield implements [core.Admission].
func (c *Conn) OnYield(f func()) {
	c.limits.mu.Lock()
	yielded := c.handshake.yielded
	if c.handshake.place != nil {
		c.handshake.yield = f
	}
	c.limits.mu.Unlock()
	if yielded {
		f()
	}
}
