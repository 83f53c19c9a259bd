// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"encoding/binary"
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// Identity is a [core.Identity] and a [core.KeySource] in memory.
type Identity struct {
	key peer.PrivateKey
	id  peer.ID
}

// NewIdentity returns the Ed25519 identity that belongs to a seed: the same one
// for the same number, always.
func NewIdentity(seed uint64) *Identity {
	var b [32]byte
	copy(b[:], "coretest")
	binary.BigEndian.PutUint64(b[24:], seed)
	return IdentityOf(peer.Ed25519FromSeed(b))
}

// IdentityOf returns the identity of a key.
func IdentityOf(key peer.PrivateKey) *Identity {
	return &Identity{key: key, id: peer.FromPublicKey(key.Public())}
}

// GenerateIdentity returns a new identity with a key of a type.
func GenerateIdentity(t testing.TB, kt peer.KeyType) *Identity {
	t.Helper()
	key, err := peer.GenerateKey(kt, nil)
	if err != nil {
		t.Fatal(err)
	}
	return IdentityOf(key)
}

// ID implements [core.Identity].
func (i *Identity) ID() peer.ID { return i.id }

// PublicKey implements [core.Identity].
func (i *Identity) PublicKey() peer.PublicKey { return i.key.Public() }

// Sign implements [core.Identity].
func (i *Identity) Sign(data []byte) ([]byte, error) { return i.key.Sign(data) }

// PrivateKey implements [core.KeySource].
func (i *Identity) PrivateKey() (peer.PrivateKey, error) { return i.key, nil }

var (
	_ core.Identity  = (*Identity)(nil)
	_ core.KeySource = (*Identity)(nil)
)
