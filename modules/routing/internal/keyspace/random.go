// SPDX-License-Identifier: Apache-2.0 OR MIT

package keyspace

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/xnode-p2p/xnode/core/peer"
)

// MaxPreimage is the longest common prefix that [Preimage] is asked for, in
// bits. Finding it takes 2^16 hashes on average, a few milliseconds.
const MaxPreimage = 15

// tries bounds a search, as a multiple of what it takes on average: one in e^20
// fails.
const tries = 20

// Random returns a key that shares exactly the first cpl bits of k. With cpl
// [Bits] or more it is k.
func Random(k Key, cpl int, rng *rand.Rand) Key {
	if cpl >= Bits {
		return k
	}
	var r Key
	for i := 0; i < len(r); i += 8 {
		binary.BigEndian.PutUint64(r[i:], rng.Uint64())
	}
	whole, rest := cpl/8, cpl%8
	copy(r[:whole], k[:whole])
	kept := ^byte(0) << (8 - rest)
	flipped := byte(0x80) >> rest
	r[whole] = k[whole]&kept | ^k[whole]&flipped | r[whole]&^(kept|flipped)
	return r
}

// Preimage returns a peer ID whose key shares exactly the first cpl bits of k.
// A bucket of a routing table is refreshed by a look-up of one: the wire
// carries what is hashed, not the key. The ID is the hash of no known key, so
// nobody has it. ok is false if cpl is more than [MaxPreimage], or by very bad
// luck.
func Preimage(k Key, cpl int, rng *rand.Rand) (p peer.ID, ok bool) {
	if cpl < 0 || cpl > MaxPreimage {
		return "", false
	}
	id := [34]byte{0x12, 0x20} // the multihash of a SHA-256
	for i := 2; i < len(id); i += 8 {
		binary.BigEndian.PutUint64(id[i:], rng.Uint64())
	}
	for n := range uint64(tries) << (cpl + 1) {
		binary.BigEndian.PutUint64(id[26:], n)
		if CommonPrefix(Of(id[:]), k) == cpl {
			return peer.ID(id[:]), true
		}
	}
	return "", false
}
