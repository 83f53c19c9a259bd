// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build unix

package xnodecmd_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const (
	withEcho = `"protocols": {"ping": {}, "echo": {}}`
	mistake  = `"protocols": {"ping": {}}, "lissten": []`
)

// opened lists when each connection of a node was opened.
func opened(n *testNode) string {
	n.t.Helper()
	var list []struct{ Peer, Opened string }
	if err := json.Unmarshal([]byte(n.must("peers", "--json")), &list); err != nil {
		n.t.Fatal(err)
	}
	return fmt.Sprint(list)
}

// speaks tells whether a node serves a protocol.
func speaks(n *testNode, protocol string) bool {
	n.t.Helper()
	return strings.Contains(n.must("id"), protocol)
}

func TestReload(t *testing.T) {
	a, b := newNode(t), newNode(t)
	path := a.write("node.json", local(""))
	p := a.run("-c", path)
	q := b.run("-c", b.write("node.json", local("")))
	b.must("connect", p.addrs[0])
	before := opened(a)

	bad := a.write("bad.json", local(mistake))
	out := a.xnode("", "reload", "-c", bad)
	if out.code != 1 || !strings.HasPrefix(out.stderr, bad+":4:") || !strings.Contains(out.stderr, `/apps/xnode/lissten: unknown key "lissten"; did you mean "listen"?`) {
		t.Errorf("bad: %+v", out)
	}
	if got := opened(a); got != before {
		t.Errorf("connections %s, want %s", got, before)
	}
	good := a.write("good.json", local(withEcho))
	if out := a.xnode("", "reload", "-c", good); out.code != 0 {
		t.Errorf("good: %+v", out)
	}
	if !speaks(a, "/echo/") {
		t.Error("the new protocol is not served")
	}
	if got := opened(a); got != before {
		t.Errorf("connections %s, want %s", got, before)
	}
	if out := a.must("addrs", "local"); out != p.addrs[0]+"\n" {
		t.Errorf("addresses %q, want %s", out, p.addrs[0])
	}
	if out := a.xnode(local(""), "reload", "-c", "-"); out.code != 0 || speaks(a, "/echo/") {
		t.Errorf("from standard input: %+v", out)
	}
	if out := a.xnode("", "reload"); out.code != 1 || !strings.Contains(out.stderr, "from no file") {
		t.Errorf("without a file: %+v", out)
	}
	b.must("ping", "-n", "1", p.id)
	_ = q
}

func TestReloadSameFile(t *testing.T) {
	n := newNode(t)
	path := n.write("node.json", local(""))
	p := n.run("-c", path)
	n.write("node.json", local(withEcho))
	n.must("reload")
	if !speaks(n, "/echo/") {
		t.Error("reload: the new protocol is not served")
	}
	n.write("node.json", local(mistake))
	if out := n.xnode("", "reload"); out.code != 1 || !strings.Contains(out.stderr, path+":4:") {
		t.Errorf("reload of a mistake: %+v", out)
	}
	p.signal(syscall.SIGUSR1)
	p.line(p.stderr, "failed to reload config from file", "lissten")
	n.write("node.json", local(""))
	p.signal(syscall.SIGUSR1)
	p.line(p.stderr, "successfully reloaded config from file")
	if speaks(n, "/echo/") {
		t.Error("SIGUSR1: the protocol is still served")
	}
}

func TestWatch(t *testing.T) {
	n := newNode(t)
	path := n.write("node.json", local(""))
	p := n.run("-c", path, "--watch")
	p.line(p.stderr, `"watch"`, "watching")
	n.write("node.json", local(withEcho))
	p.line(p.stderr, `"watch"`, "reloaded")
	if !speaks(n, "/echo/") {
		t.Error("the new protocol is not served")
	}
	n.write("node.json", local(mistake))
	p.line(p.stderr, "not reloaded", path+":4:", "/apps/xnode/lissten")
	if !speaks(n, "/echo/") {
		t.Error("the old configuration does not go on")
	}
	if out := n.xnode("", "run", "--watch"); out.code != 1 || !strings.Contains(out.stderr, "no file to --watch") {
		t.Errorf("%+v", out)
	}
}

func TestResume(t *testing.T) {
	n := newNode(t)
	saved := filepath.Join(n.data(), "autosave.json")
	n.run("-c", n.write("node.json", local(withEcho)))
	if out := n.xnode(local(mistake), "reload", "-c", "-"); out.code != 1 {
		t.Errorf("%+v", out)
	}
	n.must("stop")
	info, err := os.Stat(saved)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("saved: %v, %v", info, err)
	}
	if _, err := os.Stat(saved + ".new"); err == nil {
		t.Error("the temporary file is left")
	}
	// What is half written does not count.
	if err := os.WriteFile(saved+".new", []byte(`{"apps": {"xn`), 0o600); err != nil {
		t.Fatal(err)
	}
	p := n.run("--resume")
	if !speaks(n, "/echo/") {
		t.Error("not the saved configuration")
	}
	// A change through the API is kept too.
	if status, answer := n.request("DELETE", "/config/apps/xnode/protocols/echo", ""); status != 200 {
		t.Errorf("%d %s", status, answer)
	}
	p.signal(syscall.SIGTERM)
	p.wait()
	n.run("--resume")
	if speaks(n, "/echo/") {
		t.Error("not the configuration that was changed")
	}
	n.must("stop")
	if err := os.WriteFile(saved, []byte(`{"apps": {"xnod`), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := n.xnode("", "run", "--resume"); out.code != 1 || !strings.Contains(out.stderr, saved+":1:") {
		t.Errorf("torn: %+v", out)
	}
}

// A node that is not to keep its configuration does not.
func TestNotSaved(t *testing.T) {
	n := newNode(t)
	n.run("-c", n.write("node.json", `{"admin": {"config": {"persist": false}}, "apps": {"xnode": {"listen": ["/ip4/127.0.0.1/tcp/0"]}}}`))
	if left, err := filepath.Glob(filepath.Join(n.data(), "autosave*")); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestEditThroughAPI(t *testing.T) {
	n := newNode(t)
	n.run("-c", n.write("node.json", local(`"@id": "node"`)))
	if status, answer := n.request("PUT", "/config/apps/xnode/protocols", `{"ping": {}, "echo": {}}`); status != 200 || !speaks(n, "/echo/") {
		t.Errorf("PUT: %d %s", status, answer)
	}
	status, answer := n.request("PATCH", "/id/node/protocols/echo", `{"no_such_key": 1}`)
	if status != 400 || !strings.Contains(answer, `"pointer":"/apps/xnode/protocols/echo/no_such_key"`) || !strings.Contains(answer, `"remedy"`) {
		t.Errorf("PATCH: %d %s", status, answer)
	}
	if status, answer := n.request("DELETE", "/id/node/protocols/echo", ""); status != 200 || speaks(n, "/echo/") {
		t.Errorf("DELETE: %d %s", status, answer)
	}
	if status, answer := n.request("DELETE", "/config/apps/xnode/protocols/echo", ""); status != 404 {
		t.Errorf("DELETE again: %d %s", status, answer)
	}
	if status, answer := n.request("GET", "/config/apps/xnode/protocols", ""); status != 200 || strings.TrimSpace(answer) != `{"ping":{}}` {
		t.Errorf("GET: %d %s", status, answer)
	}
}
