// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xnode-p2p/xnode/core/peer"
)

func TestListModules(t *testing.T) {
	n := newNode(t)
	var ids []string
	for line := range strings.Lines(strings.Split(n.must("list-modules"), "\n\n")[0]) {
		ids = append(ids, strings.Fields(line)[0])
		if strings.HasPrefix(line, "xnode.security.noise ") && !strings.HasSuffix(strings.TrimSpace(line), " beta") {
			t.Errorf("%q does not say how far it is", line)
		}
	}
	if !slices.IsSorted(ids) || !slices.Contains(ids, "xnode.transport.tcp") || !slices.Contains(ids, "admin.api.xnode") {
		t.Errorf("%v", ids)
	}
	var list []struct {
		ID, Package, Version string
		Standard             bool
	}
	if err := json.Unmarshal([]byte(n.must("list-modules", "--json")), &list); err != nil || len(list) != len(ids) {
		t.Fatalf("%v, %d modules, want %d", err, len(list), len(ids))
	}
	for i, m := range list {
		if m.ID != ids[i] || m.Package == "" {
			t.Errorf("%+v", m)
		}
	}
	if out := n.must("list-modules", "--packages", "--versions"); !strings.Contains(out, "github.com/xnode-p2p/xnode/modules/transport/tcp") {
		t.Errorf("%s", out)
	}
}

func TestAbout(t *testing.T) {
	n := newNode(t)
	n.env = []string{"XNODE_TEST_SECRET_KEY=hidden"}
	for args, want := range map[string]string{
		"version":           "\n",
		"version --json":    `"go": "go1`,
		"build-info":        "go\tgo1",
		"build-info --json": `"main": {`,
		"environ":           "data=" + n.data() + "\n",
		"environ --json":    `"XNODE_TEST_SECRET_KEY": "(not shown)"`,
		"completion bash":   "xnode",
		"completion zsh":    "xnode",
		"completion fish":   "xnode",
		"help":              "Run a node:",
		"":                  "trace",
		"swarm":             "disconnect",
	} {
		if out := n.xnode("", strings.Fields(args)...); out.code != 0 || !strings.Contains(out.stdout, want) || strings.Contains(out.stdout, "hidden") {
			t.Errorf("%s: %+v", args, out)
		}
	}
	for args, want := range map[string]string{
		"rnu":             `unknown command "rnu" for "xnode"; did you mean run?`,
		"nothing":         `unknown command "nothing" for "xnode"; 'xnode --help' lists the commands`,
		"key sow":         `unknown command "sow" for "xnode key"; did you mean show?`,
		"help rnu":        `unknown command "rnu" for "xnode"; did you mean run?`,
		"completion tcsh": `unknown command "tcsh" for "xnode completion"; did you mean bash or fish or zsh?`,
		"run now":         `1 arguments for "xnode run"; usage: xnode run [flags]`,
		"ping":            `0 arguments for "xnode ping"; usage: xnode ping PEER [flags]`,
		"peers --nope":    `unknown flag: --nope; 'xnode peers --help' lists the flags`,
	} {
		out := n.xnode("", strings.Fields(args)...)
		if out.code != 1 || out.stdout != "" || out.stderr != "error: "+want+"\n" {
			t.Errorf("%s: %+v", args, out)
		}
	}
	for _, args := range []string{"trace", "key", "completion", "help key show"} {
		if out := n.must(strings.Fields(args)...); !strings.Contains(out, "Usage:\n") {
			t.Errorf("%s: %q", args, out)
		}
	}
}

func TestManpages(t *testing.T) {
	n := newNode(t)
	dir := filepath.Join(n.dir, "man")
	n.must("manpage", "-o", dir)
	pages, err := os.ReadDir(dir)
	if err != nil || len(pages) < 25 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "xnode-trace-dial.8"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{".TH XNODE\\-TRACE\\-DIAL 8 ", ".SH NAME\nxnode\\-trace\\-dial \\- Dials a peer", ".SH OPTIONS\n", "\\-\\-timeout", ".SH SEE ALSO\nxnode\\-trace(8)"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	// Whoever can print JSON says which.
	for _, page := range pages {
		text, err := os.ReadFile(filepath.Join(dir, page.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\n\\-\\-json\n") != strings.Contains(string(text), "JSON: ") &&
			!strings.Contains(string(text), "JSON, of the commands below too: ") {
			t.Errorf("%s does not say what --json prints:\n%s", page.Name(), text)
		}
	}
}

func TestKeys(t *testing.T) {
	n := newNode(t)
	for _, kind := range []string{"ed25519", "secp256k1", "ecdsa", "rsa"} {
		path := filepath.Join(n.dir, kind+".key")
		made := n.must("key", "gen", "--type", kind, "-o", path)
		shown := n.must("key", "show", path)
		if made != shown || !strings.Contains(strings.ToLower(shown), "type  "+kind) {
			t.Errorf("%s: made\n%sshown\n%s", kind, made, shown)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		key, err := peer.UnmarshalPrivateKey(text)
		if err != nil {
			t.Fatal(err)
		}
		id := peer.FromPublicKey(key.Public())
		if !strings.Contains(shown, id.String()) || !strings.Contains(shown, id.CID()) {
			t.Errorf("%s: no %s in\n%s", kind, id, shown)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
		json := n.must("key", "show", "--json", path)
		for _, out := range []string{shown, json} {
			if raw := key.Raw(); strings.Contains(out, base64.StdEncoding.EncodeToString(text)[:40]) || strings.Contains(out, string(raw[:16])) {
				t.Errorf("%s: the key is shown", kind)
			}
		}
		if out := n.xnode("", "key", "gen", "-o", path); out.code != 1 || !strings.Contains(out.stderr, "never overwritten") {
			t.Errorf("%s again: %+v", kind, out)
		}
		if now, err := os.ReadFile(path); err != nil || string(now) != string(text) {
			t.Errorf("%s: overwritten", kind)
		}
	}
	if out := n.xnode("", "key", "show"); out.code != 1 || !strings.Contains(out.stderr, "'xnode key gen'") {
		t.Errorf("%+v", out)
	}
	if out := n.xnode("", "key", "gen", "--type", "dsa"); out.code != 1 || !strings.Contains(out.stderr, "want ed25519, secp256k1, ecdsa or rsa") {
		t.Errorf("%+v", out)
	}
	if out := n.xnode("", "key", "show", n.write("torn.key", "junk")); out.code != 1 || !strings.HasPrefix(out.stderr, "error: "+n.dir+"/torn.key: torn or not a key") {
		t.Errorf("%+v", out)
	}
	text := strings.TrimSpace(n.must("key", "gen", "-o", "-"))
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := peer.UnmarshalPrivateKey(raw); err != nil {
		t.Error(err)
	}
}
