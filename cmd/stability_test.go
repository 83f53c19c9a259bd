// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd_test

import (
	"strings"
	"syscall"
	"testing"
)

// Who runs modules that may change or go is told so once: when the node starts, and
// not when it is reloaded.
func TestUnstableModulesAreToldOfOnce(t *testing.T) {
	n := newNode(t)
	config := func(agent string) string {
		return local(`"agent": "` + agent + `", "protocols": {"faulty": {}, "ping": {}}, "muxers": [{"module": "yamux"}, {"module": "mplex"}]`)
	}
	const warning = "modules that may change or go"
	p := n.run("-c", n.write("node.json", config("first")))
	line := p.line(p.stderr, warning)
	for _, want := range []string{`"warn"`, `"development":["xnode.protocol.faulty"]`, `"deprecated":["xnode.muxer.mplex"]`, "docs/COMPATIBILITY.md"} {
		if !strings.Contains(line, want) {
			t.Errorf("no %s in %s", want, line)
		}
	}
	if strings.Contains(line, "ping") {
		t.Errorf("it names a module that is beta: %s", line)
	}
	n.must("reload", "-c", n.write("node.json", config("second")))
	p.signal(syscall.SIGTERM)
	for _, line := range p.drain() {
		if strings.Contains(line, warning) {
			t.Errorf("told again: %s", line)
		}
	}
}
