// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/xnode-p2p/xnode/core"
)

// compiled is a schema that the binary prints, as an editor reads it.
func compiled(t *testing.T, n *testNode, args ...string) *jsonschema.Schema {
	t.Helper()
	text := n.must(append([]string{"schema"}, args...)...)
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft4) // so that it is the schema that names its own
	if err := c.AddResource("mem:schema.json", document); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("mem:schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if s.DraftVersion != 2020 {
		t.Fatalf("draft %d", s.DraftVersion)
	}
	return s
}

// fits says what a schema has against a document.
func fits(t *testing.T, s *jsonschema.Schema, text string) error {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(document)
}

func TestSchemaTakesEveryConfiguration(t *testing.T) {
	s := compiled(t, newNode(t))
	files, err := filepath.Glob("../configs/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range append(files, "default.json") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := fits(t, s, string(text)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, text := range blocks(t, "json") {
		if err := fits(t, s, text); err != nil {
			t.Errorf("README.md: %s: %v", text, err)
		}
	}
}

// Where only some words will do, the schema names all that validate takes, and no
// others: an editor can offer them.
func TestSchemaListsWords(t *testing.T) {
	n := newNode(t)
	s := compiled(t, n)
	keys := strings.Fields("ed25519 secp256k1 ecdsa rsa")
	ids := strings.Fields("from_seqno sha256 sha256_topic first_8_bytes")
	for place, words := range map[string][]string{
		`"identity": {"module": "file", "type": "WORD"}`:                                                                keys,
		`"identity": {"module": "ephemeral", "type": "WORD"}`:                                                           keys,
		`"dial": {"policy": {"order": ["WORD"]}}`:                                                                       strings.Fields("quic tcp webtransport websocket webrtc-direct"),
		`"dial": {"policy": {"prefer": "WORD"}}`:                                                                        strings.Fields("ip4 ip6"),
		`"routing": {"kad": {"mode": "WORD"}}`:                                                                          strings.Fields("auto client server"),
		`"routing": {"kad": {"lan": "WORD"}}`:                                                                           strings.Fields("auto off"),
		`"routing": {"kad": {"provide": "WORD"}}`:                                                                       strings.Fields("classic optimistic"),
		`"nat": {"autonat": {"roles": ["WORD"]}}`:                                                                       strings.Fields("client server"),
		`"nat": {"portmap": {"methods": ["WORD"]}}`:                                                                     strings.Fields("pcp nat-pmp upnp"),
		`"pubsub": {"gossipsub": {"policy": "WORD"}}`:                                                                   strings.Fields("strict_sign strict_no_sign lax_sign lax_no_sign"),
		`"pubsub": {"gossipsub": {"message_id": "WORD"}}`:                                                               ids,
		`"pubsub": {"gossipsub": {"topic_options": {"news": {"message_id": "WORD"}}}}`:                                  ids,
		`"pubsub": {"gossipsub": {"validators": [{"module": "peers", "deny": ["` + nobody + `"], "verdict": "WORD"}]}}`: strings.Fields("reject ignore"),
	} {
		for _, word := range append(words, "nonsense") {
			text := `{"apps": {"xnode": {` + strings.Replace(place, "WORD", word, 1) + `}}}`
			good := word != "nonsense"
			if err := fits(t, s, text); (err == nil) != good {
				t.Errorf("%s: the schema: %v", text, err)
			}
			if out := n.xnode(text, "validate", "-c", "-"); (out.code == 0) != good {
				t.Errorf("%s: validate: %+v", text, out)
			}
		}
	}
}

// What validate says of a document's shape, the schema says too.
func TestSchemaAndCheckAgree(t *testing.T) {
	n := newNode(t)
	s := compiled(t, n)
	for _, tc := range []struct {
		name, node string
		good       bool
	}{
		{"nothing", `{}`, true},
		{"an @id", `{"@id": "node", "protocols": {"@id": 7, "ping": {"@id": "p"}}}`, true},
		{"sizes", `{"limits": {"memory": "1.5 GiB"}}`, true},
		{"days", `{"limits": {"grace": "1d2h"}}`, true},
		{"a module in a list", `{"muxers": [{"module": "yamux", "@id": "y"}]}`, true},
		{"a module of a module", `{"transports": {"tcp": {}, "websocket": {"certificate": {"module": "selfsigned"}}}, "listen": []}`, true},
		{"an unknown key", `{"transport": {}}`, false},
		{"an unknown key of a module", `{"protocols": {"ping": {"intervall": "1s"}}}`, false},
		{"an unknown key of a guest", `{"transports": {"websocket": {"certificate": {"module": "selfsigned", "x": 1}}}, "listen": []}`, false},
		{"an unknown module", `{"protocols": {"pong": {}}}`, false},
		{"an unknown module in a list", `{"muxers": [{"module": "mux"}]}`, false},
		{"a module of another kind", `{"protocols": {"tcp": {}}}`, false},
		{"a list of names", `{"muxers": ["yamux"]}`, false},
		{"a list for a map", `{"transports": [{"module": "tcp"}]}`, false},
		{"a map for a list", `{"muxers": {"yamux": {}}}`, false},
		{"a module without its name", `{"muxers": [{}]}`, false},
		{"the name of a module where it is the key", `{"protocols": {"ping": {"module": "ping"}}}`, false},
		{"null", `{"limits": null}`, false},
		{"a null module", `{"protocols": {"ping": null}}`, false},
		{"a number for a string", `{"agent": 1}`, false},
		{"a string for a number", `{"limits": {"connections": "500"}}`, false},
		{"a fraction", `{"limits": {"connections": 1.5}}`, false},
		{"a duration without a unit", `{"limits": {"grace": "20"}}`, false},
		{"a duration as a number", `{"limits": {"grace": 20}}`, false},
		{"a negative duration", `{"limits": {"grace": "-20s"}}`, false},
		{"a size without a unit", `{"limits": {"memory": "1000"}}`, false},
		{"a size of another unit", `{"limits": {"memory": "1 MB/s"}}`, false},
		{"an unknown nested key", `{"pubsub": {"gossipsub": {"params": {"dd": 1}}}}`, false},
		{"a wrong nested value", `{"pubsub": {"gossipsub": {"score": {"topics": {"news": {"weight": "1"}}}}}}`, false},
		{"a string for a list", `{"listen": "/ip4/127.0.0.1/tcp/0"}`, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := `{"apps": {"xnode": ` + tc.node + `}}`
			if err := fits(t, s, text); (err == nil) != tc.good {
				t.Errorf("the schema: %v", err)
			}
			if out := n.xnode(text, "validate", "-c", "-"); (out.code == 0) != tc.good {
				t.Errorf("validate: %+v", out)
			}
		})
	}
	for text, good := range map[string]bool{
		`{}`: true,
		`{"$schema": "./xnode.schema.json", "apps": {"xnode": {}}}`: true,
		`{"apps": {"xnode": {}}, "$schema": "./xnode.schema.json"}`: true,
		`{"$schema": "./xnode.schema.json"}`:                        true,
		`{"$schema": 1, "apps": {"xnode": {}}}`:                     false,
		`{"apps": {"$schema": "x", "xnode": {}}}`:                   false,
		`{"apps": {"xnodes": {}}}`:                                  false,
		`{"app": {}}`:                                               false,
		`{"admin": {"listen": 1}}`:                                  false,
		`[]`:                                                        false,
	} {
		if err := fits(t, s, text); (err == nil) != good {
			t.Errorf("the schema: %s: %v", text, err)
		}
		if out := n.xnode(text, "validate", "-c", "-"); (out.code == 0) != good {
			t.Errorf("validate: %s: %+v", text, out)
		}
	}
}

func TestSchemaOfAModule(t *testing.T) {
	n := newNode(t)
	s := compiled(t, n, "kad")
	for text, good := range map[string]bool{`{"request_timeout": "3s"}`: true, `{"request_timeout": 3}`: false} {
		if err := fits(t, s, text); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, want := range []string{`"default": "10s"`, `"description": "request_timeout bounds one request of another peer, dial included."`} {
		if out := n.must("schema", "xnode.routing.kad"); !strings.Contains(out, want) {
			t.Errorf("no %s", want)
		}
	}
	if out := n.xnode("", "schema", "nosuch"); out.code != 1 || !strings.Contains(out.stderr, "no module") {
		t.Errorf("%+v", out)
	}
}

// A node runs and reloads a document that names its schema; mistakes in it keep
// their places.
func TestDocumentsNameTheirSchema(t *testing.T) {
	n := newNode(t)
	out := n.xnode("{\n\"$schema\": \"x\",\n\"apps\": {\"xnode\": {\"protocols\": {\"faulty\": {\"fail\": \"provision\"}}}}}", "validate", "-c", "-")
	if out.code == 0 || !strings.Contains(out.stderr, ":3:") {
		t.Errorf("%+v", out)
	}
	path := n.write("node.json", `{"$schema": "x", "apps": {"xnode": {"listen": [], "agent": "one"}}}`)
	n.must("start", "-c", path)
	defer n.must("stop")
	n.write("node.json", `{"apps": {"xnode": {"listen": [], "agent": "two"}}, "$schema": "x"}`)
	n.must("reload", "-c", path)
}

// The patterns of durations and sizes take what their types take.
func TestSchemaPatterns(t *testing.T) {
	s := compiled(t, newNode(t))
	for key, texts := range map[string][]string{
		"grace":  {"1s", "1.5s", ".5s", "5.s", "1h30m", "1d", "1d12h", "0", "1us", "1µs", "", "s", "1", "1 s", "1y", ".s", "1s1", "-1s", "--1s", "1..5s"},
		"memory": {"1B", "1kB", "1KB", "1KiB", "1.5MiB", "1 GiB", "1TiB", "", "1", "B", "1b", "1 kb", "-1B", "1e3B", "1.B", ".5MB", "."},
	} {
		for _, text := range texts {
			quoted, _ := json.Marshal(text)
			var err error
			if key == "grace" {
				err = json.Unmarshal(quoted, new(core.Duration))
			} else {
				err = json.Unmarshal(quoted, new(core.Size))
			}
			document := bytes.Replace([]byte(`{"apps": {"xnode": {"limits": {"`+key+`": TEXT}}}}`), []byte("TEXT"), quoted, 1)
			if got := fits(t, s, string(document)); (got == nil) != (err == nil) {
				t.Errorf("%s %q: the schema says %v, the type %v", key, text, got, err)
			}
		}
	}
}
