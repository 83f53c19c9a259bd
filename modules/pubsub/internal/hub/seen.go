// SPDX-License-Identifier: Apache-2.0 OR MIT

package hub

import (
	"sync"
	"time"
)

// maxSeen bounds the IDs that are remembered. When there are more, those that
// came long ago are forgotten before their time.
const maxSeen = 1 << 20

// seen remembers the IDs of messages, in two generations: the older one is
// forgotten when the younger one is as old as IDs are to be remembered, or full.
type seen struct {
	ttl time.Duration

	mu         sync.Mutex
	young, old map[string]struct{} // maxSeen/2 each
	since      time.Time           // when young was begun
}

func newSeen(ttl time.Duration) *seen {
	return &seen{ttl: ttl, young: make(map[string]struct{}), since: time.Now()}
}

// has reports whether an ID is remembered.
func (s *seen) has(id []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.young[string(id)]; ok {
		return true
	}
	_, ok := s.old[string(id)]
	return ok
}

func (s *seen) hasString(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.young[id]; ok {
		return true
	}
	_, ok := s.old[id]
	return ok
}

// add remembers an ID. It returns false if it was remembered already.
func (s *seen) add(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.young[id]; ok {
		return false
	}
	if _, ok := s.old[id]; ok {
		return false
	}
	if now := time.Now(); now.Sub(s.since) >= s.ttl || len(s.young) >= maxSeen/2 {
		s.old, s.young, s.since = s.young, make(map[string]struct{}), now
	}
	s.young[id] = struct{}{}
	return true
}
