// SPDX-License-Identifier: Apache-2.0 OR MIT

package tls

import (
	"crypto/sha256"
	"crypto/x509"
	"time"

	"github.com/xnode-p2p/xnode/modules/security/internal/cache"
)

// verified remembers certificates that were found to be right, so that a peer
// that comes back with the same one costs no check of its two signatures.
//
// Whether they are good depends on nothing but the bytes of the certificate, so
// the remembered answer is the one that a new check would give. The time is
// checked always, and that the remote holds the certificate's key is not
// remembered: each handshake proves it. All that is remembered takes less than
// 3 MiB.
type verified struct {
	proofs cache.Cache[certHash, proof]
}

// certHash is the SHA-256 hash of a certificate.
type certHash = [sha256.Size]byte

// check verifies a certificate.
func (v *verified) check(cert *x509.Certificate, now time.Time) (*proof, error) {
	if err := checkTime(cert, now); err != nil {
		return nil, err
	}
	hash := sha256.Sum256(cert.Raw)
	if p := v.proofs.Get(hash); p != nil {
		return p, nil
	}
	p, err := prove(cert)
	if err != nil {
		return nil, err
	}
	v.proofs.Put(hash, p)
	return p, nil
}
