// SPDX-License-Identifier: Apache-2.0 OR MIT

package caddy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
	"github.com/google/go-cmp/cmp"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
	_ "github.com/xnode-p2p/xnode/modules/identity/file"
	_ "github.com/xnode-p2p/xnode/modules/muxer/yamux"
	_ "github.com/xnode-p2p/xnode/modules/protocol/echo"
	_ "github.com/xnode-p2p/xnode/modules/protocol/ping"
	_ "github.com/xnode-p2p/xnode/modules/security/noise"
	_ "github.com/xnode-p2p/xnode/modules/security/tls"
	_ "github.com/xnode-p2p/xnode/modules/transport/tcp"
)

// server is a Caddy in this process. There is one at a time.
type server struct {
	site, node string // ports
	roots      string // a file
	document   string // what runs
}

// freePort returns a port that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// start runs example.json with other ports, an authority that needs no network,
// and folders of the test. It is as it stands there otherwise.
func start(t *testing.T) *server {
	t.Helper()
	t.Setenv("XNODE_DATA", t.TempDir())
	storage := t.TempDir()
	b, err := os.ReadFile("example.json")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{site: freePort(t), node: freePort(t), roots: filepath.Join(storage, "pki", "authorities", "local", "root.crt")}
	text := strings.NewReplacer(`":443"`, `"127.0.0.1:`+s.site+`"`, "0.0.0.0", "127.0.0.1", "tcp/4001", "tcp/"+s.node, `"ping": {}`, `"ping": {}, "echo": {}`).Replace(string(b))
	var document map[string]any
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	document["admin"] = map[string]any{"disabled": true, "config": map[string]any{"persist": false}}
	document["storage"] = map[string]any{"module": "file_system", "root": storage}
	document["logging"] = map[string]any{"logs": map[string]any{"default": map[string]any{"level": "ERROR"}}}
	apps := document["apps"].(map[string]any)
	var port int
	if _, err := fmt.Sscan(s.site, &port); err != nil {
		t.Fatal(err)
	}
	web := apps["http"].(map[string]any)
	web["https_port"] = port
	web["servers"].(map[string]any)["web"].(map[string]any)["automatic_https"] = map[string]any{"disable_redirects": true}
	apps["tls"] = map[string]any{"automation": map[string]any{"policies": []any{map[string]any{"issuers": []any{map[string]any{"module": "internal"}}}}}}
	apps["pki"] = map[string]any{"certificate_authorities": map[string]any{"local": map[string]any{"install_trust": false}}}
	if b, err = json.Marshal(document); err != nil {
		t.Fatal(err)
	}
	s.document = string(b)
	s.load(t, s.document)
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *server) load(t *testing.T, document string) {
	t.Helper()
	if err := caddy.Load([]byte(document), false); err != nil {
		t.Fatal(err)
	}
}

// running returns the node, once it announces a name that it has a certificate for.
func running(t *testing.T) *host.Host {
	t.Helper()
	h, ok := host.Running()
	if !ok {
		t.Fatal("no node runs")
	}
	changed := make(chan struct{}, 1)
	stop := core.On(h, func(core.LocalAddrsChanged) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer stop()
	for !strings.Contains(fmt.Sprint(h.Addrs()), "/sni/node.example.org/ws") {
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
	return h
}

// get asks the site for something that is no WebSocket.
func (s *server) get(t *testing.T) string {
	t.Helper()
	pem, err := os.ReadFile(s.roots)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	transport := &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig:   &tls.Config{RootCAs: pool},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+s.site)
		},
	}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Get("https://node.example.org/")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", answer.StatusCode, body)
}

// echo talks over a connection.
func echo(t *testing.T, c core.Conn) {
	t.Helper()
	stream, err := c.NewStream(t.Context(), "/echo/1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if _, err := io.WriteString(stream, "hello\n"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 6)
	if _, err := io.ReadFull(stream, b); err != nil || string(b) != "hello\n" {
		t.Errorf("got %q, %v", b, err)
	}
}

// TestCaddy runs a whole Caddy with the example's configuration: a node connects
// through the site, and to the node's own port, trusting Caddy's authority alone.
// The connections outlive a reload.
func TestCaddy(t *testing.T) {
	s := start(t)
	h := running(t)
	if got := s.get(t); got != "200 hello" {
		t.Errorf("what is no WebSocket: %s", got)
	}
	if !strings.Contains(fmt.Sprint(h.Addrs()), "/dns4/node.example.org/tcp/443/tls/ws") {
		t.Errorf("the site is not announced: %v", h.Addrs())
	}
	network := hosttest.NewNetwork(memnet.Options{})
	client := func(seed uint64) *host.Host {
		return network.Node(t, hosttest.Settings{Seed: seed, Config: fmt.Sprintf(`{"transports": {"websocket": {"root_ca_file": %q}}}`, s.roots)})
	}
	connect := func(seed uint64, port string) core.Conn {
		t.Helper()
		a := ma.StringCast("/ip4/127.0.0.1/tcp/" + port + "/tls/sni/node.example.org/ws")
		c, err := client(seed).Connect(t.Context(), peer.AddrInfo{ID: h.ID(), Addrs: []ma.Multiaddr{a}})
		if err != nil {
			t.Fatal(err)
		}
		echo(t, c)
		return c
	}
	through, own := connect(1, s.site), connect(2, s.node)
	var accepted []string
	for _, c := range h.Conns() {
		if ip, ok := peer.IP(c.RemoteMultiaddr()); !ok || !ip.IsLoopback() {
			t.Errorf("the remote of %s is %s", c.LocalMultiaddr(), c.RemoteMultiaddr())
		}
		accepted = append(accepted, c.LocalMultiaddr().String())
	}
	slices.Sort(accepted)
	if diff := cmp.Diff([]string{"/dns4/node.example.org/tcp/443/tls/ws", "/ip4/127.0.0.1/tcp/" + s.node + "/tls/ws"}, accepted); diff != "" {
		t.Errorf("accepted on (-want +got):\n%s", diff)
	}
	s.load(t, strings.Replace(s.document, `"hello"`, `"goodbye"`, 1))
	// For a moment, the server of before may still take a connection.
	for begun := time.Now(); s.get(t) != "200 goodbye"; {
		if time.Since(begun) > time.Minute {
			t.Fatalf("after the reload: %s", s.get(t))
		}
	}
	echo(t, through)
	echo(t, own)
	connect(3, s.site)
	connect(4, s.node)
}

// TestWithoutNode has a configuration in which the handler has nobody to hand
// connections to.
func TestWithoutNode(t *testing.T) {
	var config caddy.Config
	if err := json.Unmarshal([]byte(`{"admin": {"disabled": true}, "apps": {"http": {"servers": {"web": {"listen": ["127.0.0.1:0"],
		"routes": [{"handle": [{"handler": "libp2p"}]}]}}}}}`), &config); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&config); err == nil || !strings.Contains(err.Error(), "there is no node: add apps/xnode") {
		t.Errorf("got %v", err)
	}
}
