// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestEvil_K10_FileLimit runs a node that may not write large files: what finds no
// room is an error, and the node lives.
func TestEvil_K10_FileLimit(t *testing.T) {
	n := newNode(t)
	config := n.write("node.json", local(`"routing": {"kad": {"network": "test", "open_namespaces": ["v"]}}`))
	p := n.limited("ulimit -f 150", config) // blocks of 512 or 1024 bytes
	for _, key := range []string{"/v/a", "/v/b", "/v/c"} {
		out := n.xnode(strings.Repeat("x", 60_000), "routing", "put", key, "-")
		if out.code == 0 {
			t.Errorf("put %s: %+v", key, out)
		}
		if key == "/v/c" && !strings.Contains(out.stderr, "file too large") {
			t.Errorf("put %s: %+v", key, out)
		}
	}
	if out := n.must("id"); !strings.Contains(out, p.id) {
		t.Errorf("the node is %s", out)
	}
	n.must("stop")
	p.wait()
}

// limited is run in a shell with a limit.
func (n *testNode) limited(limit, config string) *process {
	n.t.Helper()
	cmd := n.command("run", "-c", config)
	sh, err := exec.LookPath("sh")
	if err != nil {
		n.t.Skip(err)
	}
	cmd.Args = append([]string{"sh", "-c", limit + ` && exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = sh
	return n.launch(cmd).ready()
}
