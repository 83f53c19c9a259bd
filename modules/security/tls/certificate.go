// SPDX-License-Identifier: Apache-2.0 OR MIT

package tls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	ctls "crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	// backdated is how long before its making a certificate is valid, for peers
	// whose clocks are late.
	backdated = time.Hour
	// lifetime is how long a certificate is valid, and renewal when it is
	// replaced: until then half a year is left for peers whose clocks are early.
	lifetime = 365 * 24 * time.Hour
	renewal  = lifetime / 2
)

// certificate is a self-signed certificate for an ephemeral key, with the
// signature of the identity that the key belongs to.
type certificate struct {
	ctls.Certificate
	from, renew time.Time
}

// fresh tells whether the certificate is good to present.
func (c *certificate) fresh(now time.Time) bool {
	return !now.Before(c.from) && now.Before(c.renew)
}

func newCertificate(id core.Identity, now time.Time) (*certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	extension, err := vouch(id, spki)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 63))
	if err != nil {
		return nil, err
	}
	from := now.Add(-backdated).Truncate(time.Second) // certificates have no fractions
	template := &x509.Certificate{
		SerialNumber: serial,
		// An issuer must not be empty, RFC 5280.
		Subject:   pkix.Name{SerialNumber: serial.String()},
		NotBefore: from,
		NotAfter:  now.Add(lifetime),
		// It is the only one, so it is the first one, where js-libp2p looks for it.
		ExtraExtensions: []pkix.Extension{{Id: extensionOID, Value: extension}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &certificate{
		Certificate: ctls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf},
		from:        from,
		renew:       now.Add(renewal),
	}, nil
}

// extensionOID is the object identifier of the libp2p public key extension.
var extensionOID = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 53594, 1, 1}

// signedData is what an identity key signs to vouch for the key of a
// certificate, given as SubjectPublicKeyInfo.
func signedData(spki []byte) []byte {
	return append([]byte("libp2p-tls-handshake:"), spki...)
}

// vouch returns the value of the extension that says to whom a key belongs.
func vouch(id core.Identity, spki []byte) ([]byte, error) {
	sig, err := id.Sign(signedData(spki))
	if err != nil {
		return nil, fmt.Errorf("sign the certificate's key: %w", err)
	}
	return encodeSignedKey(peer.MarshalPublicKey(id.PublicKey()), sig)
}

// encodeSignedKey encodes the SignedKey structure of the specification.
func encodeSignedKey(key, signature []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1OctetString(key)
		b.AddASN1OctetString(signature)
	})
	return b.Bytes()
}

// decodeSignedKey decodes a SignedKey structure. What it returns are parts of b.
func decodeSignedKey(b []byte) (key, signature []byte, err error) {
	var sequence, first, second cryptobyte.String
	s := cryptobyte.String(b)
	if !s.ReadASN1(&sequence, cbasn1.SEQUENCE) || !s.Empty() ||
		!sequence.ReadASN1(&first, cbasn1.OCTET_STRING) ||
		!sequence.ReadASN1(&second, cbasn1.OCTET_STRING) || !sequence.Empty() {
		return nil, nil, fmt.Errorf("the libp2p extension is not a SignedKey")
	}
	return first, second, nil
}
