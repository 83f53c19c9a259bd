// SPDX-License-Identifier: Apache-2.0 OR MIT

package webtransport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"fmt"
	"math/big"
	"time"
)

const (
	// validity is how long a certificate is valid. Browsers refuse one that is
	// valid for more than 14 days.
	validity = 14*24*time.Hour - time.Hour
	// skew is how far the clock of a client may be off: a certificate is valid
	// for that long before it is used and after.
	skew = time.Hour
	// period is how long a certificate is used.
	period = validity - 2*skew
)

// seed is the secret from which all certificates of a node are derived: the
// keys, the times and every other byte, so that they are the same after a
// restart, and the node's addresses as well.
type seed [32]byte

// derive expands the seed to the named secret of n bytes. Different names, and
// different salts, give independent secrets.
func (s *seed) derive(name string, salt uint64, n int) ([]byte, error) {
	return hkdf.Key(sha256.New, s[:], binary.BigEndian.AppendUint64(nil, salt), "xnode webtransport "+name, n)
}

// offset shifts the periods of a node, so that not all nodes of a network
// change their certificates in the same second.
func (s *seed) offset() (time.Duration, error) {
	b, err := s.derive("offset", 0, 8)
	if err != nil {
		return 0, err
	}
	return time.Duration(binary.BigEndian.Uint64(b)%uint64(period/time.Second)) * time.Second, nil
}

// certificate makes the certificate that is used for a period from start. It is
// what a browser wants of one that it knows by its hash: a self-signed X.509v3
// certificate for a key on P-256, valid for less than 14 days.
func (s *seed) certificate(start time.Time) (*tls.Certificate, error) {
	salt := uint64(start.Unix())
	key, err := s.key(salt)
	if err != nil {
		return nil, err
	}
	serial, err := s.derive("serial number", salt, 16)
	if err != nil {
		return nil, err
	}
	serial[0] = serial[0]&0x7f | 0x40 // positive, and never of less than 16 bytes
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		Subject:      pkix.Name{CommonName: "libp2p"},
		NotBefore:    start.Add(-skew),
		NotAfter:     start.Add(period + skew),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	// Without a source of randomness the signature is that of RFC 6979, which
	// is the same each time.
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// key derives a key on P-256. All but one in 2^32 candidates are below the
// order of the curve.
func (s *seed) key(salt uint64) (*ecdsa.PrivateKey, error) {
	for i := 0; ; i++ {
		scalar, err := s.derive(fmt.Sprint("key ", i), salt, 32)
		if err != nil {
			return nil, err
		}
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar); err == nil {
			return key, nil
		}
	}
}
