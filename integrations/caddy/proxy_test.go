// SPDX-License-Identifier: Apache-2.0 OR MIT

package caddy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
	_ "github.com/xnode-p2p/xnode/modules/protocol/http"
)

// deadline is how long a test waits for what must happen soon.
const deadline = time.Minute

// await receives what must come soon.
func await[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(deadline):
		t.Fatalf("%s: not within %s", what, deadline)
		panic("not reached")
	}
}

// sign closes a channel once a text has been written to it.
type sign struct {
	text string
	seen chan struct{}
	mu   sync.Mutex
	all  []byte
}

// Write implements [io.Writer].
func (s *sign) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := bytes.Contains(s.all, []byte(s.text))
	s.all = append(s.all, b...)
	if !before && bytes.Contains(s.all, []byte(s.text)) {
		close(s.seen)
	}
	return len(b), nil
}

// build makes the binary of cmd/caddy.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "caddy")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/caddy").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// run has a binary run a configuration, and returns when it does. It ends with
// the test.
func run(t *testing.T, binary, dir string, document []byte) {
	t.Helper()
	config := filepath.Join(dir, "caddy.json")
	if err := os.WriteFile(config, document, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary, "run", "--config", config)
	cmd.Env = append(os.Environ(), "XNODE_DATA="+dir, "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = deadline // then it is killed
	ready := &sign{text: "serving initial configuration", seen: make(chan struct{})}
	cmd.Stderr = io.MultiWriter(ready, t.Output())
	if err := cmd.Start(); err != nil {
		stop()
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := cmd.Wait(); err != context.Canceled { // which it is if the process ends well when it is told to
			t.Errorf("the Caddy has ended: %v", err)
		}
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	select {
	case <-ready.seen:
	case <-ended:
		t.FailNow()
	case <-time.After(deadline):
		t.Fatalf("the Caddy does not run within %s", deadline)
	}
}

// ask gets a page of the site, as a browser does that comes from a link
// elsewhere.
func ask(t *testing.T, port, path string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "node.example.org"
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport, Timeout: deadline}).Do(r)
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

// TestProxy runs the binary of cmd/caddy with proxy.json, without TLS. It serves
// a page, is a node that another talks with, and has that one's web server on
// the site, which is reached over libp2p alone.
func TestProxy(t *testing.T) {
	binary := build(t)
	key := hosttest.Key(1)
	caddyID := peer.FromPublicKey(key.Public())
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s for %s", r.Method, r.URL, r.Header.Get("Libp2p-Peer-Id"))
	}))
	t.Cleanup(service.Close)
	other := hosttest.NewNetwork(memnet.Options{}).Node(t, hosttest.Settings{Seed: 2, Config: fmt.Sprintf(`{
		"listen": ["/ip4/127.0.0.1/tcp/0"], "transports": {"tcp": {}},
		"protocols": {"http": {"serve": {"to": %q, "allow": [%q]}}}}`, service.URL, caddyID)})
	identified := make(chan core.Conn, 1)
	t.Cleanup(core.On(other, func(e core.Identified) {
		select {
		case identified <- e.Conn:
		default:
		}
	}))
	var at string
	for _, a := range other.Addrs() {
		if _, err := a.ValueForProtocol(ma.P_TCP); err == nil {
			at = a.String()
		}
	}

	b, err := os.ReadFile("proxy.json")
	if err != nil {
		t.Fatal(err)
	}
	site, node, door := freePort(t), freePort(t), freePort(t)
	text := strings.NewReplacer(`":443"`, `"127.0.0.1:`+site+`"`, "0.0.0.0/tcp/4001", "127.0.0.1/tcp/"+node, "8081", door,
		"/dns4/other.example.org/tcp/4001", at, "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA", other.ID().String(),
		`"ping": {}`, `"ping": {}, "echo": {}`).Replace(string(b))
	var document map[string]any
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	document["admin"] = map[string]any{"disabled": true, "config": map[string]any{"persist": false}}
	web := document["apps"].(map[string]any)["http"].(map[string]any)["servers"].(map[string]any)["web"].(map[string]any)
	web["automatic_https"] = map[string]any{"disable": true}
	if b, err = json.Marshal(document); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "identity.key"), peer.MarshalPrivateKey(key), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, binary, dir, b)

	c := await(t, "the Caddy's node", identified)
	if c.RemotePeer() != caddyID {
		t.Fatalf("%s has connected, want %s", c.RemotePeer(), caddyID)
	}
	echo(t, c)
	if got := ask(t, site, "/"); got != "200 hello" {
		t.Errorf("the page: %s", got)
	}
	if got, want := ask(t, site, "/other/a/b?c=d"), "200 GET /a/b?c=d for "+caddyID.String(); got != want {
		t.Errorf("the other's server: %s, want %s", got, want)
	}
}
