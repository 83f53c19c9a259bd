// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package configs_test starts every configuration in this folder.
package configs_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core/host"
	_ "github.com/xnode-p2p/xnode/modules/standard"
)

func TestEveryConfigStarts(t *testing.T) {
	files, err := filepath.Glob("*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			data := t.TempDir()
			t.Setenv("XNODE_DATA", data)
			// The key that a private network's members have got from each other.
			key := "/key/swarm/psk/1.0.0/\n/base16/\n" + strings.Repeat("5e", 32) + "\n"
			if err := os.WriteFile(filepath.Join(data, "swarm.key"), []byte(key), 0o600); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := host.CheckDocument(text); err != nil {
				t.Fatal(err)
			}
			if err := caddy.Load(forTest(t, text), true); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := caddy.Stop(); err != nil {
					t.Error(err)
				}
			}()
			h, ok := host.Running()
			if !ok {
				t.Fatal("no node runs")
			}
			if len(h.Addrs()) == 0 && file != "lowpower.json" { // which does not listen
				t.Error("the node has no addresses")
			}
		})
	}
}

// forTest takes a free port for the usual one, nobody for the bootstrap peers of
// the internet, multicasts to this machine alone, asks no router, and has no admin endpoint.
func forTest(t *testing.T, text []byte) []byte {
	t.Helper()
	var document map[string]any
	free := strings.NewReplacer(
		"/tcp/4001", "/tcp/0", "/udp/4001", "/udp/0", `"mdns": {}`, `"mdns": {"interfaces": ["lo"]}`,
		`"portmap": {}, `, "", "/dnsaddr/bootstrap.libp2p.io", "/ip4/127.0.0.1/tcp/1", "/dns4/relay.example.org", "/ip4/127.0.0.1",
	).Replace(string(text))
	if err := json.Unmarshal([]byte(free), &document); err != nil {
		t.Fatal(err)
	}
	document["admin"] = map[string]any{"disabled": true, "config": map[string]any{"persist": false}}
	changed, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}
