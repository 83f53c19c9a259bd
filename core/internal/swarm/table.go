// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"errors"
	"net"
	"slices"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/limits"
	"github.com/xnode-p2p/xnode/core/peer"
)

// add puts an upgraded connection into the table and serves it.
func (s *Swarm) add(muxed core.MuxedConn, scope *limits.Conn, stat core.ConnStat) (*Conn, error) {
	p := muxed.RemotePeer()
	if p == s.Identity.ID() {
		return nil, core.ErrSelf
	}
	if err := s.Gater.Peer(p); err != nil {
		return nil, err
	}
	if err := scope.SetPeer(p); err != nil {
		return nil, err
	}
	stat.Opened = time.Now()
	c := &Conn{muxed: muxed, swarm: s, scope: scope, stat: stat}

	s.mu.Lock()
	err := s.refusesLocked(c)
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	s.conns[p] = append(s.conns[p], c)
	s.count++
	if len(s.conns[p]) == 1 {
		s.Book.Connected(p)
	}
	s.events = append(s.events, core.Connected{Conn: c, First: len(s.conns[p]) == 1})
	s.running.Go(func() {
		s.emit()
		c.acceptStreams()
	})
	s.mu.Unlock()

	s.emit()
	s.trim()
	return c, nil
}

// refusesLocked says why a connection cannot be in the table any more. The rules
// may have changed since it began; from here on [Swarm.Regate] finds it.
func (s *Swarm) refusesLocked(c *Conn) error {
	if s.closed {
		return net.ErrClosed
	}
	return s.gated(c)
}

// gated says why the rules refuse a connection, or nil.
func (s *Swarm) gated(c *Conn) error {
	if err := s.Gater.Peer(c.RemotePeer()); err != nil {
		return err
	}
	return s.Gater.Addr(c.RemoteMultiaddr())
}

// remove takes a connection that has ended out of the table.
func (s *Swarm) remove(c *Conn) {
	p := c.RemotePeer()
	s.mu.Lock()
	left := slices.DeleteFunc(s.conns[p], func(o *Conn) bool { return o == c })
	if len(left) == 0 {
		delete(s.conns, p)
		s.Book.Disconnected(p)
		s.Manager.Forget(p)
	} else {
		s.conns[p] = left
	}
	s.count--
	s.events = append(s.events, core.Disconnected{Conn: c, Last: len(left) == 0})
	s.mu.Unlock()
	s.emit()
}

// emit emits the events that are due, in the order in which the table changed.
// When it returns, those appended before the call have been emitted.
func (s *Swarm) emit() {
	s.emitting.Lock()
	defer s.emitting.Unlock()
	for {
		s.mu.Lock()
		due := s.events
		s.events = nil
		s.mu.Unlock()
		if len(due) == 0 {
			return
		}
		for _, e := range due {
			s.Events.Emit(e)
		}
	}
}

// InOrder calls f while no event of the table is being emitted: events that f
// emits come after those of the table's changes that led to it.
func (s *Swarm) InOrder(f func()) {
	s.emitting.Lock()
	defer s.emitting.Unlock()
	f()
}

// Conns implements [core.Conns].
func (s *Swarm) Conns() []core.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]core.Conn, 0, s.count)
	for _, cs := range s.conns {
		for _, c := range cs {
			list = append(list, c)
		}
	}
	return list
}

// ConnsTo implements [core.Conns].
func (s *Swarm) ConnsTo(p peer.ID) []core.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]core.Conn, 0, len(s.conns[p]))
	for _, c := range s.conns[p] {
		list = append(list, c)
	}
	slices.SortStableFunc(list, func(a, b core.Conn) int {
		return reachOf(a) - reachOf(b)
	})
	return list
}

// reach says how good the way to a peer is.
const (
	direct  = iota
	relayed // without limits
	limited // through a relay that has them
)

// reachOf is the reach of a connection.
func reachOf(c core.Conn) int {
	switch {
	case c.Stat().Limited:
		return limited
	case has(c.RemoteMultiaddr(), ma.P_CIRCUIT):
		return relayed
	}
	return direct
}

// Protect implements [core.Conns].
func (s *Swarm) Protect(p peer.ID, tag string) (unprotect func()) {
	return s.Manager.Protect(p, tag)
}

// Tag implements [core.Conns].
func (s *Swarm) Tag(p peer.ID, tag string, value int) { s.Manager.Tag(p, tag, value) }

// best returns the connection to use for streams to p whose reach is not worse
// than worst, or nil.
func (s *Swarm) best(p peer.ID, worst int) *Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bestLocked(p, worst)
}

func (s *Swarm) bestLocked(p peer.ID, worst int) *Conn {
	var found *Conn
	best := worst + 1
	for _, c := range s.conns[p] {
		if r := reachOf(c); r < best && !c.closing() {
			found, best = c, r
		}
	}
	return found
}

// Disconnect closes all connections to p.
func (s *Swarm) Disconnect(p peer.ID) error {
	var errs []error
	for _, c := range s.ConnsTo(p) {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// Regate closes the connections that the gater would not let in any more. Call
// it when its rules have changed.
func (s *Swarm) Regate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	for p, conns := range s.conns {
		for _, c := range conns {
			if err := s.gated(c); err != nil {
				s.Log.Debug("connection closed", "peer", p, "remote", c.RemoteMultiaddr(), "reason", err)
				s.running.Go(func() { c.CloseWithCode(core.ConnGated) })
			}
		}
	}
}
