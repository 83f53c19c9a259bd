// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd_test

import (
	"os"
	"strings"
	"testing"
)

// TestRoutingWithoutDaemon looks things up through a server of a DHT, with no node
// running here.
func TestRoutingWithoutDaemon(t *testing.T) {
	there, n := newNode(t), newNode(t)
	p := there.run("-c", there.write("node.json", local(`"routing": {"kad": {"network": "test", "open_namespaces": ["v"]}}`)))
	there.xnode("", "routing", "provide", helloCID) // who is alone keeps it all the same
	via := []string{"--via", p.addrs[0], "--network", "test", "--timeout", "20s"}
	for _, tt := range []struct{ args, stdin, want string }{
		{"routing put /v/text -", "hello", "put /v/text success\n"},
		{"routing get /v/text", "", "hello\n"},
		{"routing get --json /v/text", "", `{"value":"aGVsbG8="}` + "\n"},
		{"routing query " + helloCID, "", p.id + "\n"},
		{"routing findpeer " + p.id, "", p.addrs[0] + "\n"},
		{"routing findprovs " + helloCID, "", p.id + "\n"},
	} {
		if out := n.xnode(tt.stdin, append(strings.Fields(tt.args), via...)...); out.code != 0 || out.stdout != tt.want {
			t.Errorf("%s: %+v, want %q", tt.args, out, tt.want)
		}
	}
	if out := n.xnode("", append([]string{"routing", "get", "-v", "/v/text"}, via...)...); !strings.Contains(out.stderr, "GET_VALUE") {
		t.Errorf("verbose: %+v", out)
	}
	if out := there.must("routing", "get", "/v/text"); out != "hello\n" {
		t.Errorf("the server has %q", out)
	}
	for args, want := range map[string]string{
		"routing get /v/none --network test --via " + p.addrs[0]:        "not found",
		"routing put --stop /v/text --network test --via " + p.addrs[0]: "want a running node",
		"routing get /v/text --via " + closed(t) + "/p2p/" + nobody:     "refused",
		"routing get /v/text --via nonsense":                            "nonsense",
		"routing get /v/text --admin 127.0.0.1:1 --via " + p.addrs[0]:   "none of the others can be",
		"routing provide --via " + p.addrs[0] + " " + helloCID:          "unknown flag: --via",
	} {
		if out := n.xnode("", strings.Fields(args)...); out.code != 1 || !strings.Contains(out.stderr, want) {
			t.Errorf("%s: %+v, want %q", args, out, want)
		}
	}
	if _, err := os.Stat(n.data()); err == nil {
		t.Error("a command without a node made its data folder")
	}
}
