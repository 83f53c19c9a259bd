// SPDX-License-Identifier: Apache-2.0 OR MIT

package limits

import (
	"errors"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// Conn is one counted connection. It is the [core.Admission] of its transport
// and the [core.ConnMemory] of its muxer.
type Conn struct {
	limits *Limits
	dir    core.Direction

	// The rest is guarded by limits.mu.
	done      bool
	handshake handshake
	sources   [2]*source // nil for what is not counted by subnet
	peer      *peerScope // nil until SetPeer
	own       int64      // memory that no stream has taken
	memory    int64      // all, that of streams included
	streams   counts
	first     *Stream // of the open streams
}

var errNoPeer = errors.New("the connection's peer is not known yet")

// SetPeer ends the handshake and counts the connection with its peer.
func (c *Conn) SetPeer(p peer.ID) error {
	l := c.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.done || c.handshake.yielded {
		return core.ErrConnClosed
	}
	if c.peer != nil {
		if c.peer.id == p {
			return nil
		}
		return errors.New("a connection cannot change its peer")
	}
	scope := l.peers[p]
	if scope == nil {
		scope = &peerScope{id: p}
	}
	if scope.conns >= l.config.ConnectionsPerPeer {
		return l.refuse("peer "+p.Short(), "connections", l.config.ConnectionsPerPeer, "connections_per_peer")
	}
	if limit := int64(l.config.MemoryPerPeer); c.memory > limit-scope.memory {
		return l.refuseKnob("peer "+p.Short(), "bytes of memory", limit, "memory_per_peer", "limits.memory_per_peer")
	}
	l.peers[p] = scope
	scope.conns++
	scope.memory += c.memory
	c.peer = scope
	c.endHandshake(true)
	return nil
}

func (c *Conn) endHandshake(good bool) {
	if !c.limits.handshakes.leave(c) {
		return
	}
	for _, s := range c.sources {
		if s != nil {
			c.limits.settleSource(s, good)
		}
	}
}

// Reserve implements [core.Memory].
func (c *Conn) Reserve(n int, priority uint8) error {
	if n <= 0 {
		return nil
	}
	l := c.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.done {
		return core.ErrConnClosed
	}
	if err := c.fits(n, priority); err != nil {
		return err
	}
	c.own += int64(n)
	c.addMemory(int64(n))
	return nil
}

// fits reports that n bytes more are within the limits of the connection and
// of what contains it.
func (c *Conn) fits(n int, priority uint8) error {
	l, cfg := c.limits, &c.limits.config
	fits := func(used int64, limit core.Size) bool { return int64(n) <= allowed(int64(limit), priority)-used }
	switch {
	case !fits(c.memory, cfg.MemoryPerConnection):
		return l.refuseMemory("connection", cfg.MemoryPerConnection, "memory_per_connection", priority)
	case c.peer != nil && !fits(c.peer.memory, cfg.MemoryPerPeer):
		return l.refuseMemory("peer "+c.peer.id.Short(), cfg.MemoryPerPeer, "memory_per_peer", priority)
	case !fits(l.memory, cfg.Memory):
		return l.refuseMemory("system", cfg.Memory, "memory", priority)
	}
	return nil
}

// Release implements [core.Memory]. More than is reserved is not released.
func (c *Conn) Release(n int) {
	c.limits.mu.Lock()
	defer c.limits.mu.Unlock()
	if n > 0 && !c.done {
		given := min(int64(n), c.own)
		c.own -= given
		c.addMemory(-given)
	}
}

func (c *Conn) addMemory(n int64) {
	c.memory += n
	c.limits.memory += n
	if c.peer != nil {
		c.peer.memory += n
	}
}

func (l *Limits) refuseMemory(scope string, limit core.Size, key string, priority uint8) error {
	return l.refuseKnob(scope, "bytes of memory", allowed(int64(limit), priority), key, "limits."+key)
}

// Done gives back all that the connection and its streams have. It may be
// called more than once.
func (c *Conn) Done() {
	l := c.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.done {
		return
	}
	c.endHandshake(false)
	for c.first != nil {
		c.first.end()
	}
	c.addMemory(-c.memory)
	for i, s := range c.sources {
		if s != nil {
			s.conns--
			c.sources[i] = nil
		}
	}
	if c.peer != nil {
		if c.peer.conns--; c.peer.conns == 0 {
			delete(l.peers, c.peer.id)
		}
	}
	*l.conns.of(c.dir)--
	c.done = true
}

var _ core.Admission = (*Conn)(nil)
