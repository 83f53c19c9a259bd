// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build linux

package standard_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	ctls "crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
)

// forgery is what the certificate of an attacker is made of: a good one, but for
// what a test changes.
type forgery struct {
	t        testing.TB
	template *x509.Certificate
	key      crypto.Signer // of the certificate
	signedBy crypto.Signer // who signs it; the key if nil
	behind   [][]byte      // sent behind it
}

// forger is the peer whose certificates are forged.
var forger = coretest.NewIdentity(667)

func newForgery(t testing.TB) *forgery {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f := &forgery{t: t, key: key, template: &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}}
	f.vouch(forger, f.key.Public())
	return f
}

// vouch has an identity sign that a key is the forger's.
func (f *forgery) vouch(by core.Identity, key crypto.PublicKey) {
	f.t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		f.t.Fatal(err)
	}
	signature, err := by.Sign(append([]byte("libp2p-tls-handshake:"), spki...))
	if err != nil {
		f.t.Fatal(err)
	}
	value, err := asn1.Marshal(struct{ Key, Signature []byte }{peer.MarshalPublicKey(forger.PublicKey()), signature})
	if err != nil {
		f.t.Fatal(err)
	}
	f.template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 53594, 1, 1}, Value: value}}
}

func (f *forgery) make() *ctls.Certificate {
	f.t.Helper()
	signer := f.signedBy
	if signer == nil {
		signer = f.key
	}
	parent := *f.template
	parent.PublicKey = signer.Public()
	der, err := x509.CreateCertificate(rand.Reader, f.template, &parent, f.key.Public(), signer)
	if err != nil {
		f.t.Fatal(err)
	}
	return &ctls.Certificate{Certificate: append([][]byte{der}, f.behind...), PrivateKey: f.key}
}

// forgeries are certificates that must not be taken for anybody's.
var forgeries = map[string]func(*forgery){
	"two":           func(f *forgery) { f.behind = newForgery(f.t).make().Certificate },
	"twice":         func(f *forgery) { f.behind = f.make().Certificate },
	"expired":       func(f *forgery) { f.template.NotAfter = time.Now().Add(-time.Minute) },
	"not yet valid": func(f *forgery) { f.template.NotBefore = time.Now().Add(time.Minute) },
	"no extension":  func(f *forgery) { f.template.ExtraExtensions = nil },
	"extension twice": func(f *forgery) {
		f.template.ExtraExtensions = append(f.template.ExtraExtensions, f.template.ExtraExtensions[0])
	},
	"unknown critical extension": func(f *forgery) {
		f.template.ExtraExtensions = append(f.template.ExtraExtensions,
			pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 53594, 9, 9}, Critical: true, Value: []byte{5, 0}})
	},
	"extension of rubbish":    func(f *forgery) { f.template.ExtraExtensions[0].Value = []byte("rubbish") },
	"vouched for by another":  func(f *forgery) { f.vouch(coretest.NewIdentity(668), f.key.Public()) },
	"vouched for another key": func(f *forgery) { f.vouch(forger, newForgery(f.t).key.Public()) },
	"signed by another key":   func(f *forgery) { f.signedBy = newForgery(f.t).key },
	"a key of RSA, 1024 bits": func(f *forgery) {
		key, err := rsa.GenerateKey(rand.Reader, 1024)
		if err != nil {
			f.t.Fatal(err)
		}
		f.key = key
		f.vouch(forger, key.Public())
	},
}
