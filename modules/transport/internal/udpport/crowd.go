// SPDX-License-Identifier: Apache-2.0 OR MIT

package udpport

import (
	"net/netip"
)

const (
	// maxHandshakes bounds the inbound handshakes that are under way on a port.
	// More are refused.
	maxHandshakes = 256
	// maxUnproven bounds those of them whose remote has not shown that it
	// receives what is sent to its address; maxUnprovenBySource is the same for
	// one IPv4 address or one /56 of IPv6. More have to show it first, which
	// takes one round trip and no memory.
	maxUnproven         = 32
	maxUnprovenBySource = 4
)

// crowd counts the inbound handshakes of a socket.
type crowd struct {
	all      int
	unproven int
	sources  map[netip.Prefix]int // of those that are unproven, so maxUnproven at most
}

// mustProve tells whether a handshake from an address has to prove it first.
func (c *crowd) mustProve(from netip.Addr) bool {
	return c.unproven >= maxUnproven || c.sources[source(from)] >= maxUnprovenBySource
}

func (c *crowd) full() bool { return c.all >= maxHandshakes }

func (c *crowd) enter(from netip.Addr, proven bool) {
	c.all++
	if proven {
		return
	}
	c.unproven++
	if c.sources == nil {
		c.sources = make(map[netip.Prefix]int)
	}
	c.sources[source(from)]++
}

func (c *crowd) leave(from netip.Addr, proven bool) {
	c.all--
	if proven {
		return
	}
	c.unproven--
	p := source(from)
	if c.sources[p]--; c.sources[p] == 0 {
		delete(c.sources, p)
	}
}

// source is what one party may be expected to have of addresses.
func source(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 56
	}
	p, _ := a.WithZone("").Prefix(bits) // zero for an invalid address
	return p
}
