// SPDX-License-Identifier: Apache-2.0 OR MIT

package tls

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	ctls "crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
)

// The peers of the tests. The stranger is whoever sits on the other side of one
// of ours.
var (
	ourselves = coretest.NewIdentity(1)
	stranger  = coretest.NewIdentity(2)
	victim    = coretest.NewIdentity(3)
)

// forgery is a certificate that is right but for what a test changes.
type forgery struct {
	template *x509.Certificate
	key      crypto.Signer // of the certificate
	signedBy crypto.Signer // who signs it; the key if nil
	chain    [][]byte      // sent behind it
}

// newForgery returns what the stranger's certificate is made of.
func newForgery(t testing.TB) *forgery {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f := &forgery{key: key, template: &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "stranger"},
		NotBefore:    time.Now().Add(-time.Minute),
		NotAfter:     time.Now().Add(time.Hour),
	}}
	f.claim(t, stranger)
	return f
}

// claim says that the certificate belongs to id, and has id sign that.
func (f *forgery) claim(t testing.TB, id core.Identity) {
	t.Helper()
	f.extend(f.signedKey(t, id, id.PublicKey(), signedData(f.spki(t))))
}

// signedKey has one sign what the other's key shall vouch for.
func (f *forgery) signedKey(t testing.TB, signer core.Identity, key peer.PublicKey, data []byte) []byte {
	t.Helper()
	sig, err := signer.Sign(data)
	if err != nil {
		t.Fatal(err)
	}
	return f.encode(t, peer.MarshalPublicKey(key), sig)
}

func (f *forgery) encode(t testing.TB, key, sig []byte) []byte {
	t.Helper()
	value, err := encodeSignedKey(key, sig)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func (f *forgery) spki(t testing.TB) []byte {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(f.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return spki
}

// extend sets the libp2p extension, and takes away all others.
func (f *forgery) extend(value []byte) {
	f.template.ExtraExtensions = []pkix.Extension{{Id: extensionOID, Value: value}}
}

func (f *forgery) make(t testing.TB) ctls.Certificate {
	t.Helper()
	signer := f.signedBy
	if signer == nil {
		signer = f.key
	}
	parent := *f.template
	parent.PublicKey = signer.Public()
	der, err := x509.CreateCertificate(rand.Reader, f.template, &parent, f.key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return ctls.Certificate{Certificate: append([][]byte{der}, f.chain...), PrivateKey: f.key}
}

// strangerConfig is that of a peer that takes anybody.
func strangerConfig(certs ...ctls.Certificate) *ctls.Config {
	return &ctls.Config{
		InsecureSkipVerify: true,
		ClientAuth:         ctls.RequestClientCert,
		Certificates:       certs,
		NextProtos:         []string{alpnAny},
	}
}

// encounter is a handshake of one of ours with a stranger.
type encounter struct {
	ours  core.SecureConn
	err   error
	conn  *ctls.Conn // the stranger's
	other error      // the stranger's
}

// meet has us shake hands with a stranger. Both ends are closed with the test.
func meet(t *testing.T, weInitiate bool, config *ctls.Config, h core.Handshake) *encounter {
	t.Helper()
	a, b := memnet.Pipe()
	t.Cleanup(func() {
		a.Close()
		b.Close()
	})
	e := &encounter{conn: ctls.Client(b, config)}
	if weInitiate {
		e.conn = ctls.Server(b, config)
	}
	h.Identity, h.Initiator = ourselves, weInitiate
	var wg sync.WaitGroup
	wg.Go(func() {
		if e.other = e.conn.Handshake(); e.other != nil {
			b.Close()
		}
	})
	e.ours, e.err = new(TLS).Secure(context.Background(), a, h)
	if e.err != nil {
		a.CloseWrite()
	}
	wg.Wait()
	return e
}

// pair returns two of ours that are connected over x and y.
func pair(t testing.TB, x, y net.Conn, client, server core.Handshake) (c, s core.SecureConn) {
	t.Helper()
	client.Initiator = true
	var wg sync.WaitGroup
	var cerr, serr error
	wg.Go(func() { c, cerr = new(TLS).Secure(context.Background(), x, client) })
	s, serr = new(TLS).Secure(context.Background(), y, server)
	wg.Wait()
	if cerr != nil || serr != nil {
		t.Fatalf("client: %v; server: %v", cerr, serr)
	}
	t.Cleanup(func() {
		c.Close()
		s.Close()
	})
	return c, s
}
