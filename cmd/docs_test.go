// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// documented is what docs --json prints of a key.
type documented struct {
	Key, Type, What, Default, Namespace string
	Fields                              []documented
}

// required are the keys without a default.
var required = map[string]bool{
	"xnode.certificate.file cert_file": true,
	"xnode.certificate.file key_file":  true,
	"xnode.discovery.bootstrap peers":  true,
	"xnode.protocol.http serve.to":     true, "xnode.protocol.http serve.allow": true,
	"xnode.routing.delegated endpoints": true,
	"xnode.transport.webrtc turn.url":   true, "xnode.transport.webrtc turn.username": true, "xnode.transport.webrtc turn.password_file": true,
	"xnode.protocol.tunnel serve.to": true, "xnode.protocol.tunnel serve.allow": true,
	"xnode.protocol.tunnel forward.protocol": true, "xnode.protocol.tunnel forward.from": true, "xnode.protocol.tunnel forward.peer": true,
}

// Every key of every module says what it is, and what it is without being
// there.
func TestEveryKeyIsDocumented(t *testing.T) {
	var modules []struct {
		ID, Package, Doc string
		Fields           []documented
	}
	if err := json.Unmarshal([]byte(newNode(t).must("docs", "--json")), &modules); err != nil {
		t.Fatal(err)
	}
	keys := 0
	var check func(id, in string, fields []documented)
	check = func(id, in string, fields []documented) {
		for _, f := range fields {
			keys++
			place := id + " " + in + f.Key
			if f.What == "" || f.Type == "" || f.Type == "JSON" {
				t.Errorf("%s: %+v", place, f)
			}
			if f.Default == "" && len(f.Fields) == 0 && !required[place] {
				t.Errorf("%s has no default", place)
			}
			check(id, in+f.Key+".", f.Fields)
		}
	}
	for _, m := range modules {
		if strings.HasSuffix(m.Package, "_test") {
			continue // the modules of this test binary have no source embedded
		}
		if m.Doc == "" {
			t.Errorf("%s: nothing is written about it", m.ID)
		}
		check(m.ID, "", m.Fields)
	}
	if len(modules) < 30 || keys < 200 {
		t.Errorf("%d modules, %d keys", len(modules), keys)
	}
}

func TestDocs(t *testing.T) {
	n := newNode(t)
	for args, want := range map[string]string{
		"docs":                        "xnode.routing.kad ",
		"docs kad":                    "\n  request_timeout  (duration)\n      request_timeout bounds one request of another peer, dial included.\n      Default: \"10s\"\n",
		"docs xnode":                  "\n  limits.memory  (size)\n",
		"docs xnode.pubsub.gossipsub": "\n  score.topics.NAME.weight  (number)\n",
		"docs faulty":                 "\n  fail  (string)\n", // of a module without prose
	} {
		if out := n.xnode("", strings.Fields(args)...); out.code != 0 || !strings.Contains(out.stdout, want) {
			t.Errorf("%s: %s %s", args, out.stdout, out.stderr)
		}
	}
	for name, want := range map[string]string{
		"nosuch": `no module "nosuch" in this binary`,
		"file":   `"file" is the name of 2 modules; say which of [xnode.certificate.file xnode.identity.file]`,
	} {
		if out := n.xnode("", "docs", name); out.code != 1 || !strings.Contains(out.stderr, want) {
			t.Errorf("%s: %+v", name, out)
		}
	}
}

func TestDocsAsPages(t *testing.T) {
	n := newNode(t)
	n.write("xnode.gone.html", "DO NOT EDIT")
	n.write("mine.html", "my own")
	n.must("docs", "--html", n.dir, "--man", n.dir, "--md", n.dir)
	for name, want := range map[string]string{
		"index.html":             `<a href="xnode.routing.kad.html">`,
		"xnode.routing.kad.html": "<td><code>request_timeout</code><td>duration<td>",
		"xnode.routing.kad.5":    ".B request_timeout\n(duration)\n",
		"routing.md":             "| `request_timeout` | duration | ",
		"README.md":              "(routing.md#xnoderoutingkad)",
		"mine.html":              "my own",
	} {
		text, err := os.ReadFile(filepath.Join(n.dir, name))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v, want %q in\n%.400s", name, err, want, text)
		}
		for _, tag := range []string{"<script", "<link", "<img", "src=", "url("} {
			if strings.HasSuffix(name, ".html") && strings.Contains(string(text), tag) {
				t.Errorf("%s wants something from the web: %s", name, tag)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(n.dir, "xnode.gone.html")); !os.IsNotExist(err) {
		t.Errorf("the page of a module that is gone: %v", err)
	}
	if lint, err := exec.LookPath("mandoc"); err == nil {
		if out, err := exec.Command(lint, "-Tlint", "-Wwarning", filepath.Join(n.dir, "xnode.routing.kad.5")).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}
