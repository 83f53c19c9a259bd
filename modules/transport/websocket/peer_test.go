// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// listen listens until the test ends.
func listen(t *testing.T, tr *Transport, a ma.Multiaddr) manet.Listener {
	t.Helper()
	l, err := tr.Listen(a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// accept accepts one connection, which lasts until the test ends.
func accept(t *testing.T, l manet.Listener) manet.Conn {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// tcpPair returns both ends of a connection over loopback TCP.
func tcpPair(tb testing.TB) (client, server net.Conn) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		tb.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		client.Close()
		server.Close()
	})
	return client, server
}

// started runs f meanwhile. wait returns how it has ended.
func started(f func() error) (wait func() error) {
	var wg sync.WaitGroup
	var err error
	wg.Go(func() { err = f() })
	return func() error {
		wg.Wait()
		return err
	}
}

// TestAnotherClient serves the client of the library coder/websocket.
func TestAnotherClient(t *testing.T) {
	for scheme, listenOn := range map[string]ma.Multiaddr{"ws": plain4, "wss": secure4} {
		t.Run(scheme, func(t *testing.T) {
			coretest.VerifyNoLeaks(t)
			l := listen(t, load(t, lenient), listenOn)
			dial := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
			defer dial.CloseIdleConnections()
			client, _, err := coder.Dial(t.Context(), scheme+"://"+l.Addr().String()+"/any/path", &coder.DialOptions{
				HTTPClient: dial, CompressionMode: coder.CompressionContextTakeover, Subprotocols: []string{"chat"},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer client.CloseNow()
			client.SetReadLimit(-1)
			server := accept(t, l)
			talk(t, client, server)

			takes := started(func() error { // the pong
				_, _, err := client.Reader(t.Context())
				return err
			})
			gives := started(func() error {
				_, err := server.Read(make([]byte, 1))
				return err
			})
			if err := client.Ping(t.Context()); err != nil {
				t.Errorf("ping: %v", err)
			}
			if err := client.Close(coder.StatusNormalClosure, ""); err != nil {
				t.Errorf("close: %v", err)
			}
			if err := gives(); err != io.EOF {
				t.Errorf("the remote has closed: %v", err)
			}
			takes()
		})
	}
}

// talk sends messages of many lengths both ways, in fragments from the library.
func talk(t *testing.T, library *coder.Conn, own net.Conn) {
	t.Helper()
	for _, size := range []int{0, 1, 125, 126, 65535, 65536, 200_000} {
		want := make([]byte, size)
		rand.Read(want)
		written := started(func() error {
			w, err := library.Writer(t.Context(), coder.MessageBinary)
			for part := want; err == nil && len(part) > 0; part = part[(len(part)+2)/3:] {
				_, err = w.Write(part[:(len(part)+2)/3])
			}
			return errors.Join(err, w.Close())
		})
		got := make([]byte, size)
		if _, err := io.ReadFull(own, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes from the library: %v", size, err)
		}
		if err := written(); err != nil {
			t.Errorf("the library writes: %v", err)
		}
		written = started(func() error {
			_, err := own.Write(want)
			return err
		})
		got = got[:0]
		for len(got) < size {
			kind, b, err := library.Read(t.Context())
			if err != nil || kind != coder.MessageBinary {
				t.Fatalf("the library reads %v, %v", kind, err)
			}
			got = append(got, b...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes to the library are wrong", size)
		}
		if err := written(); err != nil {
			t.Errorf("write: %v", err)
		}
	}
}

// libraryServer is a server of the library coder/websocket. Its certificate, if
// it has one, is good for example.com and 127.0.0.1.
func libraryServer(t *testing.T, secure bool, accepted chan<- *coder.Conn) (addr string, roots string) {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := coder.Accept(w, r, nil)
		if err != nil {
			t.Errorf("the library: %v", err)
			return
		}
		c.SetReadLimit(-1)
		accepted <- c
	}))
	if secure {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	addr = "/ip4/127.0.0.1/tcp/" + port
	if secure {
		roots = writeRoots(t, srv.Certificate().Raw)
	}
	return addr, roots
}

func writeRoots(t *testing.T, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAnotherServer dials the server of the library coder/websocket.
func TestAnotherServer(t *testing.T) {
	for _, suffix := range []string{"/ws", "/wss", "/tls/sni/example.com/ws"} {
		t.Run(suffix, func(t *testing.T) {
			accepted := make(chan *coder.Conn, 1)
			addr, roots := libraryServer(t, suffix != "/ws", accepted)
			c, err := load(t, fmt.Sprintf(`{"root_ca_file": %q}`, roots)).Dial(t.Context(), ma.StringCast(addr+suffix))
			if err != nil {
				t.Fatal(err)
			}
			library := <-accepted
			defer library.CloseNow()
			talk(t, library, c)
			read := started(func() error {
				_, _, err := library.Read(t.Context())
				return err
			})
			c.Close()
			if err := read(); coder.CloseStatus(err) != coder.StatusNormalClosure {
				t.Errorf("the library sees %v", err)
			}
		})
	}
}

// selfSigned makes a certificate for a name that is valid around now.
func selfSigned(t *testing.T, from, to time.Duration, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(to), DNSNames: []string{name},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestEvil_A6_certificates(t *testing.T) {
	const hour = time.Hour
	for name, tc := range map[string]struct {
		from, to       time.Duration
		known          bool // whether the client has it as a root
		sni, wantError string
	}{
		"good":          {-hour, hour, true, "example.com", ""},
		"expired":       {-2 * hour, -hour, true, "example.com", "expired or is not yet valid"},
		"not yet valid": {hour, 2 * hour, true, "example.com", "expired or is not yet valid"},
		"wrong name":    {-hour, hour, true, "example.org", "not example.org"},
		"no authority":  {-hour, hour, false, "example.com", "unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			pair := selfSigned(t, tc.from, tc.to, "example.com")
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusTeapot)
			}))
			srv.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
			srv.Config.ErrorLog = nil
			srv.StartTLS()
			defer srv.Close()
			root := pair.Certificate[0]
			if !tc.known {
				root = selfSigned(t, -hour, hour, "example.com").Certificate[0]
			}
			tr := load(t, fmt.Sprintf(`{"root_ca_file": %q}`, writeRoots(t, root)))
			at, err := manet.FromNetAddr(srv.Listener.Addr())
			if err != nil {
				t.Fatal(err)
			}
			to := at.Encapsulate(ma.StringCast("/tls/sni/" + tc.sni + "/ws"))
			want := tc.wantError
			if want == "" {
				want = "answers with status 418" // TLS is behind it
			}
			if _, err := tr.Dial(t.Context(), to); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

// The server of a plain address is asked for the name that was dialled, if it is
// one.
func TestHostIsTheNameDialled(t *testing.T) {
	hosts := make(chan string, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hosts <- r.Host
		w.WriteHeader(http.StatusTeapot)
	}))
	defer srv.Close()
	at, err := manet.FromNetAddr(srv.Listener.Addr())
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"example.com": "example.com", "": "127.0.0.1", "a\r\nX: y": "127.0.0.1", "a:1": "127.0.0.1",
	} {
		ctx := core.WithDialName(t.Context(), name)
		if _, err := load(t, `{}`).Dial(ctx, at.Encapsulate(ma.StringCast("/ws"))); err == nil {
			t.Error("connected")
		}
		if got := <-hosts; got != want+":"+port {
			t.Errorf("dialled as %q it asks %q", name, got)
		}
	}
}

// TestEvil_A9_silent_server dials servers that accept and say nothing.
func TestEvil_A9_silent_server(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at, err := manet.FromNetAddr(l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"/ws", "/wss"} {
		tr := load(t, `{"connect_timeout": "20ms"}`)
		_, err := tr.Dial(t.Context(), at.Encapsulate(ma.StringCast(suffix)))
		var ne net.Error
		if !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("%s: %v, want a timeout", suffix, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		dialled := started(func() error {
			_, err := load(t, `{}`).Dial(ctx, at.Encapsulate(ma.StringCast(suffix)))
			return err
		})
		for range 2 { // the first dial's, and this one's
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		cancel()
		if err := dialled(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", suffix, err)
		}
	}
}
