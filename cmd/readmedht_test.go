// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadmeDHT runs the commands of README.md about the DHT, of its two nodes.
func TestReadmeDHT(t *testing.T) {
	config, err := os.ReadFile(filepath.Join("..", "configs", "private-dht.json"))
	if err != nil {
		t.Fatal(err)
	}
	var steps []string // a block each
	for _, block := range blocks(t, "sh") {
		if strings.Contains(block, "private-dht.json") || strings.Contains(block, "stats dht") {
			steps = append(steps, block)
		}
	}
	if len(steps) != 3 {
		t.Fatalf("%d blocks of the DHT", len(steps))
	}
	nodes := []*testNode{newNode(t), newNode(t)}
	var first *process
	var out strings.Builder
	for i, block := range steps {
		n := nodes[i%2]
		for line := range strings.Lines(block) {
			line, _, _ = strings.Cut(line, "   #")
			stdin, command, ok := strings.Cut(line, "./xnode ")
			args := strings.Fields(command)
			switch {
			case !ok: // the shell's
			case args[0] == "start":
				p := n.run("-c", n.write("node.json", strings.Replace(string(config), "/ip4/0.0.0.0/tcp/4001", "/ip4/127.0.0.1/tcp/0", 1)))
				if first == nil {
					first = p
				}
			case args[0] == "connect":
				n.must("connect", first.addrs[0])
				n.soon("connected", has("    bucket "), "stats", "dht")
			default:
				stdin = strings.TrimSuffix(strings.TrimPrefix(stdin, "echo "), " | ")
				if o := n.xnode(stdin, args...); o.code != 0 {
					t.Fatalf("%v: %+v", args, o)
				} else {
					out.WriteString(o.stdout)
				}
			}
		}
	}
	for _, want := range []string{
		"put /example/greeting success", "provide bafkrei", "\nhello\n", "/example/kad/1.0.0", "served ADD_PROVIDER", "knows",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in what they print:\n%s", want, out.String())
		}
	}
}
