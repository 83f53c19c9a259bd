// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build linux

package xnodecmd_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
)

// freePort returns a port that is free for TCP and UDP.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		tcp, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := tcp.Addr().(*net.TCPAddr).Port
		udp, err := net.ListenPacket("udp4", fmt.Sprintf("127.0.0.1:%d", port))
		tcp.Close()
		if err == nil {
			udp.Close()
			return port
		}
	}
	t.Fatal("no port is free for both")
	return 0
}

// sharing is a document of a node whose transports share two ports.
func sharing(port int, addrs []string, transports string) string {
	var listen []string
	for _, a := range addrs {
		listen = append(listen, fmt.Sprintf("%q", "/ip4/127.0.0.1/"+strings.Replace(a, "PORT", fmt.Sprint(port), 1)))
	}
	return inNode(fmt.Sprintf(`"listen": [%s], "transports": {%s}, "security": [{"module": "noise"}, {"module": "tls"}]`,
		strings.Join(listen, ", "), transports))
}

// everywhere is a document of a node that can dial all transports.
func everywhere() string {
	return inNode(`"listen": ["/ip4/127.0.0.1/tcp/0"], "transports": {"tcp": {}, "quic": {}, "websocket": {"insecure_skip_tls_verify": true}, "webtransport": {}, "webrtcdirect": {}}, "security": [{"module": "noise"}, {"module": "tls"}]`)
}

// address returns the node's address that contains text and ends in none of the
// parts that would make it another transport's.
func address(t *testing.T, addrs string, has string, not ...string) string {
	t.Helper()
	for _, a := range strings.Fields(addrs) {
		if strings.Contains(a, has) && !slices.ContainsFunc(not, func(n string) bool { return strings.Contains(a, n) }) {
			return a
		}
	}
	t.Fatalf("no address with %s, without %v, among\n%s", has, not, addrs)
	return ""
}

// One TCP port and one UDP port serve every transport, each in its turn and all
// at once.
func TestTransportsShareTwoPorts(t *testing.T) {
	n := newNode(t)
	port := freePort(t)
	p := n.run("-c", n.write("node.json", sharing(port,
		[]string{"tcp/PORT", "tcp/PORT/ws", "tcp/PORT/tls/ws", "udp/PORT/quic-v1", "udp/PORT/quic-v1/webtransport", "udp/PORT/webrtc-direct"},
		`"tcp": {}, "quic": {}, "websocket": {"certificate": {"module": "selfsigned"}}, "webtransport": {}, "webrtcdirect": {}`)))
	var ports []string
	for _, s := range sockets(t, p.cmd.Process.Pid) {
		if !strings.HasPrefix(s, "unix") {
			ports = append(ports, s)
		}
	}
	if want := []string{fmt.Sprintf("tcp %d", port), fmt.Sprintf("udp %d", port)}; !slices.Equal(ports, want) {
		t.Errorf("listens on %q, want %q", ports, want)
	}
	addrs := n.must("addrs", "local")
	for _, c := range []struct {
		transport, has string
		not            []string
	}{
		{"tcp", "/tcp/", []string{"/ws"}},
		{"websocket", "/ws", []string{"/tls"}},
		{"websocket", "/tls/ws", nil},
		{"quic", "/quic-v1", []string{"/webtransport"}},
		{"webtransport", "/webtransport/certhash/", nil},
		{"webrtcdirect", "/webrtc-direct/certhash/", nil},
	} {
		q := newNode(t)
		q.run("-c", q.write("node.json", everywhere()))
		q.must("connect", address(t, addrs, c.has, c.not...))
		q.must("ping", "-n", "2", p.id)
		var list []struct{ Transport string }
		if err := json.Unmarshal([]byte(q.must("peers", "--json")), &list); err != nil {
			t.Fatal(err)
		}
		if len(list) != 1 || list[0].Transport != c.transport {
			t.Errorf("%s: connected by %+v", c.has, list)
		}
	}
	if ports := len(sockets(t, p.cmd.Process.Pid)); ports != 3 {
		t.Errorf("%d sockets with six peers, want 3", ports)
	}
}

// shown is the certificate that a port shows.
func shown(t *testing.T, port int) string {
	t.Helper()
	c, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return string(c.ConnectionState().PeerCertificates[0].Raw)
}

// A reload that swaps a certificate, and one that adds a transport and removes
// another on the same ports, leave the connections of the others alone.
func TestReloadOfTransports(t *testing.T) {
	n := newNode(t)
	port := freePort(t)
	with := []string{"tcp/PORT", "tcp/PORT/tls/ws", "udp/PORT/quic-v1"}
	p := n.run("-c", n.write("node.json", sharing(port, with,
		`"tcp": {}, "quic": {}, "websocket": {"certificate": {"module": "selfsigned"}}`)))
	addrs := n.must("addrs", "local")
	for _, a := range []string{address(t, addrs, "/tcp/", "/ws"), address(t, addrs, "/quic-v1")} {
		q := newNode(t)
		q.run("-c", q.write("node.json", everywhere()))
		q.must("connect", a)
	}
	before, first := opened(n), shown(t, port)

	n.write("node.json", sharing(port, with,
		`"tcp": {}, "quic": {}, "websocket": {"certificate": {"module": "selfsigned", "names": ["node.example.org"]}}`))
	n.must("reload")
	if shown(t, port) == first {
		t.Error("the certificate is the one before")
	}
	if got := opened(n); got != before {
		t.Errorf("another certificate: connections %s, want %s", got, before)
	}

	n.write("node.json", sharing(port, []string{"tcp/PORT", "udp/PORT/quic-v1", "udp/PORT/quic-v1/webtransport"},
		`"tcp": {}, "quic": {}, "webtransport": {}`))
	n.must("reload")
	if got := opened(n); got != before {
		t.Errorf("other transports: connections %s, want %s", got, before)
	}
	if c, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{InsecureSkipVerify: true}); err == nil {
		c.Close()
		t.Error("the removed transport answers")
	}
	addrs = n.must("addrs", "local")
	late := newNode(t)
	late.run("-c", late.write("node.json", everywhere()))
	late.must("connect", address(t, addrs, "/webtransport"))
	late.must("ping", "-n", "1", p.id)
	for _, a := range []string{address(t, addrs, "/tcp/"), address(t, addrs, "/quic-v1", "/webtransport")} {
		q := newNode(t)
		if out := q.must("ping", "-n", "1", a); !strings.Contains(out, "Pong") {
			t.Errorf("%s: %s", a, out)
		}
	}
}
