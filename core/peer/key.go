// SPDX-License-Identifier: Apache-2.0 OR MIT

package peer

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
)

// ErrInvalidKey says that bytes are not a key this package accepts. The text
// that wraps it tells why.
var ErrInvalidKey = errors.New("invalid key")

// KeyType is the kind of a key, with the numbers of the peer ID specification.
type KeyType int32

// The key types of the specification. Ed25519 is what everyone implements and
// what new nodes use.
const (
	RSA       KeyType = 0
	Ed25519   KeyType = 1
	Secp256k1 KeyType = 2
	ECDSA     KeyType = 3
)

// String returns the name of the type as the specification writes it.
func (t KeyType) String() string {
	switch t {
	case RSA:
		return "RSA"
	case Ed25519:
		return "Ed25519"
	case Secp256k1:
		return "Secp256k1"
	case ECDSA:
		return "ECDSA"
	}
	return fmt.Sprintf("KeyType(%d)", int32(t))
}

// ParseKeyType returns the type called name; case does not matter.
func ParseKeyType(name string) (KeyType, error) {
	for _, t := range []KeyType{RSA, Ed25519, Secp256k1, ECDSA} {
		if equalFold(name, t.String()) {
			return t, nil
		}
	}
	return 0, fmt.Errorf("key type %.20q, want ed25519, secp256k1, ecdsa or rsa: %w", name, ErrInvalidKey)
}

// equalFold compares ASCII strings without regard to case.
func equalFold(a, b string) bool {
	return len(a) == len(b) && bytes.EqualFold([]byte(a), []byte(b))
}

// PublicKey verifies what the holder of a private key has signed.
// Implementations do not change after creation and may be shared freely.
type PublicKey interface {
	// Type returns the kind of the key.
	Type() KeyType
	// Raw returns a copy of the key's bytes as the Data field of the
	// specification's PublicKey message holds them: 32 bytes for Ed25519, the
	// 33-byte compressed point for secp256k1, PKIX DER for ECDSA and RSA.
	Raw() []byte
	// Verify tells whether sig is a signature of data by this key. It never
	// panics, whatever the bytes.
	Verify(data, sig []byte) bool
	// Equal tells whether both are the same key of the same type.
	Equal(PublicKey) bool
}

// PrivateKey signs. Those of this package print as their type alone under every
// verb of package fmt, in JSON and in package log/slog; Raw and
// [MarshalPrivateKey] are the only ways to the secret.
type PrivateKey interface {
	// Type returns the kind of the key.
	Type() KeyType
	// Raw returns a copy of the secret bytes as the Data field of the
	// specification's PrivateKey message holds them: seed and public key, 64
	// bytes in all, for Ed25519, the 32-byte scalar for secp256k1, SEC1 DER
	// for ECDSA, PKCS #1 DER for RSA.
	Raw() []byte
	// Sign returns a signature of data. It is safe for concurrent use.
	Sign(data []byte) ([]byte, error)
	// Public returns the key that verifies the signatures.
	Public() PublicKey
}

// GenerateKey makes a new private key of type t from the random bytes of r, or
// of the operating system if r is nil. RSA keys have 2048 bits and ECDSA keys
// are on P-256. RSA takes its randomness from the operating system always.
func GenerateKey(t KeyType, r io.Reader) (PrivateKey, error) {
	if r == nil {
		r = rand.Reader
	}
	var key PrivateKey
	var err error
	switch t {
	case Ed25519:
		var seed [32]byte
		if _, err = io.ReadFull(r, seed[:]); err == nil {
			key = Ed25519FromSeed(seed)
		}
	case Secp256k1:
		key, err = generateSecp256k1(r)
	case ECDSA:
		key, err = generateECDSA(r)
	case RSA:
		key, err = generateRSA(r)
	default:
		return nil, fmt.Errorf("generate %v: %w", t, ErrInvalidKey)
	}
	if err != nil {
		return nil, fmt.Errorf("generate %v key: %w", t, err)
	}
	return key, nil
}

// equalKeys is the Equal method of every public key.
func equalKeys(t KeyType, raw []byte, other PublicKey) bool {
	return other != nil && other.Type() == t && bytes.Equal(raw, other.Raw())
}

// isZero tells whether b holds nothing but zeros.
func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
