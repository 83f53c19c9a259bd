// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/connmgr"
)

// trimInterval is the least time between two trims.
const trimInterval = time.Second

// trimTarget says how many connections to keep and how long new ones are safe.
type trimTarget struct {
	connections int // none is closed if zero
	grace       time.Duration
}

// SetTarget says from now on how many connections to keep when there are too
// many, and how long new ones are safe. Zero connections: close none.
func (s *Swarm) SetTarget(connections int, grace time.Duration) {
	s.target.Store(&trimTarget{connections, grace})
	s.trim()
}

// trim closes the connections that are worth least if there are more than the
// target. It looks again when those under grace have aged.
func (s *Swarm) trim() {
	aim := s.target.Load()
	target, grace := aim.connections, aim.grace
	s.mu.Lock()
	now := time.Now()
	if s.closed || target <= 0 || s.count <= target {
		s.mu.Unlock()
		return
	}
	if wait := trimInterval - now.Sub(s.trimmed); wait > 0 {
		s.trimLaterLocked(wait)
		s.mu.Unlock()
		return
	}
	s.trimmed = now
	conns := make([]*Conn, 0, s.count)
	for _, cs := range s.conns {
		conns = append(conns, cs...)
	}
	s.mu.Unlock()

	candidates := make([]connmgr.Candidate, len(conns))
	for i, c := range conns {
		candidates[i] = connmgr.Candidate{
			Peer:      c.RemotePeer(),
			Opened:    c.stat.Opened,
			Direction: c.stat.Direction,
			Remote:    c.RemoteMultiaddr(),
			Streams:   c.streamCount(),
		}
	}
	closing := s.Manager.Trim(now, candidates, target, grace)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	for _, i := range closing {
		s.running.Go(func() { conns[i].CloseWithCode(core.ConnGarbageCollected) })
	}
	if len(conns)-len(closing) > target {
		s.trimLaterLocked(max(grace, trimInterval))
	}
}

func (s *Swarm) trimLaterLocked(wait time.Duration) {
	if s.trimTimer == nil {
		s.trimTimer = time.AfterFunc(wait, s.trim)
		return
	}
	s.trimTimer.Reset(wait)
}
