// SPDX-License-Identifier: Apache-2.0 OR MIT

package webtransport

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/coretest"
)

func newECDSA(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// selfSigned makes a certificate that is valid for a time, for a name or none.
func selfSigned(t *testing.T, key crypto.Signer, from, until time.Time, names ...string) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: until, DNSNames: names,
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestEvil_A4_Certificates(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	week := 7 * 24 * time.Hour
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := selfSigned(t, newECDSA(t), now.Add(-week), now.Add(week))
	for _, c := range []struct {
		name  string
		chain []*x509.Certificate
		want  string // of the error; empty for none
	}{
		{"good, of exactly 14 days", []*x509.Certificate{good}, ""},
		{"Ed25519", []*x509.Certificate{selfSigned(t, edwards, now.Add(-week), now.Add(week))}, ""},
		{"none", nil, "no certificate"},
		{"valid for too long", []*x509.Certificate{selfSigned(t, newECDSA(t), now.Add(-week), now.Add(week+time.Second))}, "valid for"},
		{"not yet valid", []*x509.Certificate{selfSigned(t, newECDSA(t), now.Add(time.Second), now.Add(week))}, "not valid before"},
		{"expired", []*x509.Certificate{selfSigned(t, newECDSA(t), now.Add(-week), now.Add(-time.Second))}, "has expired"},
		{"RSA", []*x509.Certificate{selfSigned(t, rsaKey, now.Add(-week), now.Add(week))}, "RSA"},
		{"the known one is behind another", []*x509.Certificate{selfSigned(t, newECDSA(t), now.Add(-week), now.Add(week)), good}, "is not in the address"},
	} {
		pins := [][32]byte{{1}} // and one of another certificate
		if len(c.chain) > 0 {
			pins = append(pins, sha256.Sum256(c.chain[len(c.chain)-1].Raw))
		}
		err := verifyPinned(c.chain, pins, now)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if c.want == "" && verifyPinned(c.chain, pins[:1], now) == nil {
			t.Errorf("%s: a certificate with another hash passes", c.name)
		}
	}
}

// What a client makes of the hashes in an address.
func TestEvil_A11_CertHashes(t *testing.T) {
	client, server := pair(t, `{}`)
	now := mustAt(t, server.rotation, time.Now())
	forged := multihash([32]byte{1, 2, 3})
	sha1, err := parse(ma.StringCast("/ip4/192.0.2.1/udp/1/quic-v1/webtransport" + sha1Hash))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		hashes [][]byte
		want   string // of the error; empty for none
	}{
		{"current and next", now.hashes[:2], ""},
		{"current alone", now.hashes[:1], ""},
		{"last and current: told before the certificate changed", [][]byte{now.hashes[2], now.hashes[0]}, ""},
		{"the wrong one", [][]byte{forged}, "is not in the address"},
		{"next alone", now.hashes[1:2], "is not in the address"},
		{"current and a forged one", [][]byte{now.hashes[0], forged}, "does not know the certificate"},
		{"current and another function", [][]byte{sha1.hashes[0], now.hashes[0]}, "does not know the certificate"},
		{"another function alone", sha1.hashes, "no certificate hash of the address is SHA-256"},
		{"none", nil, "neither a /certhash nor a name"},
	} {
		suffix, err := certHashes(c.hashes...)
		if err != nil {
			t.Fatal(err)
		}
		a := slices.Concat(server.addr, suffix)
		memory := coretest.NewMemory(-1)
		conn, err := client.Dial(t.Context(), a, server.transport.node.ID(), memory)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if err == nil {
			echoes(t, conn)
			conn.Close()
		}
	}
	server.Close()
	for i, a := range server.admissions.List() {
		a.WaitEnded(t, i)
	}
}

// A server that is known by its name is checked as the web does.
func TestNamed(t *testing.T) {
	client, server := pair(t, `{}`)
	now := time.Now().Truncate(time.Second)
	year := 365 * 24 * time.Hour
	key := newECDSA(t)
	cert := selfSigned(t, key, now.Add(-year), now.Add(year), "example.com")
	g := *mustAt(t, server.rotation, now)
	g.tls = &tls.Config{NextProtos: g.tls.NextProtos, Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
	server.rotation.mu.Lock()
	server.rotation.current = &g
	server.rotation.mu.Unlock()
	named := func(name string) ma.Multiaddr {
		a := ma.StringCast("/sni/" + name)
		return slices.Concat(server.addr[:3], a, server.addr[3:])
	}
	dial := func(name string) error {
		c, err := client.Dial(t.Context(), named(name), server.transport.node.ID(), coretest.NewMemory(-1))
		if err == nil {
			echoes(t, c)
			c.Close()
		}
		return err
	}
	if err := dial("example.com"); err == nil {
		t.Error("a certificate that nobody vouches for passes")
	}
	client.roots = x509.NewCertPool()
	client.roots.AddCert(cert)
	if err := dial("example.com"); err != nil {
		t.Error(err)
	}
	if err := dial("example.org"); err == nil {
		t.Error("a certificate for another name passes")
	}
}
