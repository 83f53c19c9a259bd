// SPDX-License-Identifier: Apache-2.0 OR MIT

package pnet

import (
	"crypto/subtle"
	"encoding/binary"

	//lint:ignore SA1019 The other packages with Salsa20 keep no state between writes.
	"golang.org/x/crypto/salsa20/salsa"
)

const (
	// nonceSize is the length of XSalsa20's nonce, in bytes.
	nonceSize = 24
	// blockSize is how many bytes Salsa20 makes at a time.
	blockSize = 64
)

// keystream is XSalsa20 for one direction of a connection: it encrypts and
// decrypts a stream of bytes, in pieces of any size.
type keystream struct {
	pos     uint64 // how many bytes are done
	key     [32]byte
	counter [16]byte // the rest of the nonce, and the number of the next block

	block [blockSize]byte // of the position, if it is within a block
	have  uint64          // the number of that block, from 1; 0 for none
}

func newKeystream(key *[keySize]byte, nonce *[nonceSize]byte) *keystream {
	s := new(keystream)
	salsa.HSalsa20(&s.key, (*[16]byte)(nonce[:16]), key, &salsa.Sigma)
	copy(s.counter[:8], nonce[16:])
	return s
}

// xor encrypts or decrypts src to dst, which may be the same, and goes on by as
// much.
func (s *keystream) xor(dst, src []byte) {
	dst = dst[:len(src)]
	if at := s.pos % blockSize; at > 0 {
		s.load(s.pos / blockSize)
		n := subtle.XORBytes(dst, src, s.block[at:])
		dst, src = dst[n:], src[n:]
		s.pos += uint64(n)
	}
	if whole := len(src) &^ (blockSize - 1); whole > 0 {
		s.stream(dst[:whole], src[:whole], s.pos/blockSize)
		dst, src = dst[whole:], src[whole:]
		s.pos += uint64(whole)
	}
	if len(src) > 0 {
		s.load(s.pos / blockSize)
		s.pos += uint64(subtle.XORBytes(dst, src, s.block[:]))
	}
}

// back goes back by n bytes.
func (s *keystream) back(n int) { s.pos -= uint64(n) }

// load makes the block with a number.
func (s *keystream) load(number uint64) {
	if s.have != number+1 {
		clear(s.block[:])
		s.stream(s.block[:], s.block[:], number)
		s.have = number + 1
	}
}

func (s *keystream) stream(dst, src []byte, number uint64) {
	binary.LittleEndian.PutUint64(s.counter[8:], number)
	salsa.XORKeyStream(dst, src, &s.counter, &s.key)
}
