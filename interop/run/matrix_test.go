// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xnode-p2p/xnode/interop/internal/peers"
)

// TestMain is a peer if it is asked to be one: its first argument is its name.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && strings.HasPrefix(os.Args[1], "peer-") {
		os.Exit(fakePeer(os.Args[1], os.Args[2]))
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // for those peers: a second each otherwise
	os.Exit(m.Run())
}

// fakePeer plays a peer without any network. peer-c cannot echo, peer-d does
// not start.
func fakePeer(name, command string) int {
	switch command {
	case "listen":
		if name == "peer-d" {
			fmt.Println(`{"ok":false,"error":"no such port"}`)
			return 1
		}
		fmt.Println(`{"peer_id":"x","addrs":["/x"]}`)
		buf := make([]byte, 1)
		for _, err := os.Stdin.Read(buf); err == nil; _, err = os.Stdin.Read(buf) {
		}
	case "ping":
		fmt.Println(`{"rtt_median_ms":0.1,"transport":"tcp","security":"noise","muxer":"yamux"}`)
	case "identify":
		fmt.Println(`{"agent":"a","protocol_version":"v","observed_addr":"/o","listen_addrs":["/l"],"signed_peer_record":true,` +
			`"protocols":["/ipfs/id/1.0.0","/ipfs/ping/1.0.0","/perf/1.0.0","/echo/1.0.0"]}`)
	case "echo":
		if name == "peer-c" {
			fmt.Println(`{"ok":false,"error":"bytes\tgot lost"}`)
			return 1
		}
		fmt.Println(`{"ok":true}`)
	case "perf":
		fmt.Println(`{"upload_bytes":1048576,"download_bytes":1048576}`)
	}
	return 0
}

func fake(t *testing.T, name string) peers.Peer {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return peers.Peer{Name: name, Argv: []string{exe, "peer-" + name}, Stacks: []peers.Stack{{Transport: "tcp", Security: "noise", Muxer: "yamux"}}}
}

func TestMatrix(t *testing.T) {
	rows := plan([]peers.Peer{fake(t, "a"), fake(t, "c"), fake(t, "d")})
	m := matrix{timeout: time.Minute, parallel: 2, log: t.Output()}
	m.run(t.Context(), rows)
	var got []string
	for _, r := range rows {
		line := r.Server + "-" + r.Client
		for _, c := range r.Cells {
			if c.OK {
				line += " " + c.Operation
			} else {
				line += " !" + c.Error
			}
		}
		got = append(got, line)
	}
	const all = " ping identify echo perf"
	down := strings.Repeat(" !server: start: no such port\nexit status 1", 4)
	want := []string{
		"a-a" + all, "a-c ping identify !bytes\tgot lost perf", "c-a" + all, "a-d" + all, "d-a" + down,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPrint(t *testing.T) {
	ok := cell{OK: true}
	rows := []*row{
		{Server: "xnode", Client: "go", Stack: peers.Stack{Transport: "tcp", Security: "noise", Muxer: "yamux"}, Cells: []cell{
			ok, {Operation: "identify", Error: "a reason\tthat is a good deal longer than the cell in which it stands"},
			{Operation: "echo", Known: "It never could.", Error: "no such command"}, ok,
		}},
		{Server: "go", Client: "xnode", Stack: peers.Stack{Transport: "ws", Security: "tls", Muxer: "yamux"}, Cells: []cell{
			ok, ok, {Operation: "echo", OK: true, Known: "It never could."}, ok,
		}},
	}
	var b strings.Builder
	if err := print(&b, rows); err != nil {
		t.Fatal(err)
	}
	want := `server   client   stack             ping   identify                                             echo           perf
xnode    go       tcp+noise+yamux   ✔      ✘ a reason that is a good deal longer than the ce…   – cannot       ✔
go       xnode    ws+tls+yamux      ✔      ✔                                                    ✘ passes now   ✔

5 passed, 2 failed, 1 that a peer cannot do

xnode serves go, tcp+noise+yamux, identify: a reason	that is a good deal longer than the cell in which it stands

xnode serves go, tcp+noise+yamux, echo: It never could. (no such command)

go serves xnode, ws+tls+yamux, echo: passes, but is listed as impossible: It never could.
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
	if !rows[0].failed() || !rows[1].failed() {
		t.Error("a failure does not count")
	}
}

func TestChecks(t *testing.T) {
	r := &row{Server: peers.Xnode, Stack: peers.Stack{Transport: "tcp", Security: "noise", Muxer: "yamux"}}
	for _, op := range operations() {
		if err := op.check(r, map[string]any{}); err == nil {
			t.Errorf("%s: an empty answer is good", op.name)
		}
	}
}
