// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"encoding/binary"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/routing/internal/kadwire"
)

const (
	// maxPending is how many announcements wait to be stored. Whoever brings
	// one more waits until they are.
	maxPending = 1024
	// maxPendingTime is how long they wait. They have no answer that says that
	// they were stored, so that many can be stored at once.
	maxPendingTime = 250 * time.Millisecond
)

// providers is who has told this node to have content. An entry of the table has
// a key of the length of the content's key in one byte, that key, and the
// provider's ID, and a value of the time in seconds at which it came, in eight
// bytes, and the provider as a message has it.
type providers struct {
	table    core.Table
	validity time.Duration // how long an entry counts
	addrs    time.Duration // how long its addresses do

	storing sync.Mutex // held while entries are stored

	mu      sync.Mutex
	pending map[string]map[peer.ID][]byte // values by content and provider, not yet stored
	stored  map[string]map[peer.ID][]byte // those being stored now; not changed
	count   int                           // how many are pending
}

func newProviders(k *Kad) *providers {
	return &providers{
		validity: time.Duration(k.Validity), addrs: time.Duration(k.ProviderAddrs),
		pending: make(map[string]map[peer.ID][]byte),
	}
}

// checkContentKey says why a key is none of content.
func checkContentKey(key []byte) error {
	if len(key) == 0 || len(key) > core.MaxContentKey {
		return fmt.Errorf("key of %d bytes, want 1 to %d: %w", len(key), core.MaxContentKey, errRefused)
	}
	return nil
}

// providersOf returns what the keys of the providers of content begin with.
func providersOf(key []byte) []byte {
	b := make([]byte, 0, 1+len(key)+64)
	return append(append(b, byte(len(key))), key...)
}

// add notes a provider, as a message has it. It keeps none of its arguments.
func (s *providers) add(key []byte, p peer.ID, encoded []byte, now time.Time) error {
	value := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(encoded)), uint64(now.Unix()))
	value = append(value, encoded...)
	s.mu.Lock()
	of := s.pending[string(key)]
	if of == nil {
		of = make(map[peer.ID][]byte)
		s.pending[string(key)] = of
	}
	if of[p] == nil {
		s.count++
	}
	of[p] = value
	full := s.count >= maxPending
	s.mu.Unlock()
	if full {
		return s.store(now)
	}
	return nil
}

// store stores what is pending. If that fails it is lost, as what came too late
// to a storage that is full is.
func (s *providers) store(now time.Time) error {
	s.storing.Lock()
	defer s.storing.Unlock()
	s.mu.Lock()
	if s.count == 0 {
		s.mu.Unlock()
		return nil
	}
	s.stored, s.pending = s.pending, make(map[string]map[peer.ID][]byte)
	changes := make([]core.Change, 0, s.count)
	s.count = 0
	s.mu.Unlock()
	for key, of := range s.stored {
		for p, value := range of {
			changes = append(changes, core.Change{
				Key: append(providersOf([]byte(key)), p...), Value: value, Expires: now.Add(s.validity),
			})
		}
	}
	err := s.table.Apply(changes...)
	s.mu.Lock()
	s.stored = nil
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("store providers: %w", err)
	}
	return nil
}

// get calls yield for the providers of content, as a message has them, in no
// order, until it returns false. At most kadwire.MaxProviders are looked at.
func (s *providers) get(key []byte, now time.Time, yield func(peer.ID, []byte) bool) error {
	fresh := s.unstored(key)
	prefix := providersOf(key)
	looked := len(fresh)
	for p, value := range fresh {
		if !yield(p, s.shown(p, value, now)) {
			return nil
		}
	}
	for e, err := range s.table.Scan(prefix) {
		if err != nil {
			return fmt.Errorf("providers: %w", err)
		}
		if looked++; looked > kadwire.MaxProviders {
			return nil
		}
		p := peer.ID(e.Key[len(prefix):])
		if len(e.Value) < 8 || fresh[p] != nil {
			continue
		}
		if !yield(p, s.shown(p, e.Value, now)) {
			return nil
		}
	}
	return nil
}

// unstored returns the values of the providers of content that are not stored.
func (s *providers) unstored(key []byte) map[peer.ID][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	pending, stored := s.pending[string(key)], s.stored[string(key)]
	if pending == nil && stored == nil {
		return nil
	}
	fresh := maps.Clone(stored)
	if fresh == nil {
		fresh = make(map[peer.ID][]byte, len(pending))
	}
	maps.Copy(fresh, pending)
	return fresh
}

// shown is the provider in a value as others are told of it: without its
// addresses if they are old.
func (s *providers) shown(p peer.ID, value []byte, now time.Time) []byte {
	came := time.Unix(int64(binary.BigEndian.Uint64(value)), 0)
	if now.Sub(came) > s.addrs {
		return kadwire.AppendPeer(nil, p, nil)
	}
	return value[8:]
}
