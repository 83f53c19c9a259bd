// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package connmgr knows what connections are worth: which peers are tagged,
// which are protected, and which connections to close when there are too many.
// It closes none itself and has no goroutine.
package connmgr

import (
	"maps"
	"math"
	"slices"
	"sync"

	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	// maxTags bounds the tags of a peer. Further ones are not kept.
	maxTags = 64
	// maxPeers bounds the peers with tags, in number. Beyond it another one,
	// chosen at random, loses its tags. Protection is not bounded: it is the
	// node's own modules that protect.
	maxPeers = 16384
)

// Manager holds the tags and the protections of peers. The zero Manager is
// ready.
type Manager struct {
	mu        sync.Mutex
	tags      map[peer.ID]map[string]int
	protected map[peer.ID]map[string]int // how often, by tag
}

// Tag gives a peer a value under a name; zero removes it. The sum of a peer's
// values is what its connections are worth.
func (m *Manager) Tag(p peer.ID, tag string, value int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	tags := m.tags[p]
	if value == 0 {
		if delete(tags, tag); len(tags) == 0 {
			delete(m.tags, p)
		}
		return
	}
	if tags == nil {
		m.makeRoom()
		tags = make(map[string]int)
		m.tags[p] = tags
	}
	if _, ok := tags[tag]; ok || len(tags) < maxTags {
		tags[tag] = value
	}
}

func (m *Manager) makeRoom() {
	if m.tags == nil {
		m.tags = make(map[peer.ID]map[string]int)
	}
	if len(m.tags) < maxPeers {
		return
	}
	for p := range m.tags { // any
		delete(m.tags, p)
		return
	}
}

// Protect keeps a peer's connections from being closed until unprotect is
// called. Each call counts by itself, also under the same name. Calling
// unprotect again does nothing.
func (m *Manager) Protect(p peer.ID, tag string) (unprotect func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.protected == nil {
		m.protected = make(map[peer.ID]map[string]int)
	}
	if m.protected[p] == nil {
		m.protected[p] = make(map[string]int)
	}
	m.protected[p][tag]++
	return sync.OnceFunc(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.protected[p][tag]--; m.protected[p][tag] == 0 {
			delete(m.protected[p], tag)
		}
		if len(m.protected[p]) == 0 {
			delete(m.protected, p)
		}
	})
}

// Forget removes a peer's tags, when its last connection is gone. It stays
// protected.
func (m *Manager) Forget(p peer.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.tags, p)
}

// Info returns a copy of a peer's tags, and the names under which it is
// protected, sorted.
func (m *Manager) Info(p peer.ID) (tags map[string]int, protected []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.tags[p]), slices.Sorted(maps.Keys(m.protected[p]))
}

// sum is what a peer is worth. It saturates.
func (m *Manager) sum(p peer.ID) int64 {
	var high, low uint64 // of the positive and the negative values
	for _, v := range m.tags[p] {
		if v > 0 {
			high = min(high+uint64(v), math.MaxInt64)
		} else {
			low = min(low+uint64(-int64(v)), math.MaxInt64)
		}
	}
	return int64(high) - int64(low)
}
