// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package keyspace is the space in which Kademlia measures who is close to
// what: 256 bits, the SHA-256 of whatever bytes name a peer, content or a
// record. The distance of two keys is their exclusive or, read as a number.
//
// https://github.com/libp2p/specs/blob/master/kad-dht/README.md
package keyspace

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/xnode-p2p/xnode/core/peer"
)

// Bits is the length of a key, in bits.
const Bits = 8 * len(Key{})

// Key is a place in the space.
type Key [sha256.Size]byte

// Of returns where bytes are: those of a peer ID, of the key of content or of a
// record.
func Of(b []byte) Key { return sha256.Sum256(b) }

// OfPeer returns where a peer is.
func OfPeer(p peer.ID) Key {
	var b [64]byte // longer than any peer ID: nothing is allocated for one
	return sha256.Sum256(append(b[:0], p...))
}

// Distance returns how far a and b are apart. Distances compare as big-endian
// numbers do, and so as bytes.
func Distance(a, b Key) (d Key) {
	for i := range d {
		d[i] = a[i] ^ b[i]
	}
	return d
}

// CommonPrefix returns how many leading bits a and b share: [Bits] if they are
// equal.
func CommonPrefix(a, b Key) int {
	for i := 0; i < len(a); i += 8 {
		if x := word(&a, i) ^ word(&b, i); x != 0 {
			return 8*i + bits.LeadingZeros64(x)
		}
	}
	return Bits
}

// Compare tells which of a and b is closer to a target: it is negative if a is,
// positive if b is, and zero if they are equal.
func Compare(target, a, b Key) int {
	for i := 0; i < len(a); i += 8 {
		t := word(&target, i)
		if c := cmp.Compare(word(&a, i)^t, word(&b, i)^t); c != 0 {
			return c
		}
	}
	return 0
}

// Closer tells whether a is closer to a target than b is.
func Closer(target, a, b Key) bool { return Compare(target, a, b) < 0 }

// Sort sorts items by how close they are to a target, the closest first.
func Sort[T any](target Key, items []T, key func(T) Key) {
	slices.SortFunc(items, func(a, b T) int { return Compare(target, key(a), key(b)) })
}

func word(k *Key, i int) uint64 { return binary.BigEndian.Uint64(k[i : i+8]) }
