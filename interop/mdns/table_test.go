// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/peers"
)

func TestTable(t *testing.T) {
	r := &runner{}
	r.note(check{Network: "ip4", Seer: "xnode", Seen: "go"}, time.Now(), nil)
	r.note(check{Network: "ip4", Seer: "go", Seen: "xnode"}, time.Now(), errors.New("blind"))
	r.note(check{Network: "ip4", Seer: "go", Seen: "go", Known: "never could"}, time.Now(), errors.New("no"))
	r.note(check{Network: "ip4", What: "the sky is blue"}, time.Now(), nil)
	r.note(check{Network: "ip6", Seer: "xnode", Seen: "xnode", Known: "has no eyes"}, time.Now(), nil)
	var b strings.Builder
	if err := table(&b, r.checks); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"ip4: sees→   xnode   go\n", "✔ 0.0s\n", "go           ✘       –\n", "✔ 0.0s the sky is blue\n", "2 passed, 2 failed, 1 that a peer cannot do\n",
		"ip4, go sees xnode: not within 0 s: blind\n", "ip4, go sees go: cannot: never could\n", "ip6, xnode sees xnode: is so, but is listed as impossible: has no eyes\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// Nothing is ever an excuse for this project's peer.
func TestXnodeIsNotExcused(t *testing.T) {
	for _, k := range knowns() {
		if k.seer == "" || k.seen == "" || k.seer == peers.Xnode || k.seen == peers.Xnode || k.why == "" {
			t.Errorf("%+v", k)
		}
	}
}

func TestPairs(t *testing.T) {
	a, b, other := &machine{kind: "a", id: "1"}, &machine{kind: "a", id: "2"}, &machine{kind: "b", id: "3", addrs: []string{"/ip4/192.168.77.3/tcp/1"}}
	cells := pairs("ip4", []*machine{a, b, other})
	counts := map[string]int{}
	for _, c := range cells {
		counts[c.Seer+" "+c.Seen] = len(c.sights)
	}
	if len(cells) != 3 || counts["a a"] != 2 || counts["a b"] != 2 || counts["b a"] != 2 {
		t.Errorf("%v", counts)
	}
	if err := a.see(other); err == nil {
		t.Error("sees without having looked")
	}
	a.sees = map[string][]string{"3": {"/ip4/10.0.0.1/tcp/1"}}
	if err := a.see(other); err == nil || !strings.Contains(err.Error(), "10.0.0.1") {
		t.Errorf("sees where the other one is not: %v", err)
	}
	a.sees["3"] = append(a.sees["3"], other.addrs...)
	if err := a.see(other); err != nil {
		t.Error(err)
	}
}

func TestFaults(t *testing.T) {
	for remark, want := range map[string]bool{
		"": false, "DNS query retransmission. Original request in frame 4": false, "DNS response retransmission. Original response in frame 6": false,
		"Malformed Packet (Exception occurred)": true,
	} {
		if isFault(remark) != want {
			t.Errorf("%q", remark)
		}
	}
}
