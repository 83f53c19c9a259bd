// SPDX-License-Identifier: Apache-2.0 OR MIT

package tls

import (
	"crypto/x509"
	"sync"
	"time"
)

const (
	// maxVerified bounds the remembered certificates. Peers that come when it
	// is full push out those that have not been back for longest.
	maxVerified = 1024

	// maxRemembered is the size of the largest certificate that is remembered,
	// in bytes. Those with an identity key that is not RSA have about 450.
	maxRemembered = 1 << 10
)

// verified remembers certificates that were found to be right, so that a peer
// that comes back with the same one costs no check of its two signatures.
//
// A certificate is known by its pointer: crypto/tls hands out the same one for
// the same bytes for as long as somebody holds it, and does not parse them again.
// Should it not, the certificate is new and is verified. The time is checked
// always, and that the remote holds the certificate's key is not remembered: each
// handshake proves it.
type verified struct {
	mu sync.Mutex
	// A proof that is asked for moves from old to young. When young has half of
	// what is allowed it becomes old, and what was old is forgotten.
	young, old map[*x509.Certificate]*proof
}

// check verifies a certificate.
func (v *verified) check(cert *x509.Certificate, now time.Time) (*proof, error) {
	if err := checkTime(cert, now); err != nil {
		return nil, err
	}
	if p := v.recall(cert); p != nil {
		return p, nil
	}
	p, err := prove(cert)
	if err != nil {
		return nil, err
	}
	if len(cert.Raw) <= maxRemembered {
		v.remember(cert, p)
	}
	return p, nil
}

func (v *verified) recall(cert *x509.Certificate) *proof {
	v.mu.Lock()
	defer v.mu.Unlock()
	if p := v.young[cert]; p != nil {
		return p
	}
	p := v.old[cert]
	if p != nil {
		v.keep(cert, p)
	}
	return p
}

func (v *verified) remember(cert *x509.Certificate, p *proof) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keep(cert, p)
}

// keep puts p among the young. The caller holds the lock.
func (v *verified) keep(cert *x509.Certificate, p *proof) {
	if v.young == nil || len(v.young) >= maxVerified/2 {
		v.old = v.young
		v.young = make(map[*x509.Certificate]*proof)
	}
	v.young[cert] = p
}
