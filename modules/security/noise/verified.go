// SPDX-License-Identifier: Apache-2.0 OR MIT

package noise

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/security/internal/cache"
)

// maxRemembered is the longest identity key that is remembered, in bytes: all
// but RSA keys, whose signatures are quick to verify. So all that is remembered
// takes less than 1 MiB.
const maxRemembered = 128

// verified remembers which static keys were found to be signed by which
// identity keys, so that a peer that comes back with the same static key costs
// no signature check.
//
// Whether a signature is good depends on nothing but the bytes of identity key,
// static key and signature, and all three are compared, so the remembered
// answer is the one that a new check would give. That the remote holds the
// static key is not remembered: each handshake proves it.
type verified struct {
	proofs cache.Cache[[32]byte, proof] // by static key
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
	if p := v.proofs.Get(static); p != nil && bytes.Equal(p.identity, identity) && bytes.Equal(p.signature, signature) {
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
		v.proofs.Put(static, p)
	}
	return p, nil
}
