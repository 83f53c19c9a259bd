// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"net"
	"net/netip"
	"slices"
	"sync"
)

// maxShaking bounds the connections of a port whose handshake is not over.
const maxShaking = 256

// crowd bounds the handshakes under way. When there are too many it gives up the
// oldest of the remote that has the most: who says what it has to say gets in,
// however many others are silent.
type crowd struct {
	mu     sync.Mutex
	closed bool
	guests []*guest             // in the order of their begin; at most maxShaking
	counts map[netip.Prefix]int // of guests, by their source
}

// guest is a connection whose handshake is under way.
type guest struct {
	conn   net.Conn
	source netip.Prefix
	cancel func() // ends what the handshake waits for besides the connection
}

// source is the remote as far as one host or household has it: an IPv4 address
// or the network of an IPv6 one.
func source(ip netip.Addr) netip.Prefix {
	bits := 32
	if !ip.Is4() {
		bits = 56
	}
	p, _ := ip.WithZone("").Prefix(bits)
	return p
}

// enter takes a connection in, unless the crowd is closed.
func (c *crowd) enter(g *guest) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	if len(c.guests) == maxShaking {
		c.dismissLocked(c.heaviestLocked())
	}
	if c.counts == nil {
		c.counts = make(map[netip.Prefix]int)
	}
	c.guests = append(c.guests, g)
	c.counts[g.source]++
	return true
}

// heaviestLocked is the oldest guest of the source that has the most.
func (c *crowd) heaviestLocked() (heaviest *guest) {
	most := 0
	for _, g := range c.guests {
		if n := c.counts[g.source]; n > most {
			heaviest, most = g, n
		}
	}
	return heaviest
}

func (c *crowd) dismissLocked(g *guest) {
	c.removeLocked(g)
	g.cancel()
	g.conn.Close()
}

// leave takes a connection out, whose handshake is over.
func (c *crowd) leave(g *guest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removeLocked(g)
}

func (c *crowd) removeLocked(g *guest) {
	i := slices.Index(c.guests, g)
	if i < 0 {
		return
	}
	c.guests = slices.Delete(c.guests, i, i+1)
	if c.counts[g.source]--; c.counts[g.source] == 0 {
		delete(c.counts, g.source)
	}
}

// close gives up all connections.
func (c *crowd) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for len(c.guests) > 0 {
		c.dismissLocked(c.guests[0])
	}
}
