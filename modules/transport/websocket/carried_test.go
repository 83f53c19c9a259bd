// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	coder "github.com/coder/websocket"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/coretest"
)

// TestCarried has the HTTP server of somebody else carry connections.
func TestCarried(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	tr := load(t, `{"trusted_proxies": ["127.0.0.1"]}`)
	mux := http.NewServeMux()
	mux.Handle("/libp2p", tr)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)

	get := func(upgrade bool) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/libp2p", nil)
		if err != nil {
			t.Fatal(err)
		}
		if upgrade {
			for _, line := range []string{"Connection: upgrade", "Upgrade: websocket", wsVersion + ": 13", wsKey + ": dGhlIHNhbXBsZSBub25jZQ=="} {
				name, value, _ := strings.Cut(line, ": ")
				r.Header.Set(name, value)
			}
		}
		answer, err := srv.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	if got := get(true); got != http.StatusServiceUnavailable {
		t.Errorf("without a listener: status %d", got)
	}
	public := ma.StringCast("/dns/example.com/tcp/443/tls/ws/http-path/libp2p")
	if !tr.Match(public) {
		t.Errorf("%s does not match", public)
	}
	if _, err := tr.Dial(t.Context(), public); err == nil {
		t.Errorf("dialled %s", public)
	}
	l := listen(t, tr, public)
	newest := listen(t, tr, ma.StringCast("/dns4/example.org/tcp/443/wss"))
	if !l.Multiaddr().Equal(public) || l.Addr().Network() != "http" {
		t.Errorf("listens on %s, %s", l.Multiaddr(), l.Addr())
	}
	if got := get(false); got != http.StatusUpgradeRequired {
		t.Errorf("without an upgrade: status %d", got)
	}
	for host, from := range map[string]net.Listener{"EXAMPLE.com:443": netListener{l}, "example.org": netListener{newest}, "elsewhere": netListener{newest}} {
		client, _, err := coder.Dial(t.Context(), srv.URL+"/libp2p", &coder.DialOptions{
			HTTPClient: srv.Client(), Host: host, HTTPHeader: http.Header{"X-Forwarded-For": {"192.0.2.1"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		client.SetReadLimit(-1)
		c, err := from.Accept()
		if err != nil {
			t.Fatal(err)
		}
		own := c.(*conn)
		if got := own.RemoteMultiaddr().String(); got != "/ip4/192.0.2.1/tcp/0/tls/ws" {
			t.Errorf("%s: the remote is %s", host, got)
		}
		if host != "elsewhere" && !strings.Contains(own.LocalMultiaddr().String(), strings.ToLower(host)[:11]) {
			t.Errorf("%s: the local end is %s", host, own.LocalMultiaddr())
		}
		talk(t, client, c)
		client.CloseNow()
		if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v", host, err)
		}
		c.Close()
	}
	l.Close()
	newest.Close()
	if got := get(true); got != http.StatusServiceUnavailable {
		t.Errorf("after the listeners have closed: status %d", got)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v", err)
	}
}

// netListener is a manet.Listener as package net has it.
type netListener struct {
	l interface {
		Close() error
		Addr() net.Addr
	}
}

func (n netListener) Accept() (net.Conn, error) { return n.l.(*listener).Accept() }
func (n netListener) Close() error              { return n.l.Close() }
func (n netListener) Addr() net.Addr            { return n.l.Addr() }
