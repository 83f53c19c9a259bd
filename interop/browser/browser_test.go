// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xnode-p2p/xnode/interop/internal/peers"
)

func TestOnLoopback(t *testing.T) {
	root, err := peers.Root()
	if err != nil {
		t.Fatal(err)
	}
	shipped, err := os.ReadFile(filepath.Join(root, "configs", "browser.json"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := onLoopback(shipped, 7, false)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Apps struct{ Xnode struct{ Listen []string } }
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{
		"/ip4/127.0.0.1/tcp/7",
		"/ip4/127.0.0.1/tcp/7/ws",
		"/ip4/127.0.0.1/tcp/7/tls/ws",
		"/ip4/127.0.0.1/udp/7/quic-v1",
		"/ip4/127.0.0.1/udp/7/quic-v1/webtransport",
		"/ip4/127.0.0.1/udp/7/webrtc-direct",
	}, got.Apps.Xnode.Listen); diff != "" {
		t.Error(diff)
	}
	if text, err = onLoopback(shipped, 7, true); err != nil || !strings.Contains(string(text), `"level":"DEBUG"`) {
		t.Errorf("%s, %v", text, err)
	}
	for _, bad := range []string{
		``, `{}`, `{"apps": []}`, `{"apps": {"xnode": {"listen": ["/unix/socket"]}}}`, `{"apps": {"xnode": {"listen": [1]}}}`,
	} {
		if _, err := onLoopback([]byte(bad), 7, false); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

const hash = "uEiBOBM1_LvuK0DLX9wr-Fr95y7wfGDyLyMBxNBHPDG4ozQ"

// dialable are addresses as a node tells them, and other what becomes of the hash.
var (
	relays   = []string{"/ip4/127.0.0.1/tcp/8/p2p/12D4", "/ip4/127.0.0.1/tcp/9/ws/p2p/12D4"}
	dialable = []string{
		"/ip4/127.0.0.1/tcp/7/p2p/12D3",
		"/ip4/127.0.0.1/tcp/7/tls/ws/p2p/12D3",
		"/ip4/127.0.0.1/tcp/7/ws/p2p/12D3",
		"/ip4/127.0.0.1/udp/7/quic-v1/p2p/12D3",
		"/ip4/127.0.0.1/udp/7/quic-v1/webtransport/certhash/" + hash + "/certhash/" + hash + "/p2p/12D3",
		"/ip4/127.0.0.1/udp/7/webrtc-direct/certhash/" + hash + "/p2p/12D3",
		"/ip4/127.0.0.1/tcp/9/ws/p2p/12D4/p2p-circuit/webrtc/p2p/12D3",
	}
	other = strings.Replace(hash, "X9wr-F", "X9wr-A", 1)
)

func TestCasesOf(t *testing.T) {
	got, err := casesOf(dialable, relays)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]testCase{
		{"WebSocket", dialable[2], "websocket", false, false, false},
		{"WebSocket over TLS", dialable[1], "websocket", false, false, false},
		{"WebTransport", dialable[4], "webtransport", false, false, false},
		{"WebRTC direct", dialable[5], "webrtcdirect", false, false, false},
		{"WebRTC, signalled through a relay", dialable[6], "webrtc", false, false, false},
		{"WebRTC, dialled by xnode", relays[1], "webrtc", false, true, false},
		{"STUN", "stun:127.0.0.1:7", "webrtcdirect", false, false, true},
		{"WebTransport, another certificate's hash", strings.ReplaceAll(dialable[4], hash, other), "webtransport", true, false, false},
		{"WebRTC direct, another certificate's hash", strings.ReplaceAll(dialable[5], hash, other), "webrtcdirect", true, false, false},
	}, got); diff != "" {
		t.Error(diff)
	}
	for i := range dialable {
		few := append(dialable[:i:i], dialable[i+1:]...)
		if _, err := casesOf(few, relays); (err == nil) != (i == 0 || i == 3) {
			t.Errorf("without %s: %v", dialable[i], err)
		}
	}
	if again := otherHashes(strings.Replace(hash, "w", "A", 1)); again != strings.Replace(hash, "w", "A", 1) {
		t.Errorf("what is no address became %s", again)
	}
}

// good is an outcome in which all is as it should be.
func good() (*outcome, []testCase) {
	works := testCase{Name: "WebSocket", Addr: "/a", Transport: "websocket"}
	pinned := testCase{Name: "pinned", Addr: "/b", Transport: "webtransport", Refused: true}
	one := load{
		Cases: []result{
			{testCase: works, OK: true, Peer: "p", Agent: "xnode/1", Dial: 1.5, Pings: []float64{1, 2, 3}, Echo: 4, Back: []float64{5, 6, 7}},
			{testCase: pinned, OK: true, Error: "handshake\nfailed"},
		},
		Node: look{Conns: []conn{{Peer: "p", Addr: "/c", Transport: "websocket", Agent: "js"}}, Others: map[string]float64{"tcp": 1, "quic": 2}},
	}
	two := one
	two.Cases = append([]result(nil), one.Cases...)
	two.Node.Conns = append([]conn(nil), one.Node.Conns...)
	return &outcome{Browser: "1.2", Loads: []load{one, two}, Left: look{Seconds: 9, Waited: []string{"webrtcdirect"}}}, []testCase{works, pinned}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		want  string
		spoil func(*outcome)
	}{
		{"", func(*outcome) {}},
		{"1 loads, want 2", func(o *outcome) { o.Loads = o.Loads[:1] }},
		{"load 2: no page", func(o *outcome) { o.Loads[1].Error = "no page" }},
		{"load 1: the node: 9 connections", func(o *outcome) { o.Loads[0].Node.Error = "9\nconnections\n" }},
		{"the node, tab closed: 1 left", func(o *outcome) { o.Left.Error = "1 left" }},
		{"load 2: pinned: it did not run", func(o *outcome) { o.Loads[1].Cases = o.Loads[1].Cases[:1] }},
		{"load 2: WebSocket: it did not run", func(o *outcome) { o.Loads[1].Cases[0].Addr = "/elsewhere" }},
		{"load 2: WebSocket: broken", func(o *outcome) { o.Loads[1].Cases[0].OK, o.Loads[1].Cases[0].Error = false, "broken" }},
		{"load 2: pinned: not refused", func(o *outcome) { o.Loads[1].Cases[1].OK, o.Loads[1].Cases[1].Error = false, "not refused" }},
		{`load 2: WebSocket: the agent is "go"`, func(o *outcome) { o.Loads[1].Cases[0].Agent = "go" }},
		{"load 2: WebSocket: the node has no connection with q", func(o *outcome) { o.Loads[1].Cases[0].Peer = "q" }},
		{"load 2: WebSocket: the node has it over tcp", func(o *outcome) { o.Loads[1].Node.Conns[0].Transport = "tcp" }},
	} {
		o, cases := good()
		c.spoil(o)
		err := o.check(cases, "xnode/1")
		if (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestPrint(t *testing.T) {
	o, _ := good()
	o.Loads[1].Cases[0] = result{testCase: o.Loads[1].Cases[0].testCase, Error: "broken"}
	o.Loads[1].Node.Error = "9 connections\n"
	var got strings.Builder
	if err := print(&got, o); err != nil {
		t.Fatal(err)
	}
	want := `Chromium 1.2; times in ms

load   case        result      dial   pings           echo 1 MiB   pings by xnode
1      WebSocket   ✔           1.5    1.0, 2.0, 3.0   4.0          5.0, 6.0, 7.0
1      pinned      ✔ refused                                       
2      WebSocket   ✘                                               
2      pinned      ✔ refused                                       

load 1, pinned: handshake failed
load 2, WebSocket: broken
load 2, pinned: handshake failed
load 1: the node has 1 connections after 0.0 s; it serves others: tcp 1.0 ms, quic 2.0 ms
   websocket from /c: js
load 2: the node: ✘ 9 connections
tab closed: the node has 0 connections after 9.0 s (before: webrtcdirect); it serves others: tcp 0.0 ms, quic 0.0 ms
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}
