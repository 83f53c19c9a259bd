// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package edkey verifies Ed25519 signatures of a key from which many are expected,
// in about half the time that crypto/ed25519 takes. It accepts exactly the
// signatures that crypto/ed25519 accepts: what is computed is the same, and what is
// compared are the same bytes.
//
// A signature (R, S) of a message M by a key A is right if [S]B - [k]A, encoded, is R,
// where k is a hash of R, A and M. Almost all of the time goes into doubling points,
// once for each of the 253 bits of S and k. But [k]A is also the sum of
// [k₀]A, [k₁]2⁶⁴A, [k₂]2¹²⁸A and [k₃]2¹⁹²A, where k₀ to k₃ are the four parts of k
// that have 64 bits. Once the multiples of A are known, which takes as much time as
// half a signature, there are 64 doublings left. Nothing here is secret, and so
// nothing has to take the same time for all inputs.
package edkey

import (
	"bytes"
	"crypto/sha512"
	"errors"
	"fmt"

	"filippo.io/edwards25519"
)

// Size is the length of a key, in bytes.
const Size = 32

// parts is in how many parts scalars are split, partBits how many bits each has.
const (
	parts    = 4
	partBits = 64
)

// Key is a key whose multiples are known. It does not change.
type Key struct {
	encoded [Size]byte
	powers  [parts]affine // -A, -2⁶⁴A, -2¹²⁸A and -2¹⁹²A
}

// New prepares a key.
func New(encoded []byte) (*Key, error) {
	if len(encoded) != Size {
		return nil, errors.New("key is not 32 bytes long")
	}
	p, err := new(edwards25519.Point).SetBytes(encoded)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	k := &Key{encoded: [Size]byte(encoded)}
	toAffine(k.powers[:], powers(p.Negate(p)))
	return k, nil
}

// Verify reports whether a signature of a message is right.
func (k *Key) Verify(message, signature []byte) bool {
	if len(signature) != 64 {
		return false
	}
	r, s := signature[:32], signature[32:]
	if _, err := edwards25519.NewScalar().SetCanonicalBytes(s); err != nil {
		return false
	}
	h := sha512.New()
	h.Write(r)
	h.Write(k.encoded[:])
	h.Write(message)
	var digest [sha512.Size]byte
	hash, err := edwards25519.NewScalar().SetUniformBytes(h.Sum(digest[:0]))
	if err != nil {
		return false // never: the digest has the length that it wants
	}
	sum := k.combine((*[32]byte)(hash.Bytes()), (*[32]byte)(s))
	return bytes.Equal(sum[:], r)
}

// combine is [s]B - [k]A, encoded.
func (k *Key) combine(hash, s *[32]byte) [32]byte {
	var keyDigits, baseDigits [256]int8
	digits(&keyDigits, hash, keyWidth)
	digits(&baseDigits, s, baseWidth)
	multiples := baseMultiples()
	var sum completed
	q := identity()
	for bit := partBits - 1; bit >= 0; bit-- {
		sum.double(&q)
		for i := range parts {
			if d := keyDigits[partBits*i+bit]; d != 0 {
				sum.add(&k.powers[i], d < 0)
			}
			if d := baseDigits[partBits*i+bit]; d > 0 {
				sum.add(&multiples[i][d/2], false)
			} else if d < 0 {
				sum.add(&multiples[i][-d/2], true)
			}
		}
		q.set(&sum)
	}
	return q.encode()
}
