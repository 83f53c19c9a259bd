// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build linux

package standard_test

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	ctls "crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
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

// wantNoStrangers fails the test if the node takes somebody for anybody but its
// honest peers.
func (s *site) wantNoStrangers(t *testing.T) {
	t.Helper()
	known := make(map[peer.ID]bool)
	for _, h := range s.newcomers {
		known[h.ID()] = true
	}
	t.Cleanup(core.On(s.Host, func(e core.Connected) {
		if !known[e.Conn.RemotePeer()] {
			t.Errorf("connected to %s", e.Conn.RemotePeer())
		}
	}))
}

// forged is how the forger shakes hands, as a client or as a server.
func forged(cert *ctls.Certificate) *ctls.Config {
	return &ctls.Config{
		MinVersion:           ctls.VersionTLS13,
		NextProtos:           []string{"libp2p"},
		InsecureSkipVerify:   true,
		ClientAuth:           ctls.RequestClientCert,
		GetClientCertificate: func(*ctls.CertificateRequestInfo) (*ctls.Certificate, error) { return cert, nil },
		GetCertificate:       func(*ctls.ClientHelloInfo) (*ctls.Certificate, error) { return cert, nil },
	}
}

// forgedTCP shakes hands with TLS on a TCP connection, and reads what is said to
// a peer that is let in.
func forgedTCP(t *testing.T, s *site, open func(*testing.T, net.Conn) (net.Conn, error), cert *ctls.Certificate) error {
	t.Helper()
	raw, err := dialFrom(t.Context(), 1, s.tcp())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	c, err := open(t, raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := negotiates("/tls/1.0.0")(t, c); err != nil {
		t.Fatal(err)
	}
	secured := ctls.Client(c, forged(cert))
	return hears(multistream, len(multistream))(t, secured)
}

// forgedQUIC shakes hands over QUIC, and waits for the stream of identify.
func forgedQUIC(t *testing.T, s *site, cert *ctls.Certificate) error {
	t.Helper()
	c, stop, err := shaken(t, 1, s.udp(), forged(cert))
	if err != nil {
		return err
	}
	defer stop()
	_, err = c.AcceptStream(t.Context())
	return err
}

// Certificates that are nobody's let no client in, over TCP, WebSockets and QUIC.
func TestEvil_A4_Clients(t *testing.T) {
	s := newSite(t, roomy)
	good := newForgery(t).make()
	overTCP := map[string]func(*testing.T, net.Conn) (net.Conn, error){
		"tcp": plain, "ws": websocket, "wss": secureWebsocket,
	}
	for name, open := range overTCP {
		if err := forgedTCP(t, s, open, good); err != nil {
			t.Errorf("a good certificate over %s: %v", name, err)
		}
	}
	if err := forgedQUIC(t, s, good); err != nil {
		t.Errorf("a good certificate over QUIC: %v", err)
	}
	bad := map[string]*ctls.Certificate{"none": new(ctls.Certificate)}
	for name, change := range forgeries {
		f := newForgery(t)
		change(f)
		bad[name] = f.make()
	}
	s.siege(t, func() {
		s.wantNoStrangers(t)
		for name, cert := range bad {
			for transport, open := range overTCP {
				if err := forgedTCP(t, s, open, cert); err == nil {
					t.Errorf("%s: let in over %s", name, transport)
				}
			}
			err := forgedQUIC(t, s, cert)
			if e, ok := errors.AsType[*quic.TransportError](err); !ok || !e.Remote || !e.ErrorCode.IsCryptoError() {
				t.Errorf("%s: %v over QUIC, want an error of the handshake", name, err)
			}
		}
		s.visit(t)
	})
}

// serveTCP answers one connection as a server that has TLS and nothing else, and
// tells at which address.
func serveTCP(t *testing.T, config *ctls.Config) (at ma.Multiaddr, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", attackerIP(2).String()+":0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		raw, err := l.Accept()
		if err != nil {
			return
		}
		defer raw.Close()
		r := bufio.NewReader(raw)
		for {
			b, err := wire.ReadMessage(r, 1024)
			if err != nil {
				return
			}
			answer := line("na")
			if text := string(b); text == "/multistream/1.0.0\n" || text == "/tls/1.0.0\n" {
				answer = line(strings.TrimSpace(text))
			}
			if _, err := io.WriteString(raw, answer); err != nil {
				return
			}
			if answer == line("/tls/1.0.0") {
				break
			}
		}
		secured := ctls.Server(&buffered{raw, r}, config)
		io.Copy(io.Discard, secured) // until the node has had enough
	})
	at = ma.StringCast(fmt.Sprintf("/ip4/%s/tcp/%d", attackerIP(2), l.Addr().(*net.TCPAddr).Port))
	return at, func() {
		l.Close()
		serving.Wait()
	}
}

// buffered is a connection of which some has been read already.
type buffered struct {
	net.Conn
	r *bufio.Reader
}

func (b *buffered) Read(p []byte) (int, error) { return b.r.Read(p) }

// serveQUIC shakes hands with who comes.
func serveQUIC(t *testing.T, config *ctls.Config) (at ma.Multiaddr, stop func()) {
	t.Helper()
	socket := attackerSocket(t, 2)
	tr := &quic.Transport{Conn: socket}
	l, err := tr.Listen(config, nil)
	if err != nil {
		t.Fatal(err)
	}
	at = ma.StringCast(fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", attackerIP(2), socket.LocalAddr().(*net.UDPAddr).Port))
	return at, func() {
		l.Close()
		tr.Close()
		socket.Close()
	}
}

// Certificates that are nobody's are not taken for the peer's that is dialled.
func TestEvil_A4_Servers(t *testing.T) {
	s := newSite(t, roomy)
	s.siege(t, func() {
		s.wantNoStrangers(t)
		for name, change := range forgeries {
			for transport, serve := range map[string]func(*testing.T, *ctls.Config) (ma.Multiaddr, func()){
				"tcp": serveTCP, "quic": serveQUIC,
			} {
				f := newForgery(t)
				change(f)
				at, stop := serve(t, forged(f.make()))
				_, err := s.Connect(t.Context(), peer.AddrInfo{ID: forger.ID(), Addrs: []ma.Multiaddr{at}})
				stop()
				if _, mismatch := errors.AsType[*core.PeerMismatchError](err); err == nil || mismatch || !strings.Contains(err.Error(), "certificate") {
					t.Errorf("%s over %s: %v, want an error about the certificate", name, transport, err)
				}
			}
		}
		s.visit(t)
	})
}
