// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcdirect

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/modules/transport/internal/certseed"
)

// seedLabel is what the certificate's seed is for.
const seedLabel = "webrtc-direct"

// certificate is a node's DTLS certificate, which is the same each time it
// starts, and its hash.
type certificate struct {
	tls  tls.Certificate
	hash hash
}

func newCertificate(identity core.Identity, dir string) (*certificate, error) {
	seed, err := certseed.Seed(identity, seedLabel, dir)
	if err != nil {
		return nil, err
	}
	return certificateOf(seed)
}

// certificateOf makes the certificate of a seed. Nothing in it is random, or
// depends on the time: nobody looks at more than its hash and its key.
func certificateOf(seed [certseed.Size]byte) (*certificate, error) {
	key, err := keyOf(seed)
	if err != nil {
		return nil, fmt.Errorf("dtls key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "libp2p"},
		NotBefore:    time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2099, 12, 31, 0, 0, 0, 0, time.UTC),
	}
	// Without a source of randomness the signature is that of RFC 6979.
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("dtls certificate: %w", err)
	}
	return &certificate{
		tls:  tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		hash: sha256.Sum256(der),
	}, nil
}

// keyOf derives a key of P-256. One derivation in 2^32 is no key, and the next
// is tried.
func keyOf(seed [certseed.Size]byte) (*ecdsa.PrivateKey, error) {
	var failed error
	for i := range 8 {
		scalar, err := hkdf.Key(sha256.New, seed[:], nil, fmt.Sprintf("webrtc-direct key %d", i), 32)
		if err != nil {
			return nil, err
		}
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
		if err == nil {
			return key, nil
		}
		failed = err
	}
	return nil, failed
}
