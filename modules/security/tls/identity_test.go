// SPDX-License-Identifier: Apache-2.0 OR MIT

package tls

import (
	"bytes"
	"context"
	ctls "crypto/tls"
	"crypto/x509"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
)

// TestCertificateShape looks at what others look at in our certificate.
func TestCertificateShape(t *testing.T) {
	for _, kind := range []peer.KeyType{peer.Ed25519, peer.Secp256k1, peer.ECDSA, peer.RSA} {
		id := coretest.GenerateIdentity(t, kind)
		i, err := NewIdentity(id)
		if err != nil {
			t.Fatal(err)
		}
		chain := i.current.Certificate.Certificate
		if len(chain) != 1 {
			t.Fatalf("%v: %d certificates", kind, len(chain))
		}
		cert, err := x509.ParseCertificate(chain[0])
		if err != nil {
			t.Fatal(err)
		}
		if len(cert.Extensions) == 0 || !cert.Extensions[0].Id.Equal(extensionOID) {
			t.Errorf("%v: the first extension is not libp2p's: %v", kind, cert.Extensions)
		}
		if cert.SignatureAlgorithm != x509.ECDSAWithSHA256 || cert.Version != 3 || cert.SerialNumber.Sign() <= 0 {
			t.Errorf("%v: %v, version %d, serial %v", kind, cert.SignatureAlgorithm, cert.Version, cert.SerialNumber)
		}
		if len(cert.Issuer.Names) == 0 || !bytes.Equal(cert.RawIssuer, cert.RawSubject) {
			t.Errorf("%v: issuer %v, subject %v", kind, cert.Issuer, cert.Subject)
		}
		now := time.Now()
		if now.Sub(cert.NotBefore) < backdated || cert.NotAfter.Sub(now) < lifetime-time.Minute {
			t.Errorf("%v: valid from %v to %v", kind, cert.NotBefore, cert.NotAfter)
		}
		p, err := prove(cert)
		if err != nil || p.id != id.ID() {
			t.Errorf("%v: %v, %v", kind, p, err)
		}
	}
}

func TestCertificateIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, err := NewIdentity(ourselves)
		if err != nil {
			t.Fatal(err)
		}
		get := func() *ctls.Certificate {
			t.Helper()
			c, err := i.certificate()
			if err != nil {
				t.Fatal(err)
			}
			if err := checkTime(c.Leaf, time.Now()); err != nil {
				t.Fatal(err)
			}
			return c
		}
		first := get()
		time.Sleep(renewal - time.Second)
		if get() != first {
			t.Error("made anew too early")
		}
		time.Sleep(2 * time.Second)
		second := get()
		if second == first {
			t.Error("not made anew")
		}
		i.current.from = time.Now().Add(time.Second) // the clock was put back
		if get() == second {
			t.Error("presented before its time")
		}
	})
}

func TestOneCertificatePerIdentity(t *testing.T) {
	var s identities
	a, err := s.get(ourselves)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := s.get(coretest.NewIdentity(1))
	if a != b {
		t.Error("two certificates for one identity")
	}
	c, _ := s.get(stranger)
	if c == a {
		t.Error("one certificate for two identities")
	}
}

// mute is an identity whose key is not at hand.
type mute struct{ core.Identity }

var errMute = errors.New("the key is away")

func (mute) Sign([]byte) ([]byte, error) { return nil, errMute }

func TestNoKey(t *testing.T) {
	if _, err := NewIdentity(mute{ourselves}); !errors.Is(err, errMute) {
		t.Errorf("new identity: %v", err)
	}
	x, y := memnet.Pipe()
	defer x.Close()
	defer y.Close()
	if _, err := new(TLS).Secure(t.Context(), x, core.Handshake{Identity: mute{ourselves}}); !errors.Is(err, errMute) {
		t.Errorf("secure: %v", err)
	}
}

// TestConfig uses configurations as a transport does that has TLS in it: those of
// the server serve several connections.
func TestConfig(t *testing.T) {
	identity := func(id core.Identity) *Identity {
		i, err := NewIdentity(id)
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	one, two := identity(ourselves), identity(stranger)
	server := two.Config("", []string{"h3", alpnAny})
	for _, tc := range []struct {
		name     string
		client   *ctls.Config
		mismatch bool
	}{
		{"expected", one.Config(stranger.ID(), []string{alpnAny}), false},
		{"any", one.Config("", []string{alpnAny}), false},
		{"somebody else", one.Config(victim.ID(), []string{alpnAny}), true},
		{"expected again", one.Config(stranger.ID(), []string{alpnAny}), false},
	} {
		x, y := memnet.Pipe()
		c, s := ctls.Client(x, tc.client), ctls.Server(y, server)
		var cerr, serr error
		var wg sync.WaitGroup
		wg.Go(func() {
			if cerr = c.Handshake(); cerr != nil {
				x.Close()
			}
		})
		wg.Go(func() {
			if serr = s.Handshake(); serr != nil {
				y.Close()
			}
		})
		wg.Wait()
		if _, ok := errors.AsType[*core.PeerMismatchError](cerr); ok != tc.mismatch {
			t.Errorf("%s: client: %v", tc.name, cerr)
		}
		if tc.mismatch {
			if serr == nil {
				t.Errorf("%s: the server has a connection", tc.name)
			}
			continue
		}
		for what, end := range map[*ctls.Conn]core.Identity{c: stranger, s: ourselves} {
			key, err := PeerKey(what.ConnectionState())
			if err != nil || !key.Equal(end.PublicKey()) {
				t.Errorf("%s: key %v, %v; client: %v, server: %v", tc.name, key, err, cerr, serr)
			}
		}
		x.Close()
		y.Close()
	}
}

// TestALPN has the two sides offer application protocols and muxers.
func TestALPN(t *testing.T) {
	const yamux, mplex = "/yamux/1.0.0", "/mplex/6.7.0"
	for name, tc := range map[string]struct {
		client, server []string
		want           string
	}{
		"both the same":          {[]string{yamux, mplex}, []string{yamux, mplex}, yamux},
		"the client's first":     {[]string{mplex, yamux}, []string{yamux, mplex}, mplex},
		"the one in common":      {[]string{"/qmux/9", mplex}, []string{yamux, mplex}, mplex},
		"none in common":         {[]string{mplex}, []string{yamux}, ""},
		"the server offers none": {[]string{yamux}, nil, ""},
		"the client offers none": {nil, []string{yamux}, ""},
		"nobody does":            {nil, nil, ""},
	} {
		x, y := memnet.Pipe()
		c, s := pair(t, x, y,
			core.Handshake{Identity: ourselves, Muxers: tc.client},
			core.Handshake{Identity: stranger, Muxers: tc.server})
		if c.Muxer() != tc.want || s.Muxer() != tc.want {
			t.Errorf("%s: client %q, server %q, want %q", name, c.Muxer(), s.Muxer(), tc.want)
		}
	}
	for name, tc := range map[string]struct {
		offer []string
		want  string
		fails bool
	}{
		"no ALPN":            {nil, "", false},
		"libp2p alone":       {[]string{alpnAny}, "", false},
		"libp2p first":       {[]string{alpnAny, yamux}, "", false},
		"muxer without more": {[]string{yamux}, yamux, false},
		"something else":     {[]string{"h2", "http/1.1"}, "", true},
	} {
		for _, weInitiate := range []bool{true, false} {
			config := strangerConfig(newForgery(t).make(t))
			config.NextProtos = tc.offer
			e := meet(t, weInitiate, config, core.Handshake{Muxers: []string{mplex, yamux}})
			if (e.err != nil) != tc.fails {
				t.Errorf("%s, initiator %v: %v", name, weInitiate, e.err)
			}
			if e.err == nil && !weInitiate && e.ours.Muxer() != tc.want {
				t.Errorf("%s, initiator %v: muxer %q", name, weInitiate, e.ours.Muxer())
			}
		}
	}
}

// TestRoundTripSaved counts who speaks when: the muxer is agreed on without a
// message more.
func TestRoundTripSaved(t *testing.T) {
	turns := func(muxers []string) int {
		x, y := memnet.Pipe()
		var talk turnCounter
		pair(t, &speaker{Conn: x, who: 1, talk: &talk}, &speaker{Conn: y, who: 2, talk: &talk},
			core.Handshake{Identity: ourselves, Muxers: muxers}, core.Handshake{Identity: stranger, Muxers: muxers})
		return talk.turns
	}
	if with, without := turns([]string{"/yamux/1.0.0"}), turns(nil); with != 3 || without != 3 {
		t.Errorf("%d turns with muxers, %d without, want 3", with, without)
	}
}

// turnCounter counts how often the speaker changes.
type turnCounter struct {
	mu    sync.Mutex
	last  int
	turns int
}

type speaker struct {
	*memnet.Conn
	who  int
	talk *turnCounter
}

func (s *speaker) Write(p []byte) (int, error) {
	s.talk.mu.Lock()
	if s.talk.last != s.who {
		s.talk.last = s.who
		s.talk.turns++
	}
	s.talk.mu.Unlock()
	return s.Conn.Write(p)
}

func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := memnet.Pipe()
		defer x.Close()
		defer y.Close()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errMute)
		defer cancel()
		if _, err := new(TLS).Secure(ctx, x, core.Handshake{Identity: ourselves, Initiator: true}); !errors.Is(err, errMute) {
			t.Errorf("%v, want the cause of the context", err)
		}
		if _, err := x.Write([]byte{1}); err != nil {
			t.Errorf("the connection is closed, or has a deadline: %v", err)
		}
	})
}
