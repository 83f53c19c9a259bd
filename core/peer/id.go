// SPDX-License-Identifier: Apache-2.0 OR MIT

package peer

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/mr-tron/base58"
	"github.com/multiformats/go-multibase"
)

const (
	// maxInlined is the longest encoded public key that stands in an ID as it
	// is, in bytes. Longer ones are hashed.
	maxInlined = 42

	// maxID bounds an ID, in bytes.
	maxID = 2 + maxInlined

	// maxBase58 and maxText bound the text forms of an ID, in bytes. The
	// longest CID, written in base 2, takes 369.
	maxBase58 = 64
	maxText   = 400
)

// Prefixes of the two multihashes an ID can be, and of a CIDv1 of the
// libp2p-key codec. All are one-byte varints.
const (
	hashIdentity = 0x00
	hashSHA256   = 0x12
	cidVersion1  = 0x01
	codecLibp2p  = 0x72
)

var (
	// ErrInvalidID says that bytes or text are not a peer ID. The text that
	// wraps it tells why.
	ErrInvalidID = errors.New("invalid peer ID")

	// ErrNoPublicKey says that an ID is the hash of a key and does not contain
	// it.
	ErrNoPublicKey = errors.New("peer ID does not contain its public key")
)

// ID names a peer: it is the multihash of the peer's public key, as raw bytes.
// IDs compare with == and serve as map keys. The zero ID names nobody.
//
// An ID from a peer is made by [FromBytes] or [Decode], never by conversion. IDs
// print and encode as text, with one exception: package encoding/json writes
// the raw bytes of map keys that are strings underneath, so maps in documents
// are keyed by [ID.String].
type ID string

// FromPublicKey returns the ID of the holder of k: the encoded key itself if it
// has at most 42 bytes (Ed25519, secp256k1), else its SHA-256.
func FromPublicKey(k PublicKey) ID {
	b := MarshalPublicKey(k)
	if len(b) <= maxInlined {
		return multihash(hashIdentity, b)
	}
	hash := sha256.Sum256(b)
	return multihash(hashSHA256, hash[:])
}

// multihash puts the prefix of a multihash before a digest of less than 128 bytes.
func multihash(code byte, digest []byte) ID {
	b := make([]byte, 0, maxID)
	b = append(b, code, byte(len(digest)))
	return ID(append(b, digest...))
}

// FromBytes returns the ID with the given multihash. What is neither SHA-256
// nor an identity multihash of at most 42 bytes is [ErrInvalidID].
func FromBytes(b []byte) (ID, error) {
	if len(b) > maxID {
		return "", fmt.Errorf("%d bytes: %w", len(b), ErrInvalidID)
	}
	id := ID(b)
	if err := id.Validate(); err != nil {
		return "", err
	}
	return id, nil
}

// Decode reads the text form of an ID: base58 ("12D3KooW…", "Qm…"), or a CIDv1
// of the libp2p-key codec in any multibase ("bafz…", "k51q…").
func Decode(text string) (ID, error) {
	var hash []byte
	var err error
	if strings.HasPrefix(text, "1") || strings.HasPrefix(text, "Qm") {
		if len(text) > maxBase58 {
			return "", fmt.Errorf("text of %d bytes: %w", len(text), ErrInvalidID)
		}
		hash, err = base58.Decode(text)
	} else {
		hash, err = decodeCID(text)
	}
	if err != nil {
		return "", fmt.Errorf("%.*q: %w: %w", maxBase58, text, ErrInvalidID, err)
	}
	id, err := FromBytes(hash)
	if err != nil {
		return "", fmt.Errorf("%.*q: %w", maxBase58, text, err)
	}
	return id, nil
}

// decodeCID returns the multihash within the text of a CIDv1.
func decodeCID(text string) ([]byte, error) {
	if len(text) == 0 {
		return nil, errors.New("empty")
	}
	if len(text) > maxText {
		return nil, fmt.Errorf("text of %d bytes", len(text))
	}
	if text[0] == multibase.Identity {
		return nil, errors.New("raw bytes")
	}
	_, b, err := multibase.Decode(text)
	if err != nil {
		return nil, err
	}
	if len(b) < 2 || b[0] != cidVersion1 || b[1] != codecLibp2p {
		return nil, errors.New("not a CIDv1 of a libp2p key")
	}
	return b[2:], nil
}

// Validate tells whether the ID has the form of a peer ID; the zero ID has not.
// It does not look at a key the ID contains: see [ID.PublicKey].
func (id ID) Validate() error {
	switch {
	case id == "":
		return fmt.Errorf("empty: %w", ErrInvalidID)
	case len(id) < 3 || int(id[1]) != len(id)-2:
		return fmt.Errorf("wrong length: %w", ErrInvalidID)
	case id[0] == hashSHA256 && id[1] == sha256.Size:
		return nil
	case id[0] == hashIdentity && id[1] <= maxInlined:
		return nil
	}
	return fmt.Errorf("multihash neither SHA-256 nor a short key: %w", ErrInvalidID)
}

// Bytes returns the multihash, as protobuf messages and multiaddrs carry it.
func (id ID) Bytes() []byte { return []byte(id) }

// String returns the ID in base58, the form that everyone reads. The zero ID is
// the empty string. Bytes beyond those of the longest valid ID do not appear.
func (id ID) String() string { return base58.Encode([]byte(id[:min(len(id), maxID)])) }

// CID returns the ID as a CIDv1 in base 36 ("k51q…", "k2k4…"), the form that
// fits into a DNS label. The zero ID is the empty string.
func (id ID) CID() string {
	if id == "" {
		return ""
	}
	cid := append([]byte{cidVersion1, codecLibp2p}, id[:min(len(id), maxID)]...)
	text, err := multibase.Encode(multibase.Base36, cid)
	if err != nil {
		return "" // only for a base the library does not have
	}
	return text
}

// Short returns the last eight characters of [ID.String], to tell peers apart
// in tables and logs. It is not unique against somebody who tries.
func (id ID) Short() string {
	s := id.String()
	return s[max(0, len(s)-8):]
}

// PublicKey returns the key that the ID contains. For a hashed key (RSA, ECDSA)
// the error is [ErrNoPublicKey].
func (id ID) PublicKey() (PublicKey, error) {
	if err := id.Validate(); err != nil {
		return nil, err
	}
	if id[0] != hashIdentity {
		return nil, ErrNoPublicKey
	}
	return UnmarshalPublicKey([]byte(id[2:]))
}

// Matches tells whether k is the key that the ID is made of.
func (id ID) Matches(k PublicKey) bool {
	return k != nil && FromPublicKey(k) == id
}

// MarshalText implements [encoding.TextMarshaler] with [ID.String].
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler] with [Decode]. Empty text
// is the zero ID.
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*id = ""
		return nil
	}
	if len(text) > maxText {
		return fmt.Errorf("text of %d bytes: %w", len(text), ErrInvalidID)
	}
	decoded, err := Decode(string(text))
	if err != nil {
		return err
	}
	*id = decoded
	return nil
}
