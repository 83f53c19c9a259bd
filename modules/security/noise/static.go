// SPDX-License-Identifier: Apache-2.0 OR MIT

package noise

import (
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// staticLifetime is how long a static key is used. The specification leaves it
// open; a fresh key now and then limits what the loss of one gives away: forward
// secrecy does not depend on it.
const staticLifetime = 24 * time.Hour

// static is a static key and the signature of the identity that it belongs to.
type static struct {
	owner   peer.ID
	key     *ecdh.PrivateKey
	public  []byte
	payload []byte // the encoded identity key and signature
	made    time.Time
}

// statics keeps the static key of the identity that was used last: a node has
// one. The key is made at the first handshake.
type statics struct {
	mu      sync.Mutex
	current *static
}

func (s *statics) get(identity core.Identity) (*static, error) {
	owner := identity.ID()
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.current; c != nil && c.owner == owner && time.Since(c.made) < staticLifetime {
		return c, nil
	}
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a static key: %w", err)
	}
	public := key.PublicKey().Bytes()
	payload, err := prove(identity, public)
	if err != nil {
		return nil, err
	}
	s.current = &static{owner: owner, key: key, public: public, payload: payload, made: time.Now()}
	return s.current, nil
}
