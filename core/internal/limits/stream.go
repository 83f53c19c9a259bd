// SPDX-License-Identifier: Apache-2.0 OR MIT

package limits

import (
	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/wire"
)

// maxName bounds the part of a protocol's ID that an error shows, in bytes.
const maxName = 256

// Stream is one counted stream. The zero Stream is not counted. It must not be
// copied once it is.
type Stream struct {
	conn *Conn
	dir  core.Direction

	// The rest is guarded by conn.limits.mu.
	open       bool
	account    *account       // nil if the stream has none
	protocol   *protocolScope // nil until SetProtocol
	prev, next *Stream
}

// OpenStream counts a stream in s, which must be a new one. Done must be called
// on s if there is no error, and may be if there is.
func (c *Conn) OpenStream(dir core.Direction, s *Stream) error {
	l := c.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	cfg := &l.config
	switch {
	case c.done:
		return core.ErrConnClosed
	case c.peer == nil:
		return errNoPeer
	case *c.streams.of(dir) >= cfg.StreamsPerConnection:
		return l.refuse("connection to peer "+c.peer.id.Short(), streamsOf(dir), cfg.StreamsPerConnection, "streams_per_connection")
	case *c.peer.streams.of(dir) >= cfg.StreamsPerPeer:
		return l.refuse("peer "+c.peer.id.Short(), streamsOf(dir), cfg.StreamsPerPeer, "streams_per_peer")
	case dir == core.Inbound && l.streams.in >= cfg.InboundStreams:
		return l.refuse("system", streamsOf(dir), cfg.InboundStreams, "inbound_streams")
	case l.streams.total() >= cfg.Streams:
		return l.refuse("system", "streams", cfg.Streams, "streams")
	}
	*s = Stream{conn: c, dir: dir, open: true, next: c.first}
	if c.first != nil {
		c.first.prev = s
	}
	c.first = s
	s.add(1)
	return nil
}

func streamsOf(dir core.Direction) string {
	if dir == core.Inbound {
		return "inbound streams"
	}
	return "outbound streams"
}

func (s *Stream) add(n int) {
	*s.conn.streams.of(s.dir) += n
	*s.conn.peer.streams.of(s.dir) += n
	*s.conn.limits.streams.of(s.dir) += n
}

// SetProtocol counts the stream with its protocol. The peer may have maxPerPeer
// streams of it, or as many as the configuration says if that is zero or if the
// configuration names the protocol. Names are kept while streams are open: id
// must be the name of a protocol that this node speaks.
func (s *Stream) SetProtocol(id string, maxPerPeer int) error {
	if s.conn == nil {
		return core.ErrConnClosed
	}
	l := s.conn.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	if !s.open {
		return core.ErrConnClosed
	}
	if s.protocol != nil && s.protocol.id == id {
		return nil
	}
	scope := l.protocols[id]
	if scope == nil {
		if l.spare == nil {
			l.spare = new(protocolScope)
		}
		scope = l.spare
		scope.id = id
	}
	key := protocolKey{id, s.dir}
	if err := l.checkProtocol(s.conn.peer, scope, key, maxPerPeer); err != nil {
		return err
	}
	if s.account != nil {
		if err := l.protocolFits(scope, s.account.memory, 255); err != nil {
			return err
		}
	}
	if scope == l.spare {
		l.protocols[id], l.spare = scope, nil
	}
	s.leaveProtocol()
	s.protocol = scope
	*scope.streams.of(s.dir)++
	p := s.conn.peer
	if p.protocols == nil {
		p.protocols = make(map[protocolKey]int)
	}
	p.protocols[key]++
	if s.account != nil {
		s.account.join(scope)
	}
	return nil
}

// Charge says which account of the connection is the stream's, so that its
// protocol pays for what it takes. Call it before SetProtocol.
func (s *Stream) Charge(m core.StreamMemory) {
	a, ok := m.(*account)
	if !ok || a.conn != s.conn {
		return
	}
	s.conn.limits.mu.Lock()
	defer s.conn.limits.mu.Unlock()
	if s.open {
		s.account = a
	}
}

func (l *Limits) checkProtocol(p *peerScope, scope *protocolScope, key protocolKey, maxPerPeer int) error {
	limit, name, knob := l.config.StreamsPerProtocol, "streams_per_protocol", "limits.streams_per_protocol"
	perPeer, peerName, peerKnob := l.config.StreamsPerProtocolPerPeer, "streams_per_protocol_per_peer", "limits.streams_per_protocol_per_peer"
	named := len(l.config.Protocols) > 0
	var own ProtocolConfig
	if named {
		own = l.config.Protocols[key.id]
	}
	if own.Streams > 0 {
		limit, name, knob = own.Streams, "protocols", ""
	}
	if own.StreamsPerPeer > 0 {
		perPeer, peerName, peerKnob = own.StreamsPerPeer, "protocols", ""
	} else if maxPerPeer > 0 && maxPerPeer < perPeer {
		perPeer, peerName, peerKnob = maxPerPeer, "protocols", ""
	}
	if p.protocols[key] >= perPeer {
		if peerKnob == "" {
			peerKnob = protocolKnob(key.id, "streams_per_peer")
		}
		scope := "protocol " + wire.Text(key.id, maxName) + " with peer " + p.id.Short()
		return l.refuseKnob(scope, streamsOf(key.dir), int64(perPeer), peerName, peerKnob)
	}
	if *scope.streams.of(key.dir) >= limit {
		if knob == "" {
			knob = protocolKnob(key.id, "streams")
		}
		return l.refuseKnob("protocol "+wire.Text(key.id, maxName), streamsOf(key.dir), int64(limit), name, knob)
	}
	return nil
}

func protocolKnob(id, key string) string {
	return "limits.protocols." + wire.Text(id, maxName) + "." + key
}

// leaveProtocol takes the stream out of its protocol's counts.
func (s *Stream) leaveProtocol() {
	p := s.protocol
	if p == nil {
		return
	}
	s.protocol = nil
	if s.account != nil {
		s.account.join(nil)
	}
	if *p.streams.of(s.dir)--; p.streams.total() == 0 {
		delete(s.conn.limits.protocols, p.id)
		s.conn.limits.spare = p
	}
	key, of := protocolKey{p.id, s.dir}, s.conn.peer.protocols
	if of[key]--; of[key] == 0 {
		delete(of, key)
	}
}

// Done gives back what the stream has. It may be called more than once, and
// after the Done of its connection.
func (s *Stream) Done() {
	if s.conn == nil {
		return
	}
	s.conn.limits.mu.Lock()
	defer s.conn.limits.mu.Unlock()
	s.end()
}

func (s *Stream) end() {
	if !s.open {
		return
	}
	s.open = false
	s.leaveProtocol()
	s.add(-1)
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		s.conn.first = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
}
