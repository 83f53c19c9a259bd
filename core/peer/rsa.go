// SPDX-License-Identifier: Apache-2.0 OR MIT

package peer

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
	"math"
)

const (
	// minRSABits and maxRSABits bound the modulus. Verifying with a larger key
	// costs a peer nothing and us seconds (CVE-2023-39533).
	minRSABits = 2048
	maxRSABits = 8192

	// minRSAExponent is the smallest public exponent of FIPS 186-5, and what
	// practically every key has.
	minRSAExponent = 1<<16 + 1

	// newRSABits is the size of generated keys.
	newRSABits = 2048
)

// rsaPublic is an RSA modulus and exponent.
type rsaPublic struct {
	der []byte // PKIX
	key *rsa.PublicKey
}

func parseRSAPublic(data []byte) (PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidKey, err)
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("holds a key of another type: %w", ErrInvalidKey)
	}
	k, err := newRSAPublic(key)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(k.der, data) {
		return nil, fmt.Errorf("not in DER: %w", ErrInvalidKey)
	}
	return k, nil
}

// newRSAPublic checks modulus and exponent. It does no arithmetic with them.
func newRSAPublic(key *rsa.PublicKey) (*rsaPublic, error) {
	if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
		return nil, fmt.Errorf("%d bits, want %d to %d: %w", bits, minRSABits, maxRSABits, ErrInvalidKey)
	}
	if key.N.Bit(0) == 0 {
		return nil, fmt.Errorf("even modulus: %w", ErrInvalidKey)
	}
	if key.E < minRSAExponent || key.E > math.MaxInt32 || key.E%2 == 0 {
		return nil, fmt.Errorf("exponent %d: %w", key.E, ErrInvalidKey)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidKey, err)
	}
	return &rsaPublic{der: der, key: key}, nil
}

func (k *rsaPublic) Type() KeyType              { return RSA }
func (k *rsaPublic) Raw() []byte                { return bytes.Clone(k.der) }
func (k *rsaPublic) Equal(other PublicKey) bool { return equalKeys(RSA, k.der, other) }

func (k *rsaPublic) Verify(data, sig []byte) bool {
	hash := sha256.Sum256(data)
	return rsa.VerifyPKCS1v15(k.key, crypto.SHA256, hash[:], sig) == nil
}

// rsaPrivate is an RSA key with its two primes.
type rsaPrivate struct {
	secret[*rsa.PrivateKey]
	pub *rsaPublic
}

func newRSAPrivate(key *rsa.PrivateKey) (*rsaPrivate, error) {
	pub, err := newRSAPublic(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	return &rsaPrivate{secret: newSecret(RSA, key), pub: pub}, nil
}

func generateRSA(r io.Reader) (PrivateKey, error) {
	key, err := rsa.GenerateKey(r, newRSABits)
	if err != nil {
		return nil, err
	}
	return newRSAPrivate(key)
}

func parseRSAPrivate(data []byte) (PrivateKey, error) {
	key, err := x509.ParsePKCS1PrivateKey(data)
	if err != nil {
		return nil, fmt.Errorf("not a PKCS #1 private key: %w", ErrInvalidKey)
	}
	if len(key.Primes) != 2 {
		return nil, fmt.Errorf("%d primes: %w", len(key.Primes), ErrInvalidKey)
	}
	return newRSAPrivate(key)
}

func (k *rsaPrivate) Raw() []byte       { return x509.MarshalPKCS1PrivateKey(k.key()) }
func (k *rsaPrivate) Public() PublicKey { return k.pub }

func (k *rsaPrivate) Sign(data []byte) ([]byte, error) {
	hash := sha256.Sum256(data)
	sig, err := rsa.SignPKCS1v15(nil, k.key(), crypto.SHA256, hash[:])
	if err != nil {
		return nil, fmt.Errorf("RSA signature: %w", err)
	}
	return sig, nil
}
