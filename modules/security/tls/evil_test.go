// SPDX-License-Identifier: Apache-2.0 OR MIT

package tls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	ctls "crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// unknownOID is that of an extension which nobody knows.
var unknownOID = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 53594, 9, 9}

// fakeRSA returns an RSA key that nobody has the other half of.
func fakeRSA(bits int) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537}
}

func TestEvil_A1_RSAIdentityKey(t *testing.T) {
	for _, bits := range []int{16384, 8193, 1024} {
		der, err := x509.MarshalPKIXPublicKey(fakeRSA(bits))
		if err != nil {
			t.Fatal(err)
		}
		key := protowire.AppendTag(nil, 1, protowire.VarintType)
		key = protowire.AppendVarint(key, uint64(peer.RSA))
		key = protowire.AppendTag(key, 2, protowire.BytesType)
		key = protowire.AppendBytes(key, der)
		f := newForgery(t)
		f.extend(f.encode(t, key, make([]byte, bits/8)))
		for _, weInitiate := range []bool{true, false} {
			e := meet(t, weInitiate, strangerConfig(f.make(t)), core.Handshake{})
			if !errors.Is(e.err, peer.ErrInvalidKey) {
				t.Errorf("%d bits, initiator %v: %v", bits, weInitiate, e.err)
			}
		}
	}
}

func TestEvil_A1_RSACertificateKey(t *testing.T) {
	for _, bits := range []int{512, 1024, 2047, 8193, 16384} {
		err := checkOwnSignature(&x509.Certificate{PublicKey: fakeRSA(bits), SignatureAlgorithm: x509.SHA256WithRSA})
		if err == nil || !strings.Contains(err.Error(), "bits") {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
}

func TestEvil_A4_Certificate(t *testing.T) {
	sign := func(t *testing.T, data []byte) []byte {
		sig, err := stranger.Sign(data)
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	for name, tc := range map[string]struct {
		change func(*testing.T, *forgery)
		want   string // part of the error
	}{
		"two certificates": {func(t *testing.T, f *forgery) {
			f.chain = newForgery(t).make(t).Certificate
		}, "2 certificates"},
		"the same twice": {func(t *testing.T, f *forgery) {
			f.chain = f.make(t).Certificate
		}, "2 certificates"},
		"expired": {func(_ *testing.T, f *forgery) {
			f.template.NotAfter = time.Now().Add(-time.Second)
		}, "expired"},
		"not yet valid": {func(_ *testing.T, f *forgery) {
			f.template.NotBefore = time.Now().Add(time.Minute)
		}, "valid from"},
		"expired before it began": {func(_ *testing.T, f *forgery) {
			f.template.NotBefore, f.template.NotAfter = time.Now().Add(time.Minute), time.Now().Add(-time.Minute)
		}, "valid from"},
		"no extension": {func(_ *testing.T, f *forgery) {
			f.template.ExtraExtensions = nil
		}, "0 times"},
		"another extension": {func(_ *testing.T, f *forgery) {
			f.template.ExtraExtensions[0].Id = unknownOID
		}, "0 times"},
		"extension twice": {func(_ *testing.T, f *forgery) {
			f.template.ExtraExtensions = append(f.template.ExtraExtensions, f.template.ExtraExtensions[0])
		}, "duplicate"},
		"unknown critical extension": {func(_ *testing.T, f *forgery) {
			f.template.ExtraExtensions = append(f.template.ExtraExtensions, pkix.Extension{Id: unknownOID, Critical: true, Value: []byte{5, 0}})
		}, "critical"},
		"extension empty":      {func(_ *testing.T, f *forgery) { f.extend(nil) }, "SignedKey"},
		"extension of rubbish": {func(_ *testing.T, f *forgery) { f.extend([]byte("hello, here I am")) }, "SignedKey"},
		"extension with more":  {func(_ *testing.T, f *forgery) { f.extend(append(f.template.ExtraExtensions[0].Value, 5, 0)) }, "SignedKey"},
		"extension cut off":    {func(_ *testing.T, f *forgery) { v := f.template.ExtraExtensions[0].Value; f.extend(v[:len(v)-1]) }, "SignedKey"},
		"key is none":          {func(t *testing.T, f *forgery) { f.extend(f.encode(t, []byte{8, 1, 18, 1, 0}, nil)) }, "identity key"},
		"no key":               {func(t *testing.T, f *forgery) { f.extend(f.encode(t, nil, sign(t, signedData(f.spki(t))))) }, "identity key"},
		"no signature": {func(t *testing.T, f *forgery) {
			f.extend(f.encode(t, peer.MarshalPublicKey(stranger.PublicKey()), nil))
		}, "not signed by the identity key"},
		"signed by somebody else": {func(t *testing.T, f *forgery) {
			f.extend(f.signedKey(t, stranger, victim.PublicKey(), signedData(f.spki(t))))
		}, "not signed by the identity key"},
		"signature over another key": {func(t *testing.T, f *forgery) {
			f.extend(f.signedKey(t, stranger, stranger.PublicKey(), signedData(newForgery(t).spki(t))))
		}, "not signed by the identity key"},
		"signature without prefix": {func(t *testing.T, f *forgery) {
			f.extend(f.signedKey(t, stranger, stranger.PublicKey(), f.spki(t)))
		}, "not signed by the identity key"},
		"signature for noise": {func(t *testing.T, f *forgery) {
			f.extend(f.signedKey(t, stranger, stranger.PublicKey(), append([]byte("noise-libp2p-static-key:"), f.spki(t)...)))
		}, "not signed by the identity key"},
		"signed by another certificate": {func(t *testing.T, f *forgery) {
			f.signedBy = newForgery(t).key
		}, "not signed by its own key"},
	} {
		for _, weInitiate := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				f := newForgery(t)
				tc.change(t, f)
				e := meet(t, weInitiate, strangerConfig(f.make(t)), core.Handshake{})
				if e.err == nil {
					t.Fatalf("initiator %v: accepted as %s", weInitiate, e.ours.RemotePeer())
				}
				if !strings.Contains(e.err.Error(), tc.want) {
					t.Errorf("initiator %v: %v, want %q in it", weInitiate, e.err, tc.want)
				}
			})
		}
	}
}

// TestCertificates has those that are unusual and right.
func TestCertificates(t *testing.T) {
	signer := func(key crypto.Signer, err error) crypto.Signer {
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*forgery){
		"as it is":           func(*forgery) {},
		"extension critical": func(f *forgery) { f.template.ExtraExtensions[0].Critical = true },
		"unknown extension": func(f *forgery) {
			f.template.ExtraExtensions = slices.Insert(f.template.ExtraExtensions, 0, pkix.Extension{Id: unknownOID})
		},
		"an authority": func(f *forgery) { f.template.IsCA, f.template.BasicConstraintsValid = true, true },
		"usage":        func(f *forgery) { f.template.KeyUsage = x509.KeyUsageDigitalSignature },
		"no name":      func(f *forgery) { f.template.Subject = pkix.Name{} },
		"P-384":        func(f *forgery) { f.key = signer(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) },
		"P-521":        func(f *forgery) { f.key = signer(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)) },
		"Ed25519":      func(f *forgery) { f.key = edwards },
		"RSA":          func(f *forgery) { f.key = signer(rsa.GenerateKey(rand.Reader, 2048)) },
		"RSA-PSS": func(f *forgery) {
			f.key = signer(rsa.GenerateKey(rand.Reader, 2048))
			f.template.SignatureAlgorithm = x509.SHA256WithRSAPSS
		},
	} {
		for _, weInitiate := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				f := newForgery(t)
				change(f)
				extensions := f.template.ExtraExtensions
				f.claim(t, stranger) // for the new key
				for n, e := range extensions {
					if e.Id.Equal(extensionOID) {
						extensions[n].Value = f.template.ExtraExtensions[0].Value
					}
				}
				f.template.ExtraExtensions = extensions
				e := meet(t, weInitiate, strangerConfig(f.make(t)), core.Handshake{Expect: stranger.ID()})
				if e.err != nil || e.other != nil {
					t.Errorf("initiator %v: %v; the stranger: %v", weInitiate, e.err, e.other)
				}
			})
		}
	}
}

func TestEvil_A4_WeakSignature(t *testing.T) {
	for _, algorithm := range []x509.SignatureAlgorithm{
		x509.UnknownSignatureAlgorithm, x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA256,
	} {
		cert, err := x509.ParseCertificate(newForgery(t).make(t).Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		cert.SignatureAlgorithm = algorithm
		if _, err := prove(cert); err == nil || !strings.Contains(err.Error(), "not accepted") {
			t.Errorf("%v: %v", algorithm, err)
		}
	}
}

// TestEvil_A4_BitFlips changes every bit of a certificate.
func TestEvil_A4_BitFlips(t *testing.T) {
	der := newForgery(t).make(t).Certificate[0]
	for i := range len(der) * 8 {
		flipped := slices.Clone(der)
		flipped[i/8] ^= 1 << (i % 8)
		cert, err := x509.ParseCertificate(flipped)
		if err != nil {
			continue
		}
		if p, err := prove(cert); err == nil {
			t.Errorf("bit %d: accepted as %s", i, p.id)
		}
	}
}

func TestEvil_A4_NoCertificate(t *testing.T) {
	e := meet(t, false, strangerConfig(), core.Handshake{})
	if e.err == nil || !strings.Contains(e.err.Error(), "didn't provide a certificate") {
		t.Errorf("a client without a certificate: %v", e.err)
	}
	if _, err := e.conn.Read(make([]byte, 1)); err == nil || !strings.Contains(plain(err).Error(), "wants a certificate") {
		t.Errorf("the client learns: %v", plain(err))
	}
	e = meet(t, true, strangerConfig(), core.Handshake{})
	if e.err == nil || e.other == nil {
		t.Errorf("a server without a certificate: %v, %v", e.err, e.other)
	}
}

func TestEvil_A5_ExpiresBetweenChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForgery(t)
		e := meet(t, true, strangerConfig(f.make(t)), core.Handshake{})
		if e.err != nil {
			t.Fatal(e.err)
		}
		state := e.ours.(*Conn).tls.ConnectionState()
		time.Sleep(2 * time.Hour)
		if time.Now().Before(f.template.NotAfter) {
			t.Fatal("the certificate is still valid")
		}
		key, err := PeerKey(state)
		if err != nil || !key.Equal(stranger.PublicKey()) {
			t.Errorf("the key of a connection that lives: %v", err)
		}
		if e.ours.RemotePeer() != stranger.ID() {
			t.Errorf("the remote is %s", e.ours.RemotePeer())
		}
	})
}

// TestEvil_A5_Remembered has a certificate expire that was found to be right.
func TestEvil_A5_Remembered(t *testing.T) {
	f := newForgery(t)
	cert, err := x509.ParseCertificate(f.make(t).Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	var v verified
	for _, c := range []struct {
		at   time.Time
		want bool
	}{
		{cert.NotBefore.Add(-time.Second), false},
		{cert.NotBefore, true},
		{cert.NotAfter, true},
		{cert.NotAfter.Add(time.Second), false},
		{cert.NotBefore.Add(-time.Second), false},
		{cert.NotBefore.Add(time.Second), true},
	} {
		if _, err := v.check(cert, c.at); (err == nil) != c.want {
			t.Errorf("at %v: %v", c.at, err)
		}
	}
}

func TestEvil_A5_PeerKeyOfNobody(t *testing.T) {
	good, err := x509.ParseCertificate(newForgery(t).make(t).Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, state := range map[string]ctls.ConnectionState{
		"nothing":            {},
		"no handshake":       {Version: ctls.VersionTLS13, PeerCertificates: []*x509.Certificate{good}},
		"TLS 1.2":            {Version: ctls.VersionTLS12, HandshakeComplete: true, PeerCertificates: []*x509.Certificate{good}},
		"no certificate":     {Version: ctls.VersionTLS13, HandshakeComplete: true},
		"two":                {Version: ctls.VersionTLS13, HandshakeComplete: true, PeerCertificates: []*x509.Certificate{good, good}},
		"without extension":  {Version: ctls.VersionTLS13, HandshakeComplete: true, PeerCertificates: []*x509.Certificate{{}}},
		"with bad extension": {Version: ctls.VersionTLS13, HandshakeComplete: true, PeerCertificates: []*x509.Certificate{{Extensions: []pkix.Extension{{Id: extensionOID}}}}},
	} {
		if key, err := PeerKey(state); err == nil {
			t.Errorf("%s: %v", name, key)
		}
	}
}

func TestEvil_A6_OtherPeer(t *testing.T) {
	for _, weInitiate := range []bool{true, false} {
		e := meet(t, weInitiate, strangerConfig(newForgery(t).make(t)), core.Handshake{Expect: victim.ID()})
		mismatch, ok := errors.AsType[*core.PeerMismatchError](e.err)
		if !ok || mismatch.Want != victim.ID() || mismatch.Got != stranger.ID() {
			t.Errorf("initiator %v: %v", weInitiate, e.err)
		}
	}
}
