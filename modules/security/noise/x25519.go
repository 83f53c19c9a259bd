// SPDX-License-Identifier: Apache-2.0 OR MIT

package noise

import (
	"crypto/ecdh"
	"crypto/rand"
	"io"

	flynn "github.com/flynn/noise"
)

// x25519 does the Diffie-Hellman of one side of one handshake.
//
// The library wants private keys as bytes, and every way from bytes to a shared
// secret in the standard library first derives the public key again, which
// doubles the cost. So the library is given a handle in place of each private
// key, and the keys stay here: one scalar multiplication to make the ephemeral
// key and one for each of ee, es and se.
type x25519 struct {
	static, ephemeral *ecdh.PrivateKey
}

// The handles that stand for the private keys.
var (
	staticHandle    = []byte("s")
	ephemeralHandle = []byte("e")
)

// GenerateKeypair implements [flynn.DHFunc]. Its randomness is the operating
// system's.
func (x *x25519) GenerateKeypair(io.Reader) (flynn.DHKey, error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return flynn.DHKey{}, err
	}
	x.ephemeral = key
	return flynn.DHKey{Private: ephemeralHandle, Public: key.PublicKey().Bytes()}, nil
}

// DH implements [flynn.DHFunc]. A point of low order, with which the secret
// would be zero whatever the private key, is an error.
func (x *x25519) DH(private, public []byte) ([]byte, error) {
	key := x.static
	if private[0] == ephemeralHandle[0] {
		key = x.ephemeral
	}
	remote, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	return key.ECDH(remote)
}

// DHLen implements [flynn.DHFunc].
func (*x25519) DHLen() int { return 32 }

// DHName implements [flynn.DHFunc].
func (*x25519) DHName() string { return "25519" }

var _ flynn.DHFunc = (*x25519)(nil)
