// SPDX-License-Identifier: Apache-2.0 OR MIT

package autotls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	weak "math/rand/v2"
	"time"
)

// issued is a certificate with its key.
type issued struct {
	certificate *tls.Certificate
	pem         []byte    // the key, then the certificate and those between it and an authority
	renew       time.Time // when to get the next one
}

func (c *issued) valid(now time.Time) bool { return c != nil && c.check(now) == nil }

func (c *issued) end() time.Time { return c.certificate.Leaf.NotAfter }

// parse reads a certificate with its key that must be for a name. It may have
// ended.
func parse(b []byte, name string) (*issued, error) {
	pair, err := tls.X509KeyPair(b, b)
	if err != nil {
		return nil, err
	}
	leaf := pair.Leaf
	if len(leaf.DNSNames) != 1 || leaf.DNSNames[0] != name {
		return nil, fmt.Errorf("the certificate is for %v, not for %s", leaf.DNSNames, name)
	}
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	if life <= 0 {
		return nil, errors.New("the certificate ends before it begins")
	}
	// Nodes that were started together do not all come back at once.
	renew := leaf.NotBefore.Add(life * 2 / 3).Add(weak.N(life/30 + 1))
	return &issued{&pair, b, renew}, nil
}

// check says why the certificate cannot be used at a time, if that is so.
func (c *issued) check(now time.Time) error {
	switch leaf := c.certificate.Leaf; {
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("the certificate is not valid before %s: look at the clock of the machine", leaf.NotBefore)
	case !now.Before(leaf.NotAfter):
		return fmt.Errorf("the certificate has ended at %s", leaf.NotAfter)
	}
	return nil
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func parseKey(b []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, errors.New("no key in PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	own, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("a %T is no key of this module", key)
	}
	return own, nil
}
