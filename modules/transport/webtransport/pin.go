// SPDX-License-Identifier: Apache-2.0 OR MIT

package webtransport

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// maxPinnedValidity is how long a certificate known by its hash may be valid,
// https://www.w3.org/TR/webtransport/#custom-certificate-requirements.
const maxPinnedValidity = 14 * 24 * time.Hour

// clientTLS is how a client checks the server of an endpoint: by the hashes if
// there are any, else as the web does, by its name and who vouches for that.
func (e endpoint) clientTLS(roots *x509.CertPool) (*tls.Config, error) {
	config := &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{http3.NextProtoH3},
		ServerName: e.name,
		RootCAs:    roots,
	}
	switch pins := e.sha256Hashes(); {
	case len(pins) > 0:
		config.InsecureSkipVerify = true // VerifyConnection does it
		config.VerifyConnection = func(state tls.ConnectionState) error {
			return verifyPinned(state.PeerCertificates, pins, time.Now())
		}
	case len(e.hashes) > 0:
		return nil, errors.New("no certificate hash of the address is SHA-256")
	case e.name == "":
		return nil, errors.New("the address has neither a /certhash nor a name whose certificate could be checked; ask the peer for its full address")
	}
	return config, nil
}

// verifyPinned checks the certificate of a server that is known by its hash, as
// browsers do.
func verifyPinned(chain []*x509.Certificate, pins [][32]byte, now time.Time) error {
	if len(chain) == 0 {
		return errors.New("the server has no certificate")
	}
	leaf := chain[0]
	if hash := sha256.Sum256(leaf.Raw); !slices.Contains(pins, hash) {
		return fmt.Errorf("the server's certificate, with hash %x, is not in the address", hash)
	}
	switch leaf.PublicKey.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey:
	default:
		return fmt.Errorf("the server's certificate has a key of type %s, which is not allowed", leaf.PublicKeyAlgorithm)
	}
	if valid := leaf.NotAfter.Sub(leaf.NotBefore); valid > maxPinnedValidity {
		return fmt.Errorf("the server's certificate is valid for %s, limit %s", valid, maxPinnedValidity)
	}
	switch {
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("the server's certificate is not valid before %s; is the clock right?", leaf.NotBefore.UTC().Format(time.RFC3339))
	case now.After(leaf.NotAfter):
		return fmt.Errorf("the server's certificate has expired at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// verifyTold checks what the server has said of its certificates, within Noise
// and so in person: it must know all the hashes of the address.
func (e endpoint) verifyTold(told [][]byte) error {
	for _, h := range e.hashes {
		if !slices.ContainsFunc(told, func(t []byte) bool { return bytes.Equal(t, h) }) {
			return fmt.Errorf("the peer does not know the certificate with the multihash %x of its address", h)
		}
	}
	return nil
}
