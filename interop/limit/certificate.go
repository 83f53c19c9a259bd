// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"sync"
	"time"
)

// protocol is what TLS agrees on: QUIC does not go without.
const protocol = "limit"

// selfSigned returns what a server needs: TLS 1.3 and a certificate that nobody
// trusts, the same for the whole process.
var selfSigned = sync.OnceValues(func() (*tls.Config, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(nil, about, about, public, private)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{protocol},
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}},
	}, nil
})

// unchecked trusts whatever certificate a server has: the wire is measured, not
// who is at its end.
func unchecked() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{protocol}, InsecureSkipVerify: true}
}
