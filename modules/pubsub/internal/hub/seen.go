// SPDX-License-Identifier: Apache-2.0 OR MIT

package hub

import (
	"hash/maphash"
	"sync"
	"time"
)

// maxSeen bounds the IDs that are remembered. When there are more, those that
// came long ago are forgotten before their time.
const maxSeen = 1 << 20

// seen remembers the IDs of messages, in two generations: the older one is
// forgotten when the younger one is as old as IDs are to be remembered, or full.
//
// It has their hashes, which take a tenth of the memory. That a message is taken for
// another one of as many as are remembered happens to one in 2^44, and since nobody
// else knows the seed, nobody can bring it about.
type seen struct {
	ttl  time.Duration
	seed maphash.Seed

	mu         sync.Mutex
	young, old map[uint64]struct{} // maxSeen/2 each
	since      time.Time           // when young was begun
}

func newSeen(ttl time.Duration) *seen {
	return &seen{ttl: ttl, seed: maphash.MakeSeed(), young: make(map[uint64]struct{}), since: time.Now()}
}

// has reports whether an ID is remembered.
func (s *seen) has(id []byte) bool { return s.remembers(maphash.Bytes(s.seed, id)) }

func (s *seen) hasString(id string) bool { return s.remembers(maphash.String(s.seed, id)) }

func (s *seen) remembers(hash uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hasLocked(hash)
}

func (s *seen) hasLocked(hash uint64) bool {
	if _, ok := s.young[hash]; ok {
		return true
	}
	_, ok := s.old[hash]
	return ok
}

// add remembers an ID. It returns false if it was remembered already.
func (s *seen) add(id string) bool {
	hash := maphash.String(s.seed, id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hasLocked(hash) {
		return false
	}
	if now := time.Now(); now.Sub(s.since) >= s.ttl || len(s.young) >= maxSeen/2 {
		s.old, s.young, s.since = s.young, make(map[uint64]struct{}), now
	}
	s.young[hash] = struct{}{}
	return true
}
