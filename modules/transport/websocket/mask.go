// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"crypto/subtle"
	"encoding/binary"
	"math/bits"
)

// padSize is the length of the pieces that are masked at once, in bytes: long
// enough for the vector instructions of [subtle.XORBytes] to pay off.
const padSize = 1 << 10

// mask lays key over src and writes the result to dst, which is as long and
// either src itself or apart from it. It returns the key for the bytes that
// follow those.
func mask(dst, src []byte, key uint32) uint32 {
	if len(src) < padSize {
		return maskWords(dst, src, key)
	}
	var pad [padSize]byte
	double := uint64(key)<<32 | uint64(key)
	for i := 0; i < padSize; i += 8 {
		binary.LittleEndian.PutUint64(pad[i:], double)
	}
	for len(src) >= padSize {
		subtle.XORBytes(dst[:padSize], src[:padSize], pad[:])
		dst, src = dst[padSize:], src[padSize:]
	}
	return maskWords(dst, src, key)
}

// maskWords does the same eight bytes at a time.
func maskWords(dst, src []byte, key uint32) uint32 {
	double := uint64(key)<<32 | uint64(key)
	for len(src) >= 8 && len(dst) >= 8 {
		binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src)^double)
		dst, src = dst[8:], src[8:]
	}
	for i := range src {
		dst[i] = src[i] ^ byte(key)
		key = bits.RotateLeft32(key, -8)
	}
	return key
}
