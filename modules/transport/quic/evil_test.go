// SPDX-License-Identifier: Apache-2.0 OR MIT

package quic

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	ctls "crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// foreignCertificate is a good one, except that it names no peer.
func foreignCertificate(t testing.TB, notAfter time.Time) *ctls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: notAfter}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &ctls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// badCertificates are what may be presented instead of a peer's certificate.
func badCertificates(t testing.TB) map[string]func(good *ctls.Certificate) *ctls.Certificate {
	return map[string]func(*ctls.Certificate) *ctls.Certificate{
		"two": func(good *ctls.Certificate) *ctls.Certificate {
			return &ctls.Certificate{Certificate: [][]byte{good.Certificate[0], good.Certificate[0]}, PrivateKey: good.PrivateKey}
		},
		"one that names no peer": func(*ctls.Certificate) *ctls.Certificate { return foreignCertificate(t, time.Now().Add(time.Hour)) },
		"one that has expired":   func(*ctls.Certificate) *ctls.Certificate { return foreignCertificate(t, time.Unix(1, 0)) },
	}
}

func TestEvil_A4_ClientCertificates(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	v := newVictim(t, `{}`)
	bad := badCertificates(t)
	bad["none"] = func(*ctls.Certificate) *ctls.Certificate { return new(ctls.Certificate) }
	for name, change := range bad {
		config := attackerTLS(t)
		get := config.GetClientCertificate
		config.GetClientCertificate = func(i *ctls.CertificateRequestInfo) (*ctls.Certificate, error) {
			good, err := get(i)
			if err != nil {
				return nil, err
			}
			return change(good), nil
		}
		c, err := attack(t, v.at(t), config)
		if err == nil { // the client cannot know yet
			<-c.Context().Done()
			err = context.Cause(c.Context())
		}
		if e, ok := errors.AsType[*quicgo.TransportError](err); !ok || !e.Remote || !e.ErrorCode.IsCryptoError() {
			t.Errorf("%s: %v, want an error of the handshake", name, err)
		}
	}
	for i, a := range v.admissions.List() {
		a.WaitEnded(t, i)
	}
	client, server := v.connect(t)
	exchange(t, client, server)
}

// TestEvil_A4_ServerCertificates dials servers with bad certificates.
func TestEvil_A4_ServerCertificates(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	tr := start(t, newNode(t, 2), `{}`)
	want := coretest.NewIdentity(666).ID()
	for name, change := range badCertificates(t) {
		config := attackerTLS(t)
		get := config.GetCertificate
		config.GetConfigForClient = nil
		config.GetCertificate = func(h *ctls.ClientHelloInfo) (*ctls.Certificate, error) {
			good, err := get(h)
			if err != nil {
				return nil, err
			}
			return change(good), nil
		}
		server := &quicgo.Transport{Conn: newSocket(t)}
		l, err := server.Listen(config, nil)
		if err != nil {
			t.Fatal(err)
		}
		to, err := multiaddr(l.Addr())
		if err != nil {
			t.Fatal(err)
		}
		memory := coretest.NewMemory(-1)
		if c, err := tr.Dial(t.Context(), to, want, memory); err == nil {
			c.Close()
			t.Errorf("%s: connected", name)
		} else if errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v", name, err)
		}
		memory.Check(t)
		server.Close()
	}
}

// TestEvil_A9_HalfOpenHandshakes begins handshakes by the hundred and never goes
// on. Few of them cost anything, and an honest peer is served meanwhile.
func TestEvil_A9_HalfOpenHandshakes(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	const attacks, sockets = 200, 4
	v := newVictim(t, `{"handshake_timeout": "6s"}`) // which an honest peer needs little of
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	config := attackerTLS(t)
	for range sockets {
		tr := &quicgo.Transport{Conn: newDeaf(t)}
		t.Cleanup(func() { tr.Close() })
		for range attacks / sockets {
			wg.Go(func() {
				if _, err := tr.Dial(ctx, v.at(t), config, nil); err == nil {
					t.Error("connected")
				}
			})
		}
	}
	for range 5 {
		client, server := v.connect(t)
		exchange(t, client, server)
		client.Close()
	}
	cancel()
	wg.Wait()
	admitted := 0
	for i, a := range v.admissions.List() {
		if strings.HasPrefix(a.Remote.String(), "/ip4/127.0.0.66/") {
			admitted++
			a.WaitEnded(t, i)
		}
	}
	// Without an answer to the first packet, four are in flight at a time.
	if admitted == 0 || admitted > attacks/4 {
		t.Errorf("%d of %d attacks were admitted", admitted, attacks)
	}
}

// TestEvil_Q2_RefusedHandshakes dials again and again where nothing is let in.
func TestEvil_Q2_RefusedHandshakes(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	const attacks, atOnce = 300, 20
	v := newVictim(t, `{}`)
	v.admissions.Refuse(&core.LimitError{Scope: "test"})
	tr := &quicgo.Transport{Conn: newSocket(t)}
	t.Cleanup(func() { tr.Close() })
	// A refusal may be lost, and is asked for again ever more slowly.
	config, patient := attackerTLS(t), &quicgo.Config{HandshakeIdleTimeout: time.Minute}
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for range attacks / atOnce {
				_, err := tr.Dial(t.Context(), v.at(t), config, patient)
				if e, ok := errors.AsType[*quicgo.TransportError](err); !ok || e.ErrorCode != quicgo.ConnectionRefused {
					t.Errorf("attack: %v, want a refusal", err)
				}
			}
		})
	}
	wg.Wait()
	v.admissions.Refuse(nil)
	client, server := v.connect(t)
	exchange(t, client, server)
	if n := len(v.admissions.List()); n != 1 {
		t.Errorf("%d connections were admitted", n)
	}
}

// TestEvil_Q1_Amplification sends one packet from an address that never answers.
func TestEvil_Q1_Amplification(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	v := newVictim(t, `{"handshake_timeout": "1s"}`)
	ctx, cancel := context.WithCancel(t.Context())
	d := newDeaf(t)
	var wg sync.WaitGroup
	nowhere, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer nowhere.Close()
	wg.Go(func() { attackFrom(t, ctx, d, nowhere.LocalAddr(), attackerTLS(t)) })
	initial := <-d.first
	cancel()
	wg.Wait()

	s := newSocket(t)
	received := make(chan int, 1)
	wg.Go(func() {
		total, b := 0, make([]byte, 2048)
		for {
			n, err := s.Read(b)
			if err != nil {
				received <- total
				return
			}
			total += n
		}
	})
	if _, err := s.WriteTo(initial, v.at(t)); err != nil {
		t.Fatal(err)
	}
	// A second connection is handled after the first packet of this one.
	client, server := v.connect(t)
	exchange(t, client, server)
	for i, a := range v.admissions.List() {
		if a.Remote.Equal(server.RemoteMultiaddr()) {
			continue
		}
		a.WaitEnded(t, i) // when the victim has given up
	}
	s.Close()
	wg.Wait()
	if total := <-received; total == 0 || total > 3*len(initial) {
		t.Errorf("%d bytes answer %d", total, len(initial))
	}
}

// TestEvil_Q3_Garbage sends what is no QUIC, or only begins like it.
func TestEvil_Q3_Garbage(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	v := newVictim(t, `{}`)
	s := newSocket(t)
	random := mathrand.NewChaCha8([32]byte{3})
	b := make([]byte, 1400)
	for i := range 2000 {
		random.Read(b)
		switch i % 4 {
		case 0: // a version-1 Initial with lengths that may be anything
			copy(b, []byte{0xc3, 0, 0, 0, 1})
		case 1: // another version
			copy(b, []byte{0xc3, 0x0a, 0x0a, 0x0a, 0x0a, 8})
		case 2: // a short header
			b[0] = 0x40
		}
		s.WriteTo(b[:1+i%len(b)], v.at(t))
	}
	client, server := v.connect(t)
	exchange(t, client, server)
	if n := len(v.admissions.List()); n > 1 {
		t.Logf("%d pieces of garbage were admitted", n-1)
	}
}

// TestEvil_Q4_NoEarlyData looks for what a client would need to send data before
// its handshake.
func TestEvil_Q4_NoEarlyData(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	v := newVictim(t, `{}`)
	cache := &tickets{ClientSessionCache: ctls.NewLRUClientSessionCache(1)}
	config := attackerTLS(t)
	config.ClientSessionCache, config.SessionTicketsDisabled = cache, false
	c := mustAttack(t, v.at(t), config)
	server, _, err := v.listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	// Tickets come before the first byte of a stream.
	s, err := server.OpenStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Write([]byte("x"))
	if _, err := c.AcceptStream(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := cache.count(); n > 0 || c.ConnectionState().Used0RTT {
		t.Errorf("the server has given %d tickets", n)
	}
}

// tickets counts what a server gives for the next handshake.
type tickets struct {
	ctls.ClientSessionCache
	mu sync.Mutex
	n  int
}

func (c *tickets) Put(key string, s *ctls.ClientSessionState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

func (c *tickets) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// TestEvil_Q6_StreamFlood opens more streams than it may while nobody accepts.
func TestEvil_Q6_StreamFlood(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	v := newVictim(t, `{"max_incoming_streams": 100}`)
	c := mustAttack(t, v.at(t), attackerTLS(t))
	opened := 0
	for {
		s, err := c.OpenStream()
		if err != nil {
			break
		}
		s.Write([]byte("x"))
		s.CancelWrite(1) // gives nothing back before it is accepted
		s.CancelRead(1)
		if opened++; opened > 200 {
			break
		}
	}
	if opened != 100 {
		t.Errorf("%d streams are open", opened)
	}
	server, _, err := v.listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for range opened { // each of which makes room for another
		s, err := server.AcceptStream()
		if err != nil {
			t.Fatal(err)
		}
		s.Reset(core.StreamNoError)
	}
	if _, err := c.OpenStreamSync(t.Context()); err != nil {
		t.Error(err)
	}
	client, honest := v.connect(t)
	exchange(t, client, honest)
}

// TestEvil_Q6_NobodyReads writes as much as it can into streams that nobody
// reads. It gets no more room than every connection has at first.
func TestEvil_Q6_NobodyReads(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	v := newVictim(t, `{}`)
	c := mustAttack(t, v.at(t), attackerTLS(t))
	server, admission, err := v.listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	total := 0
	for range 10 {
		s, err := c.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		s.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		n, err := s.Write(make([]byte, 1<<20))
		if err == nil {
			t.Error("nothing stops the writer")
		}
		total += n
	}
	const sent = 2 << 20 // what quic-go keeps for itself included
	if total > sent {
		t.Errorf("%d bytes were taken", total)
	}
	if a := admission.(*coretest.TestAdmission); a.Reserved() > 0 {
		t.Errorf("%d bytes of windows were given", a.Reserved())
	}
	client, honest := v.connect(t)
	exchange(t, client, honest)
}

// TestEvil_B7_CloseReason closes with a reason that would do harm in a log.
func TestEvil_B7_CloseReason(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	v := newVictim(t, `{}`)
	c := mustAttack(t, v.at(t), attackerTLS(t))
	server, _, err := v.listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.CloseWithError(1<<40, "\x1b[31m\n"+strings.Repeat("x", 500))
	_, err = server.AcceptStream()
	e, ok := errors.AsType[*core.ConnError](err)
	if !ok || !e.Remote || e.Code != 1<<32-1 || len(err.Error()) > 100 || strings.Contains(err.Error(), "x"+"x") {
		t.Errorf("the connection ended with %q", err)
	}
	server.Close()
}

func TestSettingsReachTheWire(t *testing.T) {
	v := newVictim(t, `{"max_incoming_streams": 3}`)
	c := mustAttack(t, v.at(t), attackerTLS(t))
	for n := range 4 {
		if _, err := c.OpenStream(); (err == nil) != (n < 3) {
			t.Errorf("stream %d: %v", n, err)
		}
	}
}
