// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bufio"
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
		fmt.Printf(`{"peer_id":%q,"addrs":["/x"],"delegated":"http://x"}`+"\n", name)
		for scan := bufio.NewScanner(os.Stdin); scan.Scan(); {
			fmt.Println(fakeDHT(name, strings.Fields(scan.Text())))
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
	case "rendezvous":
		fmt.Println(fakeRendezvous(name, os.Args[3:]))
	case "perf":
		fmt.Println(`{"upload_bytes":1048576,"download_bytes":1048576}`)
	}
	return 0
}

// fakeRendezvous answers as if all had registered that do. Clients of the kind of
// peer-g see everybody everywhere.
func fakeRendezvous(name string, words []string) string {
	if words[1] == "register" {
		return `{"ttl":7200}`
	}
	seed := map[string]int{"one": 71, "two": 72}[words[2]]
	if name == "peer-g" {
		seed = 71
	}
	if seed == 0 {
		return `{"peers":[]}`
	}
	return fmt.Sprintf(`{"peers":[{"peer":%q,"addrs":["/x"]}]}`, identities[seed])
}

// fakeDHT answers as if all the network knew everything. Clients of the kind of
// peer-g find no providers.
func fakeDHT(name string, words []string) string {
	last := words[len(words)-1]
	switch words[1] {
	case "find-peer", "get-pk":
		return fmt.Sprintf(`{"peer":%q,"addrs":["/x/p2p/y"]}`, last)
	case "get-name":
		if name == "peer-g" {
			return `{"value":"/ipfs/elsewhere"}`
		}
		return `{"value":"/ipfs/` + pageID + `"}`
	case "get":
		if id, ok := strings.CutPrefix(last, "/example/peer-"); ok {
			return fmt.Sprintf(`{"value":%q}`, id)
		}
		return `{"value":"hello"}`
	case "find-providers":
		if name == "peer-g" {
			return `{"ok":false,"error":"not found"}`
		}
		if id, ok := strings.CutPrefix(last, "pie-of-"); ok {
			name = id
		}
		return fmt.Sprintf(`{"providers":[{"peer":"z"},{"peer":%q,"addrs":["/x"]}]}`, name)
	}
	return `{"ok":true}`
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

func TestDHT(t *testing.T) {
	var all []peers.Peer
	for _, name := range []string{"e", "f", "g", "h"} {
		p := fake(t, name)
		p.Stacks, p.DHT = nil, []string{"/x"}
		if name == "h" {
			p.DHT = []string{"/y"}
		}
		all = append(all, p)
	}
	rows := plan(all)
	m := matrix{parallel: 2, log: t.Output()}
	m.run(t.Context(), rows)
	var got []string
	for _, r := range rows {
		line := r.Client + "→" + r.Server + " " + r.over()
		for _, c := range r.Cells {
			if line += " " + c.Operation; !c.OK {
				line += ": " + c.Error
			}
		}
		got = append(got, line)
	}
	const lost = ": g: find-providers "
	want := []string{
		"e→e dht find-peer value public-key providers",
		"f→e dht find-peer value public-key providers",
		"e→f dht find-peer value public-key providers",
		"g→e dht find-peer value public-key providers" + lost + "cake: not found",
		"e→g dht find-peer value public-key providers",
	}
	for _, pair := range []string{"e→e", "e→f", "e→g", "f→e", "f→f", "f→g", "g→e", "g→f", "g→g"} {
		line := pair + " dht of 3 e, 3 f, 3 g find-peer value providers"
		if server, ok := strings.CutPrefix(pair, "g→"); ok {
			line += lost + "pie-of-peer-" + server + ": not found"
		}
		want = append(want, line)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDelegated(t *testing.T) {
	var all []peers.Peer
	for _, name := range []string{"e", "f", "g"} {
		p := fake(t, name)
		p.Stacks, p.DHT, p.ServesDelegated, p.AsksDelegated = nil, []string{"/x"}, name != "g", name != "f"
		all = append(all, p)
	}
	rows := filter{"suite": {suiteDelegated}}.choose(plan(all))
	m := matrix{parallel: 2, log: t.Output()}
	m.run(t.Context(), rows)
	var got []string
	for _, r := range rows {
		line := r.Client + "→" + r.Server
		for _, c := range r.Cells {
			if line += " " + c.Operation; !c.OK {
				line += ": " + c.Error
			}
		}
		got = append(got, line)
	}
	want := []string{
		"e→e find-peer providers get-name put-name",
		"e→f find-peer providers get-name put-name",
		"g→e find-peer providers: g: find-providers cake: not found get-name: the name stands for \"/ipfs/elsewhere\", want \"/ipfs/" + pageID + "\" put-name",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRendezvous(t *testing.T) {
	var all []peers.Peer
	for _, name := range []string{"e", "f", "g", "h"} {
		p := fake(t, name)
		p.Stacks, p.DHT, p.Rendezvous = nil, nil, name != "h"
		all = append(all, p)
	}
	rows := filter{"suite": {suiteRendezvous}}.choose(plan(all))
	m := matrix{parallel: 2, timeout: time.Minute, log: t.Output()}
	m.run(t.Context(), rows)
	var got []string
	for _, r := range rows {
		got = append(got, r.Client+"→"+r.Server+" "+r.mark())
	}
	want := []string{"e→e ✔", "f→e ✔", "e→f ✔", "g→e ✘ discover xnode,another namespace is empty", "e→g ✔"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPrint(t *testing.T) {
	tcp := peers.Stack{Transport: "tcp", Security: "noise", Muxer: "yamux"}
	quic := peers.Stack{Transport: "quic", Security: "tls", Muxer: "quic"}
	ok := cell{OK: true}
	never := func(operation string, passes bool) cell {
		return cell{Operation: operation, Known: "It never could.", Error: "no such command", OK: passes}
	}
	rows := []*row{
		{Server: "xnode", Client: "go", Stack: tcp, Cells: []cell{ok, {Operation: "identify", Error: "gone"}, never("echo", false), ok}},
		{Server: "xnode", Client: "go", Stack: quic, Cells: []cell{ok, ok, ok, ok}},
		{Server: "go", Client: "xnode", Stack: tcp, Cells: []cell{ok, ok, never("echo", true), ok}},
		{Server: "js", Client: "xnode", Stack: quic, Cells: []cell{never("ping", false), never("echo", false)}},
		{Server: "xnode", Client: "js", Stack: quic, Cells: []cell{{Operation: "ping", Error: "gone"}}},
	}
	var b strings.Builder
	if err := print(&b, rows); err != nil {
		t.Fatal(err)
	}
	want := `dials→serves      go→xnode            xnode→go   xnode→js   js→xnode
tcp+noise+yamux   ✘ identify – echo   ✘ echo                
quic              ✔                              –          ✘

5 rows: 9 cells passed, 3 failed, 3 that a peer cannot do

go dials xnode, tcp+noise+yamux, identify
js dials xnode, quic, ping
  gone

go dials xnode, tcp+noise+yamux, echo
xnode dials js, quic, ping
xnode dials js, quic, echo
  cannot: It never could.

xnode dials go, tcp+noise+yamux, echo
  passes, but is listed as impossible: It never could.
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
	for i, want := range []bool{true, false, true, false, true} {
		if rows[i].failed() != want {
			t.Errorf("row %d: failed is %v", i, !want)
		}
	}
}

func TestFilter(t *testing.T) {
	rows := plan(peers.All("/checkout"))
	for _, c := range []struct {
		only string
		want []string // transports, servers
	}{
		{"transport=quic,server=py", []string{"xnode→py quic"}},
		{"transport=webtransport,transport=quic,server=xnode,client=go", []string{"go→xnode quic", "go→xnode webtransport"}},
		{"transport=pigeon", nil},
	} {
		var f filter
		if err := f.Set(c.only); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range f.choose(rows) {
			got = append(got, r.Client+"→"+r.Server+" "+r.Stack.Transport)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.only, diff)
		}
	}
	for _, bad := range []string{"", "tcp", "colour=red"} {
		if err := new(filter).Set(bad); err == nil {
			t.Errorf("%q is good", bad)
		}
	}
	if all := (filter)(nil).choose(rows); len(all) != len(rows) {
		t.Errorf("no filter leaves %d of %d", len(all), len(rows))
	}
}

func TestChecks(t *testing.T) {
	r := &row{Server: peers.Xnode, Stack: peers.Stack{Transport: "tcp", Security: "noise", Muxer: "yamux"}}
	for _, op := range operations(suiteStack) {
		if err := op.check(r, map[string]any{}); err == nil {
			t.Errorf("%s: an empty answer is good", op.name)
		}
	}
}

// A verdict is of all addresses that count, and a wrong one is one at once.
func TestVerdict(t *testing.T) {
	v := func(node string, pairs ...string) (v verdict) {
		v.Reachability = node
		for i := 0; i < len(pairs); i += 2 {
			v.Addrs = append(v.Addrs, struct{ Addr, Reachability string }{"/ip4/" + pairs[i] + "/tcp/4001", pairs[i+1]})
		}
		return v
	}
	public1, public2 := situations("v1")[0], situations("v2")[2]
	private := situations("v2")[1]
	for _, c := range []struct {
		name string
		v    verdict
		s    situation
		own  []string
		done bool
		err  bool
	}{
		{"of the node", v("public"), public1, []string{"1.2.3.1"}, true, false},
		{"none of the node", v("unknown", "1.2.3.1", "public"), public1, []string{"1.2.3.1"}, false, false},
		{"wrong of the node", v("private"), public1, []string{"1.2.3.1"}, false, true},
		{"of both", v("unknown", "1.2.3.1", "public", "1.2.4.1", "public"), public2, []string{"1.2.3.1", "1.2.4.1"}, true, false},
		{"of one", v("public", "1.2.3.1", "public"), public2, []string{"1.2.3.1", "1.2.4.1"}, false, false},
		{"of another", v("public", "1.2.3.10", "public"), private, []string{"1.2.3.1"}, false, false},
		{"wrong of one", v("public", "1.2.3.1", "public", "1.2.4.1", "private"), public2, []string{"1.2.3.1", "1.2.4.1"}, false, true},
		{"private", v("public", "1.2.3.1", "private", "127.0.0.1", "public"), private, []string{"1.2.3.1"}, true, false},
	} {
		if done, err := c.v.check(c.s, c.own); done != c.done || (err != nil) != c.err {
			t.Errorf("%s: %t, %v", c.name, done, err)
		}
	}
}

func TestAutoNATRows(t *testing.T) {
	a, b, c := fake(t, "a"), fake(t, "b"), fake(t, "c")
	a.AutoNAT, b.AutoNAT = []string{"v1", "v2"}, []string{"v1"}
	var got []string
	for _, r := range autonatRows([]peers.Peer{a, b, c}) {
		got = append(got, r.Client+"-"+r.Server)
	}
	if diff := cmp.Diff([]string{"a-a", "b-a", "a-b"}, got); diff != "" {
		t.Error(diff)
	}
}
