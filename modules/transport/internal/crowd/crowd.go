// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package crowd bounds the connections that have not said yet what they are for.
package crowd

import (
	"net/netip"
	"slices"
	"sync"
)

// Crowd holds the connections of a port whose handshake, or the like, is not
// over. When there are too many it gives up the oldest of the remote that has
// the most: who says what it has to say gets in, however many others are silent.
type Crowd struct {
	limit int

	mu     sync.Mutex
	closed bool
	guests []*Guest             // in the order in which they came; at most limit
	counts map[netip.Prefix]int // of guests, by their source
}

// Guest is a connection in a crowd.
type Guest struct {
	crowd  *Crowd
	source netip.Prefix
	giveUp func()
}

// New returns a crowd of at most limit connections.
func New(limit int) *Crowd {
	return &Crowd{limit: limit, counts: make(map[netip.Prefix]int)}
}

// source is the remote as far as one host or household has it: an IPv4 address
// or the network of an IPv6 one.
func source(ip netip.Addr) netip.Prefix {
	bits := 32
	if ip = ip.Unmap(); !ip.Is4() {
		bits = 56
	}
	p, _ := ip.WithZone("").Prefix(bits) // zero for an invalid address
	return p
}

// Enter takes a connection in; crowded is true if another had to go for it. It
// returns nil if the crowd is closed.
//
// GiveUp ends the connection. It is called once at most, and not after Leave. It
// must neither block nor use the crowd.
func (c *Crowd) Enter(from netip.Addr, giveUp func()) (g *Guest, crowded bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, false
	}
	if crowded = len(c.guests) == c.limit; crowded {
		c.dismissLocked(c.heaviestLocked())
	}
	g = &Guest{crowd: c, source: source(from), giveUp: giveUp}
	c.guests = append(c.guests, g)
	c.counts[g.source]++
	return g, crowded
}

// heaviestLocked is the index of the oldest guest of the source that has the most.
func (c *Crowd) heaviestLocked() (heaviest int) {
	most := 0
	for i, g := range c.guests {
		if n := c.counts[g.source]; n > most {
			heaviest, most = i, n
		}
	}
	return heaviest
}

func (c *Crowd) dismissLocked(i int) {
	g := c.guests[i]
	c.removeLocked(i)
	g.giveUp()
}

func (c *Crowd) removeLocked(i int) {
	source := c.guests[i].source
	c.guests = slices.Delete(c.guests, i, i+1)
	if c.counts[source]--; c.counts[source] == 0 {
		delete(c.counts, source)
	}
}

// Leave takes a connection out of its crowd. It may be called more than once,
// and if the connection was given up.
func (g *Guest) Leave() {
	c := g.crowd
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.guests, g); i >= 0 {
		c.removeLocked(i)
	}
}

// Len is how many connections there are.
func (c *Crowd) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.guests)
}

// Close gives up all connections, and those that come later are not taken in.
func (c *Crowd) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for len(c.guests) > 0 {
		c.dismissLocked(len(c.guests) - 1)
	}
}
