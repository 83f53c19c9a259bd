// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
)

// serve accepts connections and has each handled.
func serve(t *testing.T, handle func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				handle(c)
			})
		}
	})
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return "/ip4/127.0.0.1/tcp/" + port
}

// silent says nothing until the other side has gone.
func silent(c net.Conn) { io.Copy(io.Discard, c) }

// refusing is a peer that speaks another security protocol: it answers every
// proposal with "na".
func refusing(c net.Conn) {
	io.WriteString(c, "\x13/multistream/1.0.0\n\x03na\n\x03na\n")
	silent(c)
}

// web is a web server.
func web(c net.Conn) {
	c.Read(make([]byte, 1))
	io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
	silent(c)
}

func hangup(c net.Conn) { c.Read(make([]byte, 1)) }

// closed is an address at which nobody listens.
func closed(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return "/ip4/127.0.0.1/tcp/" + port
}

const nobody = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"

func TestTraceDial(t *testing.T) {
	there, n := newNode(t), newNode(t)
	p := there.run("-c", there.write("node.json", local("")))
	base := strings.TrimSuffix(p.addrs[0], "/p2p/"+p.id)
	for name, test := range map[string]struct {
		target  string
		code    string
		says    []string
		connect bool
	}{
		"connected":    {p.addrs[0], "connected", []string{" OK    dial tcp ", "handshake /noise", " identify  agent xnode/"}, true},
		"closed port":  {closed(t) + "/p2p/" + nobody, "refused", []string{"FAIL  connection refused", "nothing listens there", "hint      start the node there"}, false},
		"wrong peer":   {base + "/p2p/" + nobody, "wrong_peer", []string{"another peer answers at " + base + ": " + p.id, "use " + p.addrs[0]}, false},
		"no security":  {serve(t, refusing) + "/p2p/" + nobody, "no_security", []string{"none of this node's security protocols", "/noise, /tls/1.0.0", "such as tls"}, false},
		"unresolvable": {"/dns4/nosuch.invalid/tcp/4001/p2p/" + nobody, "", []string{" resolve  /dns4/nosuch.invalid/tcp/4001  → FAIL", "the name in /dns4/nosuch.invalid/tcp/4001"}, false},
		"silent":       {serve(t, silent) + "/p2p/" + nobody, "silent", []string{"accepts connections, but whoever listens there does not answer"}, false},
		"web server":   {serve(t, web) + "/p2p/" + nobody, "not_libp2p", []string{"does not speak libp2p", "HTTP/1.1 400"}, false},
		"hangs up":     {serve(t, hangup) + "/p2p/" + nobody, "closed", []string{"closed the connection during the handshake"}, false},
		"no transport": {"/ip4/127.0.0.1/udp/1/quic/p2p/" + nobody, "no_transport", []string{" skip  /ip4/127.0.0.1/udp/1/quic", "list-modules"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := n.xnode("", "trace", "dial", "--timeout", "5s", test.target)
			if (out.code == 0) != test.connect || strings.Contains(out.stderr, "error") {
				t.Errorf("%+v", out)
			}
			for _, text := range append(test.says, "dial 12D3KooW", "verdict: ") {
				if !strings.Contains(out.stdout, text) {
					t.Errorf("no %q in\n%s", text, out.stdout)
				}
			}
			out = n.xnode("", "trace", "dial", "--json", "--timeout", "5s", test.target)
			var story struct {
				Target, Peer, Code, Verdict, Hint string
				Connected                         bool
				Resolved, Attempts                []map[string]any
			}
			if err := json.Unmarshal([]byte(out.stdout), &story); err != nil {
				t.Fatalf("%v: %+v", err, out)
			}
			if story.Code != test.code && test.code != "" || story.Connected != test.connect || story.Target != test.target || len(story.Attempts)+len(story.Resolved) == 0 {
				t.Errorf("%+v", story)
			}
		})
	}
	t.Cleanup(func() {
		if _, err := os.Stat(n.data()); err == nil {
			t.Error("a command without a node made its data folder")
		}
	})
}

func TestWithoutDaemon(t *testing.T) {
	there, n := newNode(t), newNode(t)
	p := there.run("-c", there.write("node.json", local("")))
	if out := n.must("ping", "-n", "2", "-i", "1ms", p.addrs[0]); strings.Count(out, "Pong received") != 2 {
		t.Errorf("ping: %q", out)
	}
	if out := n.must("ping", "-n", "1", "--json", p.addrs[0]); !strings.HasPrefix(out, `{"peer":"`+p.id+`","seq":1,"rtt_ns":`) {
		t.Errorf("ping --json: %q", out)
	}
	if out := n.must("id", p.addrs[0]); !strings.Contains(out, p.id) || !strings.Contains(out, "/ipfs/ping/1.0.0") {
		t.Errorf("id: %q", out)
	}
	if out := n.xnode("", "ping", p.id); out.code != 1 || !strings.Contains(out.stderr, "no node is running") {
		t.Errorf("ping of an ID: %+v", out)
	}
	out := n.xnode("", "id", strings.TrimSuffix(p.addrs[0], "/p2p/"+p.id))
	if out.code != 1 || !strings.Contains(out.stderr, "lacks the peer ID: write ") || !strings.Contains(out.stderr, "xnode id") {
		t.Errorf("without an ID: %+v", out)
	}
	// What takes long is said on standard error, and until it has happened.
	both := new(bytes.Buffer)
	slow := n.command("ping", "-n", "2", "-i", "1100ms", p.addrs[0])
	slow.Stdout, slow.Stderr = both, both
	if err := slow.Run(); err != nil {
		t.Errorf("slow ping: %v", err)
	}
	if _, after, _ := strings.Cut(both.String(), "Pong received"); strings.Contains(after, "connecting to") {
		t.Errorf("slow ping: %s", both)
	}
	out = n.xnode("", "ping", "--timeout", "3s", serve(t, silent)+"/p2p/"+nobody)
	if out.code != 1 || !strings.Contains(out.stderr, "connecting to /ip4/") || strings.Contains(out.stdout, "connecting") {
		t.Errorf("silent host: %+v", out)
	}
}
