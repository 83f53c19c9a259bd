// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// That each of them starts is tested in package configs.
func TestInitWritesEveryProfile(t *testing.T) {
	for profile, nat := range map[string][]string{ // what helps it to be reached
		"server": {"autonat"}, "relay": {"autonat", "relay"}, "bootstrap": {"autonat"}, "rendezvous": {"autonat"},
		"dht": {"autonat", "holepunch", "portmap", "relay"}, "lowpower": {"holepunch", "relay"}, "browser": {"autonat"},
		"lan": nil, "private": nil, "test": nil, // which nobody reaches from outside
	} {
		t.Run(profile, func(t *testing.T) {
			n := newNode(t)
			path := filepath.Join(n.dir, "node.json")
			n.must("init", "--profile", profile, "-o", path)
			if profile == "private" {
				if err := os.MkdirAll(n.data(), 0o700); err != nil {
					t.Fatal(err)
				}
				n.write("data/swarm.key", "/key/swarm/psk/1.0.0/\n/base16/\n"+strings.Repeat("5e", 32)+"\n")
			}
			n.must("validate", path)
			n.must("fmt", "--check", path)
			var document struct {
				Apps struct{ Xnode struct{ NAT map[string]any } }
			}
			text, err := os.ReadFile(path)
			if err == nil {
				err = json.Unmarshal(text, &document)
			}
			if got := slices.Sorted(maps.Keys(document.Apps.Xnode.NAT)); err != nil || !slices.Equal(got, nat) {
				t.Errorf("its modules of nat are %v, want %v; %v", got, nat, err)
			}
			if out := n.xnode("", "init", "--profile", profile, "-o", path); out.code != 1 || !strings.Contains(out.stderr, "exists") {
				t.Errorf("over a file: %+v", out)
			}
		})
	}
	n := newNode(t)
	if out := n.xnode("", "init", "--profile", "serverr"); out.code != 1 || !strings.Contains(out.stderr, "bootstrap, browser, dht") {
		t.Errorf("%+v", out)
	}
	if out := n.must("help", "init"); !strings.Contains(out, "lowpower ") {
		t.Errorf("%s", out)
	}
}

func TestFmt(t *testing.T) {
	n := newNode(t)
	files, err := filepath.Glob("../configs/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "../cmd/default.json") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		once := n.xnode(string(text), "fmt")
		if twice := n.xnode(once.stdout, "fmt", "-"); once.code != 0 || twice.stdout != once.stdout {
			t.Errorf("%s: formatted twice it is another text:\n%s\n%s", file, once.stdout, twice.stdout)
		}
		var before, after any
		if err := json.Unmarshal(text, &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(once.stdout), &after); err != nil || !reflect.DeepEqual(before, after) {
			t.Errorf("%s: %v, it says something else now:\n%s", file, err, once.stdout)
		}
		for line := range strings.Lines(once.stdout) {
			if len(line) > 160 {
				t.Errorf("%s: a line of %d bytes: %s", file, len(line), line)
			}
		}
	}
	out := n.xnode(`{"apps":{"xnode":{"agent":"a:b,\"c\"<é>","listen":[],"muxers":[{"module":"yamux"}],"n":1e30}}}`, "fmt")
	want := "{\n  \"apps\": {\n    \"xnode\": {\n      \"agent\": \"a:b,\\\"c\\\"<é>\",\n      \"listen\": [],\n      \"muxers\": [{\"module\": \"yamux\"}],\n      \"n\": 1e30\n    }\n  }\n}\n"
	if out.stdout != want {
		t.Errorf("%s, want %s", out.stdout, want)
	}
	path := n.write("node.json", `{"apps":{}}`)
	if out := n.xnode("", "fmt", "--check", path); out.code != 1 {
		t.Errorf("%+v", out)
	}
	n.must("fmt", "--write", path)
	n.must("fmt", "--check", path)
	if out := n.xnode(`{"a": 1, "a": 2}`, "fmt"); out.code != 1 || !strings.Contains(out.stderr, "twice") {
		t.Errorf("%+v", out)
	}
}

const explainedNode = `{"apps": {"xnode": {
	"listen": ["/ip4/127.0.0.1/tcp/0"],
	"transports": {"tcp": {"keepalive": "5s"}},
	"muxers": [{"module": "yamux", "keepalive": "30s"}],
	"limits": {"connections": 77}
}}}`

func TestConfigExplain(t *testing.T) {
	n := newNode(t)
	explain := func(args ...string) string {
		t.Helper()
		out := n.xnode(explainedNode, append([]string{"config", "explain", "-c", "-"}, args...)...)
		if out.code != 0 {
			t.Fatalf("%v: %+v", args, out)
		}
		return out.stdout
	}
	for _, tc := range []struct {
		flag      string
		has, lack []string
	}{
		{"--json=false", []string{
			"limits.connections = 77  (default: 500)\n    connections is how many connections there may be.\n",
			"transports.tcp.keepalive = \"5s\"  (default: \"15s\")\n",
			"muxers.0.keepalive = \"30s\"  (default)\n",
		}, []string{"limits.memory", "connect_timeout"}},
		{"--effective", []string{
			"limits.memory = \"256MiB\"  (default)\n", "limits.connections = 77  (default: 500)\n", "transports.tcp.connect_timeout = ",
			"security = [{\"module\":\"noise\"},{\"module\":\"tls\"}]  (default)\n", "dial.policy.stagger = \"250ms\"  (default)\n",
		}, nil},
		{"--diff-defaults", []string{"limits.connections = 77", "transports.tcp.keepalive = \"5s\""}, []string{"muxers.0.keepalive", "limits.memory ", "agent"}},
	} {
		out := explain(tc.flag)
		for _, want := range tc.has {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", tc.flag, want, out)
			}
		}
		for _, not := range tc.lack {
			if strings.Contains(out, "\n"+not) {
				t.Errorf("%s: %q in\n%s", tc.flag, not, out)
			}
		}
	}
	var list []struct{ Path, Module, What string }
	if err := json.Unmarshal([]byte(explain("--json", "--effective")), &list); err != nil || len(list) < 50 {
		t.Fatalf("%v, %d", err, len(list))
	}
	for _, e := range list {
		if e.What == "" || e.Module == "" {
			t.Errorf("%+v", e)
		}
	}
	if entries, err := os.ReadDir(n.data()); err == nil && len(entries) > 0 {
		t.Errorf("explaining left files: %v", entries)
	}
	if out := n.xnode(`{"apps": {"xnode": {"lisen": []}}}`, "config", "explain", "-c", "-"); out.code != 1 || !strings.Contains(out.stderr, "did you mean") {
		t.Errorf("%+v", out)
	}
}

func TestAdapt(t *testing.T) {
	n := newNode(t)
	yaml := n.write("node.yml", "apps:\n  xnode: # a node\n    listen: []\n    protocols: {ping: {}}\n")
	toml := n.write("node.toml", "[apps.xnode]\nlisten = []\n[apps.xnode.protocols.ping]\n")
	want := "{\n  \"apps\": {\n    \"xnode\": {\n      \"listen\": [],\n      \"protocols\": {\"ping\": {}}\n    }\n  }\n}\n"
	for _, file := range []string{yaml, toml} {
		if got := n.must("adapt", "--validate", file); got != want {
			t.Errorf("%s: %s", file, got)
		}
	}
	if out := n.xnode("apps: {xnode: {lisen: []}}", "adapt", "-c", "-", "-a", "yaml", "--validate"); out.code != 1 || !strings.Contains(out.stderr, "did you mean") {
		t.Errorf("%+v", out)
	}
	if out := n.xnode("", "adapt", n.write("node.ini", "")); out.code != 1 || !strings.Contains(out.stderr, `no adapter for "ini" in this binary; name one of [toml, yaml]`) {
		t.Errorf("%+v", out)
	}
}
