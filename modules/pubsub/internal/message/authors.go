// SPDX-License-Identifier: Apache-2.0 OR MIT

package message

import (
	"sync"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/edkey"
)

// maxAuthors bounds the authors that are remembered, of whom each takes about 700
// bytes.
const maxAuthors = 1024

// Authors remembers who has signed messages lately. The signatures of who has done so
// before are verified with a key that is prepared for that, which takes half the
// time. The zero value is ready for use.
type Authors struct {
	mu sync.Mutex
	// The younger generation becomes the older one when it is full. Who has signed
	// once has no key yet: for one who never signs again it would take longer.
	young, old map[peer.ID]*edkey.Key // maxAuthors/2 each
}

// verify reports whether an author, whose ID holds the key, has signed a message.
func (a *Authors) verify(id peer.ID, message, signature []byte) (bool, error) {
	prepared, again := a.find(id)
	if prepared != nil {
		return prepared.Verify(message, signature), nil
	}
	key, err := id.PublicKey()
	if err != nil {
		return false, err
	}
	if again {
		if prepared, err = edkey.New(key.Raw()); err != nil {
			return false, err
		}
		a.remember(id, prepared)
		return prepared.Verify(message, signature), nil
	}
	if !key.Verify(message, signature) {
		return false, nil
	}
	if key.Type() == peer.Ed25519 {
		a.remember(id, nil)
	}
	return true, nil
}

func (a *Authors) find(id peer.ID) (key *edkey.Key, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if key, known = a.young[id]; known {
		return key, true
	}
	if key, known = a.old[id]; known {
		a.rememberLocked(id, key)
	}
	return key, known
}

func (a *Authors) remember(id peer.ID, key *edkey.Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rememberLocked(id, key)
}

func (a *Authors) rememberLocked(id peer.ID, key *edkey.Key) {
	if a.young == nil || len(a.young) >= maxAuthors/2 {
		a.old, a.young = a.young, make(map[peer.ID]*edkey.Key)
	}
	a.young[id] = key
}
