// SPDX-License-Identifier: Apache-2.0 OR MIT

package peer

import (
	"bytes"
	"crypto/ed25519"
	"crypto/subtle"
	"fmt"
)

// ed25519Public is an Ed25519 public key: the 32 bytes of RFC 8032.
type ed25519Public struct{ key [ed25519.PublicKeySize]byte }

func parseEd25519Public(data []byte) (PublicKey, error) {
	if len(data) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%d bytes, want %d: %w", len(data), ed25519.PublicKeySize, ErrInvalidKey)
	}
	k := &ed25519Public{key: [ed25519.PublicKeySize]byte(data)}
	if !k.canonical() {
		return nil, fmt.Errorf("coordinate out of range: %w", ErrInvalidKey)
	}
	if k.smallOrder() {
		return nil, fmt.Errorf("point of small order: %w", ErrInvalidKey)
	}
	return k, nil
}

// canonical tells whether the y coordinate is below the prime 2^255 - 19, as
// RFC 8032 demands and package ed25519 does not. The other encodings would give
// one key two peer IDs.
func (k *ed25519Public) canonical() bool {
	if k.key[0] < 0xed || k.key[31]&0x7f != 0x7f {
		return true
	}
	for _, c := range k.key[1:31] {
		if c != 0xff {
			return true
		}
	}
	return false
}

// smallOrder tells whether the key is one of the points whose order divides 8.
// Signatures that such a key accepts can be made without a private key. The zero
// key is among them.
func (k *ed25519Public) smallOrder() bool {
	y := k.key
	y[31] &= 0x7f // the sign of x
	switch y {
	case [32]byte{}, // y = 0
		[32]byte{0x01}, // y = 1
		[32]byte{0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, // y = -1
		// The two values of y of the points of order 8.
		[32]byte{0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
		[32]byte{0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a}:
		return true
	}
	return false
}

func (k *ed25519Public) Type() KeyType              { return Ed25519 }
func (k *ed25519Public) Raw() []byte                { return bytes.Clone(k.key[:]) }
func (k *ed25519Public) Equal(other PublicKey) bool { return equalKeys(Ed25519, k.key[:], other) }

func (k *ed25519Public) Verify(data, sig []byte) bool {
	return len(sig) == ed25519.SignatureSize && ed25519.Verify(k.key[:], data, sig)
}

// ed25519Private is an Ed25519 private key: seed and public key.
type ed25519Private struct {
	secret[ed25519.PrivateKey]
	pub *ed25519Public
}

// Ed25519FromSeed returns the private key of RFC 8032 that belongs to the seed.
func Ed25519FromSeed(seed [32]byte) PrivateKey {
	key := ed25519.NewKeyFromSeed(seed[:])
	return &ed25519Private{
		secret: newSecret(Ed25519, key),
		pub:    &ed25519Public{key: [ed25519.PublicKeySize]byte(key[ed25519.SeedSize:])},
	}
}

func parseEd25519Private(data []byte) (PrivateKey, error) {
	const size, old = ed25519.PrivateKeySize, ed25519.PrivateKeySize + ed25519.PublicKeySize
	switch len(data) {
	case size:
	case old:
		if !bytes.Equal(data[32:64], data[64:]) {
			return nil, fmt.Errorf("the two copies of the public key differ: %w", ErrInvalidKey)
		}
	default:
		return nil, fmt.Errorf("%d bytes, want %d or %d: %w", len(data), size, old, ErrInvalidKey)
	}
	if isZero(data[:32]) {
		return nil, fmt.Errorf("all zero: %w", ErrInvalidKey)
	}
	key := Ed25519FromSeed([32]byte(data[:32])).(*ed25519Private)
	if subtle.ConstantTimeCompare(key.key(), data[:size]) != 1 {
		return nil, fmt.Errorf("the public key belongs to another secret: %w", ErrInvalidKey)
	}
	return key, nil
}

func (k *ed25519Private) Raw() []byte       { return bytes.Clone(k.key()) }
func (k *ed25519Private) Public() PublicKey { return k.pub }

func (k *ed25519Private) Sign(data []byte) ([]byte, error) {
	return ed25519.Sign(k.key(), data), nil
}
