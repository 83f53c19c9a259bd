// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// The first steps of a newcomer: a node, and another one that talks to it.
func TestRunWithoutFile(t *testing.T) {
	a, b := newNode(t), newNode(t)
	first := a.run()
	if !strings.HasPrefix(first.addrs[0], "/ip4/") {
		t.Errorf("address %s", first.addrs[0])
	}
	second := b.run()
	if out := b.must("connect", first.addrs[0]); out != "connect "+first.id+" success\n" {
		t.Errorf("connect: %q", out)
	}
	out := b.must("ping", "-n", "2", "-i", "1ms", first.id)
	if strings.Count(out, "Pong received: time=") != 2 || !strings.HasPrefix(out, "PING "+first.id+".\n") || !strings.Contains(out, "\nAverage latency: ") {
		t.Errorf("ping: %q", out)
	}
	out = a.must("peers", "--direction")
	if !strings.HasSuffix(out, "/p2p/"+second.id+" inbound\n") || strings.Count(out, "\n") != 1 {
		t.Errorf("peers: %q", out)
	}
	first.signal(syscall.SIGTERM)
	if code := first.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if left, err := filepath.Glob(filepath.Join(a.data(), "*")); err != nil || len(left) != 3 {
		t.Errorf("left: %v, want the key, the saved configuration and the store", left)
	}
	for _, folder := range []string{".local", ".config", "caddy"} {
		if _, err := os.Stat(filepath.Join(a.dir, folder)); err == nil {
			t.Errorf("made a folder %s", folder)
		}
	}
}

func TestAskTheNode(t *testing.T) {
	a, b := newNode(t), newNode(t)
	p := a.run("-c", a.write("a.json", local("")))
	q := b.run("-c", b.write("b.json", local("")))
	a.must("swarm", "connect", q.addrs[0])

	var id struct {
		Peer, CID, Agent string
		KeyType          string `json:"key_type"`
		Addrs, Protocols []string
	}
	parse := func(text string, into any) {
		t.Helper()
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Errorf("%v: %s", err, text)
		}
	}
	parse(a.must("id", "--json"), &id)
	if id.Peer != p.id || !strings.HasPrefix(id.CID, "k51") || !strings.HasPrefix(id.Agent, "xnode/") || id.KeyType != "Ed25519" || len(id.Addrs) != 1 || id.Addrs[0] != p.addrs[0] {
		t.Errorf("%+v", id)
	}
	parse(a.must("id", "--json", q.id), &id)
	if id.Peer != q.id || id.Agent == "" || !strings.Contains(strings.Join(id.Protocols, " "), "/ipfs/ping/1.0.0") {
		t.Errorf("%+v", id)
	}
	var peers []struct {
		Peer, Addr, Direction, Security, Muxer, Transport string
		Streams                                           []struct{ Protocol, Direction string }
	}
	parse(a.must("swarm", "peers", "--json"), &peers)
	if len(peers) != 1 || peers[0].Peer != q.id || peers[0].Direction != "outbound" || peers[0].Security != "/noise" ||
		peers[0].Muxer != "/yamux/1.0.0" || peers[0].Transport != "tcp" || peers[0].Addr+"/p2p/"+q.id != q.addrs[0] {
		t.Errorf("%+v", peers)
	}
	if out := a.must("addrs", "local"); out != p.addrs[0]+"\n" {
		t.Errorf("addrs local: %q", out)
	}
	if out := a.must("addrs", "listen"); out+"" != strings.TrimSuffix(p.addrs[0], "/p2p/"+p.id)+"\n" {
		t.Errorf("addrs listen: %q", out)
	}
	if out := a.must("swarm", "addrs"); !strings.HasPrefix(out, q.id+" (1)\n\t/ip4/127.0.0.1/tcp/") {
		t.Errorf("addrs: %q", out)
	}
	if out := a.must("limits"); !strings.Contains(out, "outbound connections  1") {
		t.Errorf("limits: %q", out)
	}
	if out := a.must("peers", "-v"); !strings.Contains(out, " outbound /noise /yamux/1.0.0\n  agent: ") {
		t.Errorf("peers -v: %q", out)
	}
	out := a.must("ping", "--json", "-n", "3", "-i", "0", q.id)
	for i, line := range strings.Split(strings.TrimSpace(out), "\n") {
		var pong struct{ Seq, RTT_ns int64 }
		parse(line, &pong)
		if pong.Seq != int64(i+1) || pong.RTT_ns <= 0 {
			t.Errorf("%s", line)
		}
	}
	if out := a.must("trace", "dial", q.id); !strings.Contains(out, "CONNECTED, connected already") {
		t.Errorf("trace: %q", out)
	}
	if out := a.must("disconnect", q.id); out != "disconnect "+q.id+" success\n" {
		t.Errorf("disconnect: %q", out)
	}
	if out := a.xnode("", "disconnect", q.id); out.code != 1 || !strings.Contains(out.stderr, "not connected") {
		t.Errorf("disconnect again: %+v", out)
	}
	if out := a.must("trace", "dial", q.id); !strings.Contains(out, "verdict: CONNECTED, connected at /ip4/127.0.0.1/tcp/") {
		t.Errorf("trace: %q", out)
	}
	if out := a.xnode(q.addrs[0]+"\n\n", "connect", "-"); out.code != 0 || out.stdout != "connect "+q.id+" success\n" {
		t.Errorf("connect -: %+v", out)
	}
	if out := a.xnode("", "connect", "/ip4/127.0.0.1/tcp/1"); out.code != 1 || !strings.Contains(out.stderr, "lacks the peer ID") {
		t.Errorf("connect without ID: %+v", out)
	}
}

func TestNoNode(t *testing.T) {
	n := newNode(t)
	id := "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
	for _, args := range [][]string{{"id"}, {"peers"}, {"addrs"}, {"stop"}, {"reload"}, {"ping", id}, {"connect", id}, {"limits"}, {"trace", "dial", id}} {
		if out := n.xnode("", args...); out.code != 1 || !strings.Contains(out.stderr, "no node is running at unix/"+n.data()+"/admin.sock;") {
			t.Errorf("%v: %+v", args, out)
		}
	}
	if out := n.xnode("", "id", "--admin", "127.0.0.1:1"); !strings.Contains(out.stderr, "no node is running at 127.0.0.1:1") {
		t.Errorf("%+v", out)
	}
}

func TestOneNodeForOneFolder(t *testing.T) {
	n := newNode(t)
	p := n.run()
	if out := n.xnode("", "run"); out.code != 1 || !strings.Contains(out.stderr, "a node is running at ") || !strings.Contains(out.stderr, "set XNODE_DATA") {
		t.Errorf("%+v", out)
	}
	if out := n.must("id"); !strings.Contains(out, p.id) {
		t.Error("the first node lost its endpoint")
	}
}

func TestPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", taken.Addr().(*net.TCPAddr).Port)
	n := newNode(t)
	path := n.write("node.json", inNode("\"listen\": [\"/ip4/127.0.0.1/tcp/0\",\n\""+addr+"\"]"))
	out := n.xnode("", "run", "-c", path)
	want := path + ":5:1: /apps/xnode/listen/1: "
	if out.code != 1 || out.stdout != "" || !strings.Contains(out.stderr, want) || !strings.Contains(out.stderr, "address already in use; stop the program that uses it") {
		t.Errorf("%+v\nwant %s", out, want)
	}
}

func TestKeyFileForOthers(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no permission bits")
	}
	n := newNode(t)
	n.must("key", "gen")
	key := filepath.Join(n.data(), "identity.key")
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	path := n.write("node.json", local(`"identity": {"module": "file"}`))
	for _, args := range [][]string{{"run", "-c", path}, {"validate", "-c", path}, {"run"}, {"key", "show"}} {
		out := n.xnode("", args...)
		if out.code != 1 || !strings.Contains(out.stderr, "others can read it") || !strings.Contains(out.stderr, "run chmod 600 "+key) {
			t.Errorf("%v: %+v", args, out)
		}
	}
}

func TestSignals(t *testing.T) {
	stubborn := local(`"protocols": {"faulty": {"fail": "close"}}`)
	for name, test := range map[string]struct {
		document string
		signals  []syscall.Signal
		code     int
	}{
		"interrupt":           {local(""), []syscall.Signal{syscall.SIGINT}, 0},
		"terminate":           {local(""), []syscall.Signal{syscall.SIGTERM}, 0},
		"quit":                {local(""), []syscall.Signal{syscall.SIGQUIT}, 2},
		"interrupt twice":     {stubborn, []syscall.Signal{syscall.SIGINT, syscall.SIGINT}, 2},
		"terminate twice":     {stubborn, []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM}, 2},
		"first one, then two": {stubborn, []syscall.Signal{syscall.SIGTERM, syscall.SIGINT}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			p := n.run("-c", n.write("node.json", test.document))
			for i, s := range test.signals {
				if i > 0 {
					p.line(p.stderr, "faulty: closing")
				}
				p.signal(s)
			}
			if code := p.wait(); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
		})
	}
}

func TestFailedQuit(t *testing.T) {
	n := newNode(t)
	pid := filepath.Join(n.dir, "pid")
	p := n.run("-c", n.write("node.json", local("")), "--pidfile", pid)
	text, err := os.ReadFile(pid)
	if err != nil || strings.TrimSpace(string(text)) != fmt.Sprint(p.cmd.Process.Pid) {
		t.Errorf("pidfile %q, %v", text, err)
	}
	if err := os.Remove(pid); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 3 {
		t.Errorf("exit code %d, want 3: the pidfile could not be removed", code)
	}
}

func TestHangUpIsIgnored(t *testing.T) {
	n := newNode(t)
	p := n.run("-c", n.write("node.json", local("")))
	p.signal(syscall.SIGHUP)
	p.line(p.stderr, "SIGHUP")
	if out := n.must("id"); !strings.Contains(out, p.id) {
		t.Errorf("%q", out)
	}
}

func TestStartAndStop(t *testing.T) {
	n := newNode(t)
	n.env = []string{"XNODE_TEST_LISTEN=/ip4/127.0.0.1/tcp/0"}
	env := n.write("env", "# comment\nexport XNODE_TEST_MORE='[\"x\"]'\n")
	path := n.write("node.json", inNode(`"listen": ["{env.XNODE_TEST_LISTEN}"]`))
	out := n.must("start", "-c", path, "--envfile", env)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 2 || !strings.HasSuffix(lines[1], "/p2p/"+lines[0]) {
		t.Fatalf("start printed %q", out)
	}
	t.Cleanup(func() { n.xnode("", "stop") })
	if out := n.must("id"); !strings.Contains(out, lines[0]) {
		t.Errorf("id: %q", out)
	}
	if out := n.xnode("", "start"); out.code != 1 || !strings.Contains(out.stderr, "a node is running") {
		t.Errorf("start again: %+v", out)
	}
	if _, err := os.Stat(filepath.Join(n.data(), "xnode.log.1")); err == nil {
		t.Error("a start that was refused took the log of the running node away")
	}
	if out := n.xnode("", "stop"); out.code != 0 || out.stdout+out.stderr != "" {
		t.Errorf("stop: %+v", out)
	}
	if out := n.xnode("", "stop"); out.code != 1 || !strings.Contains(out.stderr, "no node is running") {
		t.Errorf("stop again: %+v", out)
	}
	bad := n.write("bad.json", inNode(`"lissten": []`))
	if out := n.xnode("", "start", "-c", bad); out.code != 1 || !strings.HasPrefix(out.stderr, bad+":4:7: /apps/xnode/lissten: ") {
		t.Errorf("start with a mistake: %+v", out)
	}
	broken := local(`"protocols": {"faulty": {"fail": "start"}}`)
	if out := n.xnode(broken, "start", "-c", "-"); out.code != 1 || !strings.Contains(out.stderr, "(standard input):4:") {
		t.Errorf("start that fails: %+v", out)
	}
	if out := n.xnode("", "run", "--envfile", n.write("env", "no")); out.code != 1 || !strings.Contains(out.stderr, "env:1: want NAME=VALUE") {
		t.Errorf("bad envfile: %+v", out)
	}
}

// A service manager is told when the node runs and when it stops.
func TestNotify(t *testing.T) {
	n := newNode(t)
	path := filepath.Join(n.dir, "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Skipf("no such sockets here: %v", err)
	}
	defer manager.Close()
	n.env = []string{"NOTIFY_SOCKET=" + path}
	p := n.run("-c", n.write("node.json", local("")))
	p.signal(syscall.SIGTERM)
	p.wait()
	var told strings.Builder
	for !strings.Contains(told.String(), "STOPPING=1") {
		b := make([]byte, 4096)
		size, err := manager.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		told.Write(append(b[:size], '\n'))
	}
	ready, stopping := strings.Index(told.String(), "READY=1"), strings.Index(told.String(), "STOPPING=1")
	if ready < 0 || ready > stopping {
		t.Errorf("told %q", told.String())
	}
}
