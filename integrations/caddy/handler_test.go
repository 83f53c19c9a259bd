// SPDX-License-Identifier: Apache-2.0 OR MIT

package caddy

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/xnode-p2p/xnode/core/host"
)

func TestIsWebSocket(t *testing.T) {
	for name, tc := range map[string]struct {
		major               int
		connection, upgrade string
		want                bool
	}{
		"browser":   {1, "Upgrade", "websocket", true},
		"a list":    {1, "keep-alive, upgrade", "WebSocket", true},
		"HTTP/2":    {2, "Upgrade", "websocket", false},
		"no wish":   {1, "keep-alive", "websocket", false},
		"something": {1, "upgrade", "h2c", false},
		"a page":    {1, "", "", false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.ProtoMajor = tc.major
		r.Header.Set("Connection", tc.connection)
		r.Header.Set("Upgrade", tc.upgrade)
		if got := isWebSocket(r); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestFromClient has requests from proxies that the HTTP server trusts.
func TestFromClient(t *testing.T) {
	for _, tc := range []struct{ connected, client, want string }{
		{"192.0.2.1:1234", "192.0.2.1", "192.0.2.1:1234"},
		{"[::ffff:192.0.2.1]:1234", "192.0.2.1", "[::ffff:192.0.2.1]:1234"},
		{"10.0.0.1:1234", "192.0.2.1", "192.0.2.1:0"},
		{"10.0.0.1:1234", "2001:db8::1", "[2001:db8::1]:0"},
		{"@", "192.0.2.1", "192.0.2.1:0"},
		{"10.0.0.1:1234", "", "10.0.0.1:1234"},
		{"10.0.0.1:1234", "nonsense", "10.0.0.1:1234"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = tc.connected
		vars := map[string]any{caddyhttp.ClientIPVarKey: tc.client}
		r = r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, vars))
		if got := fromClient(r).RemoteAddr; got != tc.want {
			t.Errorf("%s for %s: %s, want %s", tc.connected, tc.client, got, tc.want)
		}
		if r.RemoteAddr != tc.connected {
			t.Errorf("%s: the request has changed", tc.connected)
		}
	}
}

// TestNodeDoesNotRun has a request between the provision and the start.
func TestNodeDoesNotRun(t *testing.T) {
	h := &Handler{app: new(host.App)}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	asked := false
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		asked = true
		return nil
	})
	if err := h.ServeHTTP(httptest.NewRecorder(), r, next); err != nil || !asked {
		t.Errorf("a page: %v, %v", err, asked)
	}
	r.Header.Set("Connection", "upgrade")
	r.Header.Set("Upgrade", "websocket")
	err := h.ServeHTTP(httptest.NewRecorder(), r, next)
	if e, ok := err.(caddyhttp.HandlerError); !ok || e.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a WebSocket: %v", err)
	}
}

func TestCaddyfile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "node.json")
	if err := os.WriteFile(file, []byte(`{"listen": ["/dns4/node.example.org/tcp/443/tls/ws"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	adapt := func(text string) (string, error) {
		b, _, err := (caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}).Adapt([]byte(text), nil)
		return string(b), err
	}
	got, err := adapt("{\n xnode " + file + "\n}\nnode.example.org {\n respond \"hello\"\n libp2p\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Apps struct {
			XNode json.RawMessage `json:"xnode"`
		} `json:"apps"`
	}
	if err := json.Unmarshal([]byte(got), &document); err != nil || string(document.Apps.XNode) != `{"listen":["/dns4/node.example.org/tcp/443/tls/ws"]}` {
		t.Errorf("the node: %s, %v", document.Apps.XNode, err)
	}
	first, second := strings.Index(got, `{"handler":"libp2p"}`), strings.Index(got, `"static_response"`)
	if first < 0 || second < first {
		t.Errorf("the handlers: %s", got)
	}
	if got, err := adapt("node.example.org {\n libp2p /p2p\n}\n"); err != nil || !strings.Contains(got, `"path":["/p2p"]`) {
		t.Errorf("with a path: %s, %v", got, err)
	}
	for name, text := range map[string]string{
		"an argument": "a.example {\n libp2p /x y\n}\n",
		"a block":     "a.example {\n libp2p {\n x\n }\n}\n",
		"no file":     "{\n xnode " + file + ".none\n}\n",
		"no path":     "{\n xnode\n}\n",
		"two nodes":   "{\n xnode " + file + "\n xnode " + file + "\n}\n",
		"no JSON":     "{\n xnode /dev/null\n}\n",
	} {
		if got, err := adapt(text); err == nil {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestReadme keeps the example in the manual and the one that runs the same.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("example.json")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), string(example)) {
		t.Error("README.md does not contain example.json")
	}
}
