// SPDX-License-Identifier: Apache-2.0 OR MIT

package noise

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"math"

	flynn "github.com/flynn/noise"
	"golang.org/x/crypto/chacha20poly1305"
)

// errNonce means that a direction has carried as many records as its key may
// protect. The last nonce, 2^64-1, is reserved by the Noise specification.
var errNonce = errors.New("noise: the key is used up, a new connection is needed")

// sealer encrypts or decrypts the records of one direction, in their order.
type sealer struct {
	aead cipher.AEAD
	next uint64 // the nonce of the next record
	// nonce stands here and not on the stack, from where it would escape to
	// the heap with every record.
	nonce [chacha20poly1305.NonceSize]byte
}

func (s *sealer) init(state *flynn.CipherState) error {
	key := state.UnsafeKey()
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		return err
	}
	s.aead, s.next = aead, state.Nonce()
	return nil
}

// seal appends the encrypted plaintext to dst.
func (s *sealer) seal(dst, plaintext []byte) ([]byte, error) {
	if s.next == math.MaxUint64 {
		return nil, errNonce
	}
	binary.LittleEndian.PutUint64(s.nonce[4:], s.next)
	s.next++
	return s.aead.Seal(dst, s.nonce[:], plaintext, nil), nil
}

// open appends the decrypted record to dst. The nonce advances only if the
// record is authentic.
func (s *sealer) open(dst, record []byte) ([]byte, error) {
	if s.next == math.MaxUint64 {
		return nil, errNonce
	}
	binary.LittleEndian.PutUint64(s.nonce[4:], s.next)
	plaintext, err := s.aead.Open(dst, s.nonce[:], record, nil)
	if err != nil {
		return nil, err
	}
	s.next++
	return plaintext, nil
}
