// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build unix

package xnodecmd_test

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
)

// placed is a document of a node that listens on a port that is free now: others
// are told of it before it is there, or while it is away.
func placed(t *testing.T, keys string) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if keys != "" {
		keys = ", " + keys
	}
	return inNode(fmt.Sprintf(`"listen": ["/ip4/127.0.0.1/tcp/%d"]`, l.Addr().(*net.TCPAddr).Port) + keys)
}

// What has been registered at a point is there after its restart, and after a crash,
// though who has registered is gone.
func TestRegistrationsSurviveARestart(t *testing.T) {
	point, member := newNode(t), newNode(t)
	config := point.write("node.json", placed(t, `"discovery": {"rendezvous": {"server": {}}}`))
	p := point.run("-c", config)
	meet := func(keys string) string {
		return local(fmt.Sprintf(`"discovery": {"rendezvous": {"points": [%q], "interval": "1s", "connect": 0, %s}}`, p.addrs[0], keys))
	}
	m := member.run("-c", member.write("node.json", meet(`"advertise": ["club"]`)))
	seeker := newNode(t)
	seeker.run("-c", seeker.write("node.json", meet(`"find": ["club"]`)))
	seeker.soon("before", has(m.addrs[0]+" rendezvous"), "peers", "--discovered")
	m.signal(syscall.SIGKILL) // else it would take back what it has registered
	m.wait()
	for name, end := range map[string]syscall.Signal{"restart": syscall.SIGTERM, "crash": syscall.SIGKILL} {
		p.signal(end)
		p.wait()
		p = point.run("-c", config)
		late := newNode(t)
		q := late.run("-c", late.write("node.json", meet(`"find": ["club"]`)))
		late.soon("after a "+name, has(m.addrs[0]+" rendezvous"), "peers", "--discovered")
		q.signal(syscall.SIGTERM)
		q.wait()
	}
}

// connectedTo tells whether the answer of peers --json names a peer.
func connectedTo(id string) func(string) bool {
	return func(answer string) bool {
		var list []struct{ Peer string }
		if json.Unmarshal([]byte(answer), &list) != nil {
			return false
		}
		for _, p := range list {
			if p.Peer == id {
				return true
			}
		}
		return false
	}
}

// A node that is there before its bootstrap peer connects once that comes, and again
// when it comes back; another one that a reload names takes its place.
func TestBootstrapPeersComeAndChange(t *testing.T) {
	first, second, n := newNode(t), newNode(t), newNode(t)
	firstConfig := first.write("node.json", placed(t, ""))
	p := first.run("-c", firstConfig) // to know who it is
	p.signal(syscall.SIGTERM)
	p.wait()
	boot := func(addr string) string {
		return local(fmt.Sprintf(`"discovery": {"bootstrap": {"peers": [%q]}}`, addr))
	}
	path := n.write("node.json", boot(p.addrs[0]))
	n.run("-c", path)
	n.soon("nobody is there yet", has(p.addrs[0]+" bootstrap"), "peers", "--discovered")
	if connectedTo(p.id)(n.must("peers", "--json")) {
		t.Fatal("connected with nobody")
	}
	for range 2 {
		p = first.run("-c", firstConfig)
		n.soon("the peer has come", connectedTo(p.id), "peers", "--json")
		p.signal(syscall.SIGKILL)
		p.wait()
	}
	q := second.run("-c", second.write("node.json", local("")))
	n.write("node.json", boot(q.addrs[0]))
	n.must("reload", "-c", path)
	n.soon("another peer is named", connectedTo(q.id), "peers", "--json")
	if out := n.must("peers", "--discovered"); strings.Contains(out, p.id) || !strings.Contains(out, q.addrs[0]+" bootstrap") {
		t.Errorf("after the reload: %q", out)
	}
}
