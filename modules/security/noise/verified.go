// SPDX-License-Identifier: Apache-2.0 OR MIT

package noise

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	// maxVerified bounds the remembered signatures; together they take less
	// than 1 MiB. Peers that come when it is full push out those that have not
	// been back for longest.
	maxVerified = 1024

	// maxRemembered is the longest identity key that is remembered, in bytes:
	// all but RSA keys, whose signatures are quick to verify.
	maxRemembered = 128
)

// verified remembers which static keys were found to be signed by which
// identity keys, so that a peer that comes back with the same static key costs
// no signature check.
//
// Whether a signature is good depends on nothing but the bytes of identity key,
// static key and signature, and all three are compared, so the remembered
// answer is the one that a new check would give. That the remote holds the
// static key is not remembered: each handshake proves it.
type verified struct {
	mu sync.Mutex
	// A proof that is asked for moves from old to young. When young has half of
	// what is allowed it becomes old, and what was old is forgotten.
	young, old map[[32]byte]*proof
}

// proof is a static key's signature that was found to be good.
type proof struct {
	identity, signature []byte
	key                 peer.PublicKey
	id                  peer.ID
}

// check verifies that signature is that of the encoded public key identity for
// the static key, and returns the key and its ID.
func (v *verified) check(static [32]byte, identity, signature []byte) (*proof, error) {
	if p := v.recall(static); p != nil && bytes.Equal(p.identity, identity) && bytes.Equal(p.signature, signature) {
		return p, nil
	}
	if len(identity) == 0 {
		return nil, errors.New("the payload has no identity key")
	}
	key, err := peer.UnmarshalPublicKey(identity)
	if err != nil {
		return nil, fmt.Errorf("identity key: %w", err)
	}
	if !key.Verify(signedData(static[:]), signature) {
		return nil, errors.New("the static key is not signed by the identity key")
	}
	p := &proof{
		identity:  bytes.Clone(identity),
		signature: bytes.Clone(signature),
		key:       key,
		id:        peer.FromPublicKey(key),
	}
	if len(identity) <= maxRemembered {
		v.remember(static, p)
	}
	return p, nil
}

func (v *verified) recall(static [32]byte) *proof {
	v.mu.Lock()
	defer v.mu.Unlock()
	if p := v.young[static]; p != nil {
		return p
	}
	p := v.old[static]
	if p != nil {
		v.keep(static, p)
	}
	return p
}

func (v *verified) remember(static [32]byte, p *proof) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keep(static, p)
}

// keep puts p among the young. The caller holds the lock.
func (v *verified) keep(static [32]byte, p *proof) {
	if v.young == nil || len(v.young) >= maxVerified/2 {
		v.old = v.young
		v.young = make(map[[32]byte]*proof)
	}
	v.young[static] = p
}
