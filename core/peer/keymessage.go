// SPDX-License-Identifier: Apache-2.0 OR MIT

package peer

import (
	"fmt"

	"github.com/xnode-p2p/xnode/core/wire"
)

const (
	// maxPublicKey bounds an encoded public key, in bytes. An RSA key of 8192
	// bits, the largest accepted, takes 1,068.
	maxPublicKey = 1200

	// maxPrivateKey bounds an encoded private key, in bytes. An RSA key of
	// 8192 bits takes about 4,700.
	maxPrivateKey = 5000
)

// Tags of the two fields of the PublicKey and PrivateKey messages.
const (
	tagKeyType = 1 << 3   // field 1, a varint
	tagKeyData = 2<<3 | 2 // field 2, bytes
)

// MarshalPublicKey returns the PublicKey message of the peer ID specification.
// The encoding of a key is unique: peer IDs are derived from it.
func MarshalPublicKey(k PublicKey) []byte {
	return marshalKey(k.Type(), k.Raw())
}

// UnmarshalPublicKey decodes a PublicKey message. It is the one door for keys
// from peers: encodings that are not the unique one, RSA keys outside 2048 to
// 8192 bits, points that are not on their curve, and keys for which anybody can
// make signatures are [ErrInvalidKey].
func UnmarshalPublicKey(b []byte) (PublicKey, error) {
	t, data, err := unmarshalKey(b, maxPublicKey)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	var k PublicKey
	switch t {
	case Ed25519:
		k, err = parseEd25519Public(data)
	case Secp256k1:
		k, err = parseSecp256k1Public(data)
	case ECDSA:
		k, err = parseECDSAPublic(data)
	case RSA:
		k, err = parseRSAPublic(data)
	default:
		err = fmt.Errorf("unknown type: %w", ErrInvalidKey)
	}
	if err != nil {
		return nil, fmt.Errorf("%v public key: %w", t, err)
	}
	return k, nil
}

// MarshalPrivateKey returns the PrivateKey message of the peer ID
// specification, as key files hold it. The result is secret.
func MarshalPrivateKey(k PrivateKey) []byte {
	return marshalKey(k.Type(), k.Raw())
}

// UnmarshalPrivateKey decodes a PrivateKey message. The old form of Ed25519
// keys, with the public key twice, is understood. A public key within the
// message that does not belong to the secret is [ErrInvalidKey]. Errors never
// contain parts of the input.
func UnmarshalPrivateKey(b []byte) (PrivateKey, error) {
	t, data, err := unmarshalKey(b, maxPrivateKey)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	var k PrivateKey
	switch t {
	case Ed25519:
		k, err = parseEd25519Private(data)
	case Secp256k1:
		k, err = parseSecp256k1Private(data)
	case ECDSA:
		k, err = parseECDSAPrivate(data)
	case RSA:
		k, err = parseRSAPrivate(data)
	default:
		err = fmt.Errorf("unknown type: %w", ErrInvalidKey)
	}
	if err != nil {
		return nil, fmt.Errorf("%v private key: %w", t, err)
	}
	return k, nil
}

func marshalKey(t KeyType, data []byte) []byte {
	b := make([]byte, 0, 6+len(data))
	b = append(b, tagKeyType, byte(t), tagKeyData)
	b = wire.AppendUvarint(b, uint64(len(data)))
	return append(b, data...)
}

// unmarshalKey splits a key message into type and data. The specification
// wants one encoding per key: both fields, in order, minimal, nothing else.
func unmarshalKey(b []byte, max int) (KeyType, []byte, error) {
	if len(b) > max {
		return 0, nil, fmt.Errorf("%d bytes, limit %d: %w", len(b), max, ErrInvalidKey)
	}
	if len(b) < 4 || b[0] != tagKeyType || b[1] >= 0x80 || b[2] != tagKeyData {
		return 0, nil, fmt.Errorf("not a key message: %w", ErrInvalidKey)
	}
	size, n, err := wire.Uvarint(b[3:])
	if err != nil {
		return 0, nil, fmt.Errorf("length: %w: %w", err, ErrInvalidKey)
	}
	data := b[3+n:]
	if size != uint64(len(data)) {
		return 0, nil, fmt.Errorf("length %d, but %d bytes follow: %w", size, len(data), ErrInvalidKey)
	}
	return KeyType(b[1]), data, nil
}
