// SPDX-License-Identifier: Apache-2.0 OR MIT

package tls

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
)

// The sizes of RSA keys with which a certificate may be signed, in bits. For
// identity keys package peer has the same bounds.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// signatureAlgorithms are those with which a certificate may be signed.
var signatureAlgorithms = []x509.SignatureAlgorithm{
	x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512,
	x509.PureEd25519,
	x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
	x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
}

// proof is what a certificate shows when everything about it is right.
type proof struct {
	key peer.PublicKey
	id  peer.ID
}

// claim is what the libp2p extension of a certificate says: that the key has
// signed the certificate's own.
type claim struct {
	key       peer.PublicKey
	signature []byte
}

// prove verifies all about a certificate but its time.
func prove(cert *x509.Certificate) (*proof, error) {
	for _, id := range cert.UnhandledCriticalExtensions {
		if !id.Equal(extensionOID) {
			return nil, fmt.Errorf("unknown critical extension %v", id)
		}
	}
	c, err := readClaim(cert)
	if err != nil {
		return nil, err
	}
	if err := checkOwnSignature(cert); err != nil {
		return nil, err
	}
	if !c.key.Verify(signedData(cert.RawSubjectPublicKeyInfo), c.signature) {
		return nil, errors.New("its key is not signed by the identity key")
	}
	return &proof{key: c.key, id: peer.FromPublicKey(c.key)}, nil
}

// readClaim decodes the libp2p extension. It does not verify the signature.
func readClaim(cert *x509.Certificate) (claim, error) {
	var value []byte
	found := 0
	for _, e := range cert.Extensions {
		if e.Id.Equal(extensionOID) {
			value = e.Value
			found++
		}
	}
	if found != 1 {
		return claim{}, fmt.Errorf("has the libp2p extension %d times, want it once", found)
	}
	encoded, signature, err := decodeSignedKey(value)
	if err != nil {
		return claim{}, err
	}
	key, err := peer.UnmarshalPublicKey(encoded)
	if err != nil {
		return claim{}, fmt.Errorf("identity key: %w", err)
	}
	return claim{key: key, signature: signature}, nil
}

// checkOwnSignature verifies that the certificate is signed by its own key.
func checkOwnSignature(cert *x509.Certificate) error {
	if !slices.Contains(signatureAlgorithms, cert.SignatureAlgorithm) {
		return fmt.Errorf("signed with %v, which is not accepted", cert.SignatureAlgorithm)
	}
	if key, ok := cert.PublicKey.(*rsa.PublicKey); ok {
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return fmt.Errorf("RSA key of %d bits, want %d to %d", bits, minRSABits, maxRSABits)
		}
	}
	if err := cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature); err != nil {
		return fmt.Errorf("not signed by its own key: %w", err)
	}
	return nil
}

// checkTime verifies that the certificate is valid now.
func checkTime(cert *x509.Certificate, now time.Time) error {
	if now.Before(cert.NotBefore) {
		return fmt.Errorf("valid from %s on only, and the clock says %s", utc(cert.NotBefore), utc(now))
	}
	if now.After(cert.NotAfter) {
		return fmt.Errorf("expired at %s, and the clock says %s", utc(cert.NotAfter), utc(now))
	}
	return nil
}

func utc(t time.Time) string { return t.UTC().Format(time.RFC3339) }
