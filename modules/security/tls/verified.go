// SPDX-License-Identifier: Apache-2.0 OR MIT

package tls

import (
	"crypto/sha256"
	"crypto/x509"
	"sync"
	"time"
)

// maxVerified bounds the remembered certificates; together they take less than
// 3 MiB. Peers that come when it is full push out those that have not been back
// for longest.
const maxVerified = 1024

// verified remembers certificates that were found to be right, so that a peer
// that comes back with the same one costs no check of its two signatures.
//
// Whether they are good depends on nothing but the bytes of the certificate, so
// the remembered answer is the one that a new check would give. The time is
// checked always, and that the remote holds the certificate's key is not
// remembered: each handshake proves it.
type verified struct {
	mu sync.Mutex
	// A proof that is asked for moves from old to young. When young has half of
	// what is allowed it becomes old, and what was old is forgotten.
	young, old map[certHash]*proof
}

// certHash is the SHA-256 hash of a certificate.
type certHash = [sha256.Size]byte

// check verifies a certificate.
func (v *verified) check(cert *x509.Certificate, now time.Time) (*proof, error) {
	if err := checkTime(cert, now); err != nil {
		return nil, err
	}
	hash := sha256.Sum256(cert.Raw)
	if p := v.recall(hash); p != nil {
		return p, nil
	}
	p, err := prove(cert)
	if err != nil {
		return nil, err
	}
	v.remember(hash, p)
	return p, nil
}

func (v *verified) recall(hash certHash) *proof {
	v.mu.Lock()
	defer v.mu.Unlock()
	if p := v.young[hash]; p != nil {
		return p
	}
	p := v.old[hash]
	if p != nil {
		v.keep(hash, p)
	}
	return p
}

func (v *verified) remember(hash certHash, p *proof) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keep(hash, p)
}

// keep puts p among the young. The caller holds the lock.
func (v *verified) keep(hash certHash, p *proof) {
	if v.young == nil || len(v.young) >= maxVerified/2 {
		v.old = v.young
		v.young = make(map[certHash]*proof)
	}
	v.young[hash] = p
}
