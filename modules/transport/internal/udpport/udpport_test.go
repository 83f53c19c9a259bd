// SPDX-License-Identifier: Apache-2.0 OR MIT

package udpport

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

var (
	loopback4 = netip.MustParseAddrPort("127.0.0.1:0")
	loopback6 = netip.MustParseAddrPort("[::1]:0")
	any4      = netip.MustParseAddrPort("0.0.0.0:0")
)

// certificate is a self-signed one, for tests where nobody looks at it.
func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func clientTLS(alpn ...string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, NextProtos: alpn, MinVersion: tls.VersionTLS13}
}

// newNode is a node with nothing but an identity and shared things.
func newNode(t testing.TB, seed uint64) Node {
	return struct {
		core.Identity
		*core.ShareTable
	}{coretest.NewIdentity(seed), new(core.ShareTable)}
}

func mustJoin(t testing.TB, n Node, at netip.AddrPort) *Port {
	t.Helper()
	p, err := Join(n, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Release() })
	return p
}

// listenOn opens a listener on a port. The test's end closes it.
func listenOn(t testing.TB, p *Port, alpn string, admissions *coretest.Admissions) *QUICListener {
	t.Helper()
	config := &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	l, err := p.ListenQUIC(alpn, QUICListen{
		TLS:   func(*tls.ClientHelloInfo) (*tls.Config, error) { return config, nil },
		Admit: admissions.Admit,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func dial(t testing.TB, n Node, to netip.AddrPort, alpn ...string) *quic.Conn {
	t.Helper()
	c, err := tryDial(t.Context(), n, to, alpn...)
	if err != nil {
		t.Fatalf("dial %s: %v", to, err)
	}
	t.Cleanup(func() { c.CloseWithError(0, "") })
	return c
}

func tryDial(ctx context.Context, n Node, to netip.AddrPort, alpn ...string) (*quic.Conn, error) {
	p, err := JoinFor(n, to)
	if err != nil {
		return nil, err
	}
	defer p.Release()
	return p.DialQUIC(ctx, to, clientTLS(alpn...), Settings{}, coretest.NewMemory(-1))
}

func accept(t testing.TB, l *QUICListener) *quic.Conn {
	t.Helper()
	c, admission, err := l.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if a, ok := admission.(*coretest.TestAdmission); !ok || a.Ended() {
		t.Errorf("accepted with %v", admission)
	}
	t.Cleanup(func() { c.CloseWithError(0, "") })
	return c
}

// exchange sends a few bytes from a to b and back.
func exchange(t testing.TB, a, b *quic.Conn) {
	t.Helper()
	s, err := a.OpenStreamSync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		r, err := b.AcceptStream(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		io.Copy(r, r)
		r.Close()
	})
	s.Write([]byte("hello"))
	s.Close()
	if got, err := io.ReadAll(s); string(got) != "hello" || err != nil {
		t.Errorf("%q comes back, %v", got, err)
	}
}

func hasIPv6() bool {
	c, err := net.ListenUDP("udp6", net.UDPAddrFromAddrPort(loopback6))
	if err != nil {
		return false
	}
	c.Close()
	return true
}

func TestTwoProtocolsOnOnePort(t *testing.T) {
	for _, at := range []netip.AddrPort{loopback4, any4, loopback6} {
		if at == loopback6 && !hasIPv6() {
			continue
		}
		t.Run(at.String(), func(t *testing.T) {
			coretest.VerifyNoLeaks(t)
			n, client := newNode(t, 1), newNode(t, 2)
			p := mustJoin(t, n, at)
			q := mustJoin(t, n, p.Addr())
			if p.socket != q.socket {
				t.Fatal("the port has two sockets")
			}
			ls := map[string]*QUICListener{
				"libp2p": listenOn(t, p, "libp2p", new(coretest.Admissions)),
				"h3":     listenOn(t, q, "h3", new(coretest.Admissions)),
			}
			to := p.Addr()
			if to.Addr().IsUnspecified() {
				to = netip.AddrPortFrom(loopback4.Addr(), to.Port())
			}
			for alpn, l := range ls {
				c := dial(t, client, to, alpn)
				exchange(t, c, accept(t, l))
			}
		})
	}
}

func TestJoinErrors(t *testing.T) {
	n := newNode(t, 1)
	p := mustJoin(t, n, loopback4)
	_, err := Join(newNode(t, 2), p.Addr())
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("join of another node's port: %v", err)
	}
}
