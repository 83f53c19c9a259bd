// SPDX-License-Identifier: Apache-2.0 OR MIT

package peer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"io"
)

// ecdsaPublic is a point of one of the NIST curves, nearly always P-256.
type ecdsaPublic struct {
	der []byte // PKIX
	key *ecdsa.PublicKey
}

func parseECDSAPublic(data []byte) (PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidKey, err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("holds a key of another type: %w", ErrInvalidKey)
	}
	k, err := newECDSAPublic(key)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(k.der, data) {
		return nil, fmt.Errorf("not in DER: %w", ErrInvalidKey)
	}
	return k, nil
}

func newECDSAPublic(key *ecdsa.PublicKey) (*ecdsaPublic, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidKey, err)
	}
	return &ecdsaPublic{der: der, key: key}, nil
}

func (k *ecdsaPublic) Type() KeyType              { return ECDSA }
func (k *ecdsaPublic) Raw() []byte                { return bytes.Clone(k.der) }
func (k *ecdsaPublic) Equal(other PublicKey) bool { return equalKeys(ECDSA, k.der, other) }

// Verify takes signatures in strict DER. Both values of S are good: no rule of
// ECDSA prefers one, and signers emit either.
func (k *ecdsaPublic) Verify(data, sig []byte) bool {
	hash := sha256.Sum256(data)
	return ecdsa.VerifyASN1(k.key, hash[:], sig)
}

// ecdsaSecret is an ECDSA private key in both its forms.
type ecdsaSecret struct {
	der []byte // SEC1
	key *ecdsa.PrivateKey
}

// ecdsaPrivate is a scalar of one of the NIST curves.
type ecdsaPrivate struct {
	secret[ecdsaSecret]
	pub *ecdsaPublic
}

func newECDSAPrivate(key *ecdsa.PrivateKey) (*ecdsaPrivate, error) {
	pub, err := newECDSAPublic(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidKey, err)
	}
	return &ecdsaPrivate{secret: newSecret(ECDSA, ecdsaSecret{der, key}), pub: pub}, nil
}

func generateECDSA(r io.Reader) (PrivateKey, error) {
	for {
		var b [32]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return nil, err
		}
		// All but one in 2^32 draws are below the order of the curve.
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), b[:]); err == nil {
			return newECDSAPrivate(key)
		}
	}
}

// sec1Key is the ECPrivateKey of RFC 5915.
type sec1Key struct {
	Version int
	Scalar  []byte
	Curve   asn1.ObjectIdentifier `asn1:"optional,explicit,tag:0"`
	Public  asn1.BitString        `asn1:"optional,explicit,tag:1"`
}

// parseECDSAPrivate decodes the ECPrivateKey of RFC 5915, with or without its
// optional parts; without a curve it is on P-256.
func parseECDSAPrivate(data []byte) (PrivateKey, error) {
	var sec1 sec1Key
	rest, err := asn1.Unmarshal(data, &sec1)
	if err != nil || len(rest) > 0 || sec1.Version != 1 {
		return nil, fmt.Errorf("not an EC private key of version 1: %w", ErrInvalidKey)
	}
	curve := namedCurve(sec1.Curve)
	if curve == nil {
		return nil, fmt.Errorf("unknown curve: %w", ErrInvalidKey)
	}
	key, err := ecdsa.ParseRawPrivateKey(curve, sec1.Scalar)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidKey, err)
	}
	if want := sec1.Public.Bytes; len(want) > 0 {
		if got, err := key.PublicKey.Bytes(); err != nil || !bytes.Equal(got, want) {
			return nil, fmt.Errorf("the public key belongs to another secret: %w", ErrInvalidKey)
		}
	}
	return newECDSAPrivate(key)
}

// namedCurve returns the curve with the given object identifier, P-256 for
// none, and nil for an unknown one.
func namedCurve(oid asn1.ObjectIdentifier) elliptic.Curve {
	switch oid.String() {
	case "", "1.2.840.10045.3.1.7":
		return elliptic.P256()
	case "1.3.132.0.33":
		return elliptic.P224()
	case "1.3.132.0.34":
		return elliptic.P384()
	case "1.3.132.0.35":
		return elliptic.P521()
	}
	return nil
}

func (k *ecdsaPrivate) Raw() []byte       { return bytes.Clone(k.key().der) }
func (k *ecdsaPrivate) Public() PublicKey { return k.pub }

func (k *ecdsaPrivate) Sign(data []byte) ([]byte, error) {
	hash := sha256.Sum256(data)
	sig, err := ecdsa.SignASN1(rand.Reader, k.key().key, hash[:])
	if err != nil {
		return nil, fmt.Errorf("ECDSA signature: %w", err)
	}
	return sig, nil
}
