// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd_test

import (
	"strings"
	"testing"
)

// TestReadmePubSub runs the commands of README.md about messages on topics, of its
// two nodes, with an address for the word ADDRESS and ports of one's own.
func TestReadmePubSub(t *testing.T) {
	var steps []string // a block each node
	for _, block := range blocks(t, "sh") {
		if strings.Contains(block, "pubsub.json") {
			steps = append(steps, block)
		}
	}
	if len(steps) != 2 {
		t.Fatalf("%d blocks of messages, want one of each node", len(steps))
	}
	var config string
	var first, sub *process
	for _, block := range steps {
		n := newNode(t)
		for line := range strings.Lines(block) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), "  #")
			command, ok := strings.CutPrefix(line, "./xnode ")
			args := strings.Fields(command)
			switch {
			case strings.HasPrefix(line, "echo '"):
				config, _, _ = strings.Cut(strings.TrimPrefix(line, "echo '"), "'")
				config = strings.Replace(config, `"pubsub"`, `"listen": ["/ip4/127.0.0.1/tcp/0"], "pubsub"`, 1)
			case !ok: // the shell's
			case args[0] == "start": // in the test's hands instead of the background
				p := n.run("-c", n.write("pubsub.json", config))
				if first == nil {
					first = p
				}
			case args[0] == "connect":
				n.must("connect", first.addrs[0])
			case args[1] == "sub":
				sub = n.start(args...)
				n.soon("subscribed", has(args[2]+"\n"), "pubsub", "ls")
			case args[1] == "pub":
				n.soon("they have met", has("published to 1 peers\n"), args...)
				sub.line(sub.stdout, args[3])
			default:
				t.Errorf("%s: what is that?", line)
			}
		}
	}
	if sub == nil || first == nil {
		t.Error("nobody has subscribed")
	}
}
