// SPDX-License-Identifier: Apache-2.0 OR MIT

package document

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const located = `{
  "admin": {"listen": "127.0.0.1:1"},
  "logging": {},
  "storage": {},
  "apps": {"xnode": {
    "identity": {"module": "file", "path": "k"},
    "listen": ["/ip4/127.0.0.1/tcp/1", "/memory/2"],
    "transports": {"tcp": {"keepalive": "1s"}, "ping": {}},
    "security": [{"module": "noise"}, {"path": 1, "module": "tls"}],
    "discovery": {"mdns": {}},
    "protocols": {"ping": {}, "echo": {"a": [{"b/c": 1}]}, "word": 5},
    "gater": {}
  }}
}`

func TestLocate(t *testing.T) {
	const (
		top   = "/apps/xnode (5, 21): "
		tcp   = "/apps/xnode/transports/tcp (8, 27): "
		words = "loading new config: loading xnode app module: provision xnode: "
	)
	for _, tc := range []struct{ text, want string }{
		{"odd", top + "odd"},
		{words + "odd; mend it", top + "odd; mend it"},
		{words + "transports: tcp: odd", tcp + "odd"},
		{words + "transports: tcp: provision xnode.transport.tcp: keepalive: odd", "/apps/xnode/transports/tcp/keepalive (8, 41): odd"},
		{words + "transports: tcp: xnode.transport.tcp: invalid configuration: keepalive: odd", "/apps/xnode/transports/tcp/keepalive (8, 41): odd"},
		{words + "transports: tcp: decoding module config: xnode.transport.tcp: odd", tcp + "odd"},
		{words + "transports: tcp: backlog: must be positive", tcp + "backlog: must be positive"},
		{words + "transports/tcp: start: odd", tcp + "odd"},
		{words + "listen/1: odd", "/apps/xnode/listen/1 (7, 40): odd"},
		{words + "listen/7: odd", top + "listen/7: odd"},
		{words + "identity: file: path: odd", "/apps/xnode/identity/path (6, 44): odd"},
		{words + "security: 1: tls: path: odd", "/apps/xnode/security/1/path (9, 48): odd"},
		{words + "security: 0: nose: odd", "/apps/xnode/security/0 (9, 18): nose: odd"},
		{words + "protocols: echo: a/0: odd", "/apps/xnode/protocols/echo/a/0 (11, 46): odd"},
		{words + "pubsub: gossipsub: odd", top + "pubsub: gossipsub: odd"},
		{"loading new config: xnode app module: start: odd", top + "odd"},
		{"loading new config: xnode app module: start: echo: start: odd", "/apps/xnode/protocols/echo (11, 39): odd"},
		{"loading new config: xnode app module: start: ping: start: odd", top + "ping: start: odd"}, // in two sections
		{"loading new config: xnode app module: start: word: start: odd", top + "word: start: odd"}, // not an object
		{"loading new config: xnode app module: start: mdns: odd", "/apps/xnode/discovery/mdns (10, 27): odd"},
		{
			"loading new config: xnode app module: start: listen /ip4/127.0.0.1/tcp/1: listen tcp4 127.0.0.1:1: odd; mend it",
			"/apps/xnode/listen/0 (7, 16): listen tcp4 127.0.0.1:1: odd; mend it",
		},
		{"xnode app module: start: listen /memory/2: listen /memory/2: odd", "/apps/xnode/listen/1 (7, 40): odd"},
		{"xnode app module: start: listen /memory/9: odd", "/apps/xnode/listen (7, 15): odd"},
		{"starting caddy administration endpoint: odd", "/admin (2, 12): starting caddy administration endpoint: odd"},
		{"loading new config: provisioning remote admin endpoint: odd", "/admin (2, 12): provisioning remote admin endpoint: odd"},
		{"setting up custom log 'a': odd", "/logging (3, 14): setting up custom log 'a': odd"},
		{"loading storage module: odd", "/storage (4, 14): loading storage module: odd"},
		{
			words + "transports: tcp: odd\n\n protocols: echo: even; mend it\nlistening",
			top + "listening\n" + tcp + "odd\n/apps/xnode/protocols/echo (11, 39): even; mend it",
		},
	} {
		d, err := Parse([]byte(located))
		if err != nil {
			t.Fatal(err)
		}
		got := strings.NewReplacer("(line ", "(", "column ", "").Replace(d.Locate(errors.New(tc.text)).Error())
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s\n(-want +got) %s", tc.text, diff)
		}
	}
}

// A section with its default value is not in the document.
func TestLocateWhatTheDocumentLacks(t *testing.T) {
	for _, tc := range []struct{ document, text, want string }{
		{`{}`, "xnode app module: start: odd", "/ (line 1, column 1): odd"},
		{`{"apps": {}}`, "xnode app module: start: odd", "/apps (line 1, column 10): odd"},
		{`{"apps": {"xnode": {}}}`, "provision xnode: transports: tcp: odd", "/apps/xnode (line 1, column 20): transports: tcp: odd"},
		{
			`{"apps": {"xnode": {}}}`, "xnode app module: start: listen /ip4/0.0.0.0/tcp/1: listen tcp4 0.0.0.0:1: odd",
			"/apps/xnode (line 1, column 20): listen /ip4/0.0.0.0/tcp/1: listen tcp4 0.0.0.0:1: odd",
		},
		{`[1]`, "0: odd", "/0 (line 1, column 2): odd"},
		{`null`, "starting caddy administration endpoint: odd", "/ (line 1, column 1): starting caddy administration endpoint: odd"},
	} {
		d, err := Parse([]byte(tc.document))
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Locate(errors.New(tc.text)).Error(); got != tc.want {
			t.Errorf("%s, %s: got %s, want %s", tc.document, tc.text, got, tc.want)
		}
	}
}
