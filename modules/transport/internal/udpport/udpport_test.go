// SPDX-License-Identifier: Apache-2.0 OR MIT

package udpport

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
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

// testNode is a node with nothing but an identity and shared things.
type testNode struct {
	core.Identity
	core.ShareTable

	mu     sync.Mutex
	shared int // what was taken, and is not given back
	change *sync.Cond
}

func newNode(t testing.TB, seed uint64) *testNode {
	n := &testNode{Identity: coretest.NewIdentity(seed)}
	n.change = sync.NewCond(&n.mu)
	return n
}

// Share implements [core.Shares].
func (n *testNode) Share(key any, open func() (io.Closer, error)) (io.Closer, func() error, error) {
	shared, release, err := n.ShareTable.Share(key, open)
	if err != nil {
		return nil, nil, err
	}
	n.count(1)
	return shared, sync.OnceValue(func() error {
		defer n.count(-1)
		return release()
	}), nil
}

func (n *testNode) count(by int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.shared += by
	n.change.Broadcast()
}

// waitUnused returns when nothing is shared any more.
func (n *testNode) waitUnused() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for n.shared > 0 {
		n.change.Wait()
	}
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
		TLS:      func(*tls.ClientHelloInfo) (*tls.Config, error) { return config, nil },
		Admit:    admissions.Admit,
		Settings: patient,
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

// patient are settings of those who share a processor with many.
var patient = Settings{HandshakeTimeout: time.Minute}

func tryDial(ctx context.Context, n Node, to netip.AddrPort, alpn ...string) (*quic.Conn, error) {
	p, err := JoinFor(n, to)
	if err != nil {
		return nil, err
	}
	defer p.Release()
	return p.DialQUIC(ctx, to, clientTLS(alpn...), patient, coretest.NewMemory(-1))
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
	coretest.VerifyNoLeaks(t)
	n := newNode(t, 1)
	p := mustJoin(t, n, loopback4)
	for name, tc := range map[string]struct {
		node *testNode
		at   netip.AddrPort
		want string
		is   error
	}{
		"another node's":  {newNode(t, 2), p.Addr(), "in use by another program", syscall.EADDRINUSE},
		"own, wider":      {n, netip.AddrPortFrom(any4.Addr(), p.Addr().Port()), "in use by this node on " + p.Addr().String(), syscall.EADDRINUSE},
		"foreign address": {n, netip.MustParseAddrPort("192.0.2.1:4001"), "no interface of this machine has it", syscall.EADDRNOTAVAIL},
		"no address":      {n, netip.AddrPort{}, "no address", nil},
	} {
		p, err := Join(tc.node, tc.at)
		if err == nil {
			p.Release()
			t.Errorf("%s: joined", name)
			continue
		}
		if !strings.Contains(err.Error(), tc.want) || (tc.is != nil && !errors.Is(err, tc.is)) {
			t.Errorf("%s: %v, want an error with %q", name, err, tc.want)
		}
		if tc.is != nil && !strings.Contains(err.Error(), tc.at.String()) {
			t.Errorf("%s: %v does not name %s", name, err, tc.at)
		}
	}
}

// TestManyDialsFromOneSocket has more connections between two sockets than any
// queue holds, and more handshakes at once from one address than may be under
// way without a proof of it.
func TestManyDialsFromOneSocket(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	const dials, atOnce = 200, 4 * maxUnprovenBySource
	n, client := newNode(t, 1), newNode(t, 2)
	p, from := mustJoin(t, n, loopback4), mustJoin(t, client, loopback4)
	l := listenOn(t, p, "libp2p", new(coretest.Admissions))
	var wg, accepted sync.WaitGroup
	accepted.Add(1)
	wg.Go(func() {
		defer accepted.Done()
		for range dials {
			c, _, err := l.Accept(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			if got := addrPort(c.RemoteAddr()); got != from.Addr() {
				t.Errorf("dialled from %s, want %s", got, from.Addr())
			}
			wg.Go(func() { <-c.Context().Done() })
		}
	})
	turns := make(chan struct{}, atOnce)
	for range dials {
		wg.Go(func() {
			turns <- struct{}{}
			c, err := tryDial(t.Context(), client, p.Addr(), "libp2p")
			<-turns
			if err != nil {
				t.Error(err)
				l.Close()
				return
			}
			accepted.Wait()
			c.CloseWithError(0, "")
		})
	}
	wg.Wait()
}

func TestSource(t *testing.T) {
	port := netip.MustParseAddrPort
	for name, tc := range map[string]struct {
		open []string
		to   string
		want []string
	}{
		"loopback first":        {[]string{"0.0.0.0:1", "127.0.0.1:2"}, "127.0.0.5:9", []string{"127.0.0.1:2", "0.0.0.0:1"}},
		"loopback is no source": {[]string{"127.0.0.1:2", "0.0.0.0:1"}, "192.0.2.1:9", []string{"0.0.0.0:1"}},
		"other family":          {[]string{"[::]:1", "[::1]:2"}, "127.0.0.1:9", nil},
		"IPv6":                  {[]string{"0.0.0.0:1", "[::]:1"}, "[2001:db8::1]:9", []string{"[::]:1"}},
		"in order":              {[]string{"0.0.0.0:3", "0.0.0.0:1"}, "192.0.2.1:9", []string{"0.0.0.0:3", "0.0.0.0:1"}},
		"specific one unfit":    {[]string{"203.0.113.7:3"}, "127.0.0.1:9", nil},
	} {
		var tab table
		for _, at := range tc.open {
			tab.add(port(at))
		}
		var got []string
		for _, at := range tab.sources(port(tc.to)) {
			got = append(got, at.String())
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: from %v, want %v", name, got, tc.want)
		}
	}
}

func TestWarnsOnceOfSmallBuffers(t *testing.T) {
	n := newNode(t, 1)
	p, q := mustJoin(t, n, loopback4), mustJoin(t, n, loopback4)
	p.socket.buffers, q.socket.buffers = 212992, 212992
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	p.WarnBuffers(log)
	q.WarnBuffers(log)
	if text := out.String(); strings.Count(text, "sysctl") != 1 || strings.Count(text, "\n") != 1 {
		t.Errorf("the log has %q", text)
	}
}
