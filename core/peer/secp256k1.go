// SPDX-License-Identifier: Apache-2.0 OR MIT

package peer

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

// secp256k1Public is a point of Bitcoin's curve.
type secp256k1Public struct {
	raw [secp256k1.PubKeyBytesLenCompressed]byte
	key *secp256k1.PublicKey
}

func parseSecp256k1Public(data []byte) (PublicKey, error) {
	if len(data) != secp256k1.PubKeyBytesLenCompressed {
		return nil, fmt.Errorf("%d bytes, want the compressed %d: %w",
			len(data), secp256k1.PubKeyBytesLenCompressed, ErrInvalidKey)
	}
	key, err := secp256k1.ParsePubKey(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidKey, err)
	}
	return newSecp256k1Public(key), nil
}

func newSecp256k1Public(key *secp256k1.PublicKey) *secp256k1Public {
	k := &secp256k1Public{key: key}
	copy(k.raw[:], key.SerializeCompressed())
	return k
}

func (k *secp256k1Public) Type() KeyType              { return Secp256k1 }
func (k *secp256k1Public) Raw() []byte                { return bytes.Clone(k.raw[:]) }
func (k *secp256k1Public) Equal(other PublicKey) bool { return equalKeys(Secp256k1, k.raw[:], other) }

// Verify takes signatures in strict DER whose S is in the lower half of its
// range, as BIP 62 has it and as every implementation signs.
func (k *secp256k1Public) Verify(data, sig []byte) bool {
	s, err := ecdsa.ParseDERSignature(sig)
	if err != nil {
		return false
	}
	if half := s.S(); half.IsOverHalfOrder() {
		return false
	}
	hash := sha256.Sum256(data)
	return s.Verify(hash[:], k.key)
}

// secp256k1Private is a scalar of Bitcoin's curve.
type secp256k1Private struct {
	secret[*secp256k1.PrivateKey]
	pub *secp256k1Public
}

func newSecp256k1Private(scalar *secp256k1.ModNScalar) *secp256k1Private {
	key := secp256k1.NewPrivateKey(scalar)
	return &secp256k1Private{
		secret: newSecret(Secp256k1, key),
		pub:    newSecp256k1Public(key.PubKey()),
	}
}

func generateSecp256k1(r io.Reader) (PrivateKey, error) {
	key, err := secp256k1.GeneratePrivateKeyFromRand(r)
	if err != nil {
		return nil, err
	}
	return newSecp256k1Private(&key.Key), nil
}

func parseSecp256k1Private(data []byte) (PrivateKey, error) {
	if len(data) != secp256k1.PrivKeyBytesLen {
		return nil, fmt.Errorf("%d bytes, want %d: %w", len(data), secp256k1.PrivKeyBytesLen, ErrInvalidKey)
	}
	var scalar secp256k1.ModNScalar
	if overflow := scalar.SetByteSlice(data); overflow || scalar.IsZero() {
		return nil, fmt.Errorf("out of range: %w", ErrInvalidKey)
	}
	return newSecp256k1Private(&scalar), nil
}

func (k *secp256k1Private) Raw() []byte       { return k.key().Serialize() }
func (k *secp256k1Private) Public() PublicKey { return k.pub }

func (k *secp256k1Private) Sign(data []byte) ([]byte, error) {
	hash := sha256.Sum256(data)
	return ecdsa.Sign(k.key(), hash[:]).Serialize(), nil
}
