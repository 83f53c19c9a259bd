// SPDX-License-Identifier: Apache-2.0 OR MIT

package tunnel

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

func load(t *testing.T, config string) *Tunnel {
	t.Helper()
	return coretest.MustLoad[*Tunnel](t, "tunnel", config)
}

func TestLifecycle(t *testing.T) {
	coretest.TestLifecycle(t, func(t *testing.T) core.Service {
		return load(t, `{"serve": {"/x/a": {"to": "/ip4/127.0.0.1/tcp/1", "allow": ["*"]}}, "forward": [
			{"protocol": "/x/a", "from": "/ip4/127.0.0.1/tcp/0", "peer": "`+coretest.NewIdentity(9).ID().String()+`"}]}`)
	})
}

func TestConfig(t *testing.T) {
	id := coretest.NewIdentity(9).ID().String()
	coretest.TestConfigs[core.Protocol](t, "tunnel", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "both", JSON: `{"serve": {"/x/a": {"to": "/ip4/127.0.0.1/tcp/1", "allow": ["` + id + `"]}}, "forward": [{"protocol": "/x/a", "from": "/unix/tmp/a.sock", "peer": "` + id + `"}]}`},
		{Name: "another protocol", JSON: `{"serve": {"/ipfs/id/1.0.0": {"to": "/ip4/127.0.0.1/tcp/1", "allow": ["*"]}}}`, WantErr: "begins with /x/"},
		{Name: "nobody may", JSON: `{"serve": {"/x/a": {"to": "/ip4/127.0.0.1/tcp/1"}}}`, WantErr: `/x/a: allow: it is missing; write the IDs`},
		{Name: "everybody and somebody", JSON: `{"serve": {"/x/a": {"to": "/ip4/127.0.0.1/tcp/1", "allow": ["*", "` + id + `"]}}}`, WantErr: "lets everybody"},
		{Name: "no peer", JSON: `{"serve": {"/x/a": {"to": "/ip4/127.0.0.1/tcp/1", "allow": ["me"]}}}`, WantErr: "allow/0"},
		{Name: "UDP", JSON: `{"serve": {"/x/a": {"to": "/ip4/127.0.0.1/udp/1", "allow": ["*"]}}}`, WantErr: "neither TCP nor a unix socket"},
		{Name: "no address", JSON: `{"serve": {"/x/a": {"to": "127.0.0.1:1", "allow": ["*"]}}}`, WantErr: "no multiaddr"},
		{Name: "missing", JSON: `{"forward": [{"protocol": "/x/a", "from": "/ip4/127.0.0.1/tcp/1"}]}`, WantErr: "forward/0: peer: it is missing"},
		{Name: "twice", JSON: `{"forward": [{"protocol": "/x/a", "from": "/ip4/127.0.0.1/tcp/7", "peer": "` + id + `"}, {"protocol": "/x/b", "from": "/ip4/127.0.0.1/tcp/7", "peer": "` + id + `"}]}`, WantErr: "listened on twice"},
		{Name: "nothing at a time", JSON: `{"max_connections": -1}`, WantErr: "the least is 1"},
		{Name: "unknown key", JSON: `{"server": {}}`, WantErr: `unknown field "server"`},
	})
}

// server is a server of this machine that does with each connection what f says.
func server(t *testing.T, network, address string, f func(net.Conn)) net.Addr {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { defer c.Close(); f(c) })
		}
	})
	return l.Addr()
}

func echo(c net.Conn) { _, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}) }

func port(a net.Addr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}

// pair starts the two ends of a tunnel to a server, and returns what there is to
// connect to and both instances.
func pair(t *testing.T, to, allow, more string) (from string, serving, forwarding *Tunnel) {
	t.Helper()
	nodes := coretest.FakeNodes(t, 2)
	if allow == "" {
		allow = nodes[1].ID().String()
	}
	serving = load(t, `{"serve": {"/x/test": {"to": "`+to+`", "allow": ["`+allow+`"]}}`+more+`}`)
	forwarding = load(t, `{"forward": [{"protocol": "/x/test", "from": "/ip4/127.0.0.1/tcp/0", "peer": "`+nodes[0].ID().String()+`"}]}`)
	for i, s := range []*Tunnel{serving, forwarding} {
		if err := s.Start(t.Context(), nodes[i]); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	address := strings.Split(forwarding.list()[0].From, "/")
	return "127.0.0.1:" + address[len(address)-1], serving, forwarding
}

func dial(t *testing.T, network, address string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCarriesBothWaysAndTheEndOfEach(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	to := server(t, "tcp", "127.0.0.1:0", echo)
	from, _, _ := pair(t, "/ip4/127.0.0.1/tcp/"+port(to), "", "")
	data := bytes.Repeat([]byte("tunnel"), 1<<19)
	var wg sync.WaitGroup
	for range 4 {
		c := dial(t, "tcp", from)
		wg.Go(func() {
			wg.Go(func() {
				if _, err := c.Write(data); err != nil {
					t.Error(err)
				}
				_ = c.(*net.TCPConn).CloseWrite()
			})
			back, err := io.ReadAll(c)
			if err != nil || !bytes.Equal(back, data) {
				t.Errorf("%d bytes came back of %d: %v", len(back), len(data), err)
			}
		})
	}
	wg.Wait()
}

// What is typed is answered at once: nothing waits for more.
func TestInteractive(t *testing.T) {
	to := server(t, "tcp", "127.0.0.1:0", echo)
	from, _, _ := pair(t, "/ip4/127.0.0.1/tcp/"+port(to), "", "")
	c := dial(t, "tcp", from)
	for i := range 200 {
		b := []byte{byte(i)}
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, b); err != nil || b[0] != byte(i) {
			t.Fatalf("%d: %v, %v", i, b, err)
		}
	}
}

func TestUnixSockets(t *testing.T) {
	dir, err := os.MkdirTemp("", "xn")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	server(t, "unix", filepath.Join(dir, "to"), echo)
	nodes := coretest.FakeNodes(t, 2)
	for i, config := range []string{
		`{"serve": {"/x/test": {"to": "/unix` + dir + `/to", "allow": ["*"]}}}`,
		`{"forward": [{"protocol": "/x/test", "from": "/unix` + dir + `/from", "peer": "` + nodes[0].ID().String() + `"}]}`,
	} {
		s := load(t, config)
		if err := s.Start(t.Context(), nodes[i]); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
	}
	c := dial(t, "unix", filepath.Join(dir, "from"))
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if back, err := io.ReadAll(c); err != nil || string(back) != "hello" {
		t.Errorf("%q, %v", back, err)
	}
}

// A peer that may not connect reaches nothing, and the server never hears of it.
func TestEvil_TunnelOfAPeerThatMayNot(t *testing.T) {
	called := make(chan struct{}, 10)
	to := server(t, "tcp", "127.0.0.1:0", func(net.Conn) { called <- struct{}{} })
	from, _, _ := pair(t, "/ip4/127.0.0.1/tcp/"+port(to), coretest.NewIdentity(77).ID().String(), "")
	c := dial(t, "tcp", from)
	if b, err := io.ReadAll(c); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%q, %v", b, err)
	}
	select {
	case <-called:
		t.Error("the server was connected to")
	default:
	}
}

// A peer that opens streams without end has only so many of them carried.
func TestEvil_TunnelFlood(t *testing.T) {
	open := make(chan struct{}, 100)
	to := server(t, "tcp", "127.0.0.1:0", func(c net.Conn) { open <- struct{}{}; echo(c) })
	from, _, _ := pair(t, "/ip4/127.0.0.1/tcp/"+port(to), "", `, "max_connections": 2`)
	var kept []net.Conn
	for range 2 {
		c := dial(t, "tcp", from)
		kept = append(kept, c)
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		c := dial(t, "tcp", from)
		if b, err := io.ReadAll(c); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("one too many: %q, %v", b, err)
		}
	}
	if len(open) != 2 {
		t.Errorf("the server has had %d connections", len(open))
	}
	kept[0].Close()
	for {
		c := dial(t, "tcp", from) // as soon as the place is free
		_, _ = c.Write([]byte("x"))
		if _, err := io.ReadFull(c, make([]byte, 1)); err == nil {
			return
		}
	}
}

// Without its server a tunnel ends what connects, and goes on.
func TestServerThatIsNotThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr()
	l.Close()
	from, _, _ := pair(t, "/ip4/127.0.0.1/tcp/"+port(address), "", "")
	if b, err := io.ReadAll(dial(t, "tcp", from)); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%q, %v", b, err)
	}
	server(t, "tcp", address.String(), echo)
	c := dial(t, "tcp", from)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

// Close ends connections that are open, on both ends.
func TestCloseEndsConnections(t *testing.T) {
	for _, end := range []int{0, 1} {
		to := server(t, "tcp", "127.0.0.1:0", echo)
		from, serving, forwarding := pair(t, "/ip4/127.0.0.1/tcp/"+port(to), "", "")
		c := dial(t, "tcp", from)
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if err := []*Tunnel{serving, forwarding}[end].Close(); err != nil {
			t.Error(err)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("end %d: %v", end, err)
		}
	}
}

// A successor listens on the same address before the one it replaces closes.
func TestReloadKeepsTheAddress(t *testing.T) {
	to := server(t, "tcp", "127.0.0.1:0", echo)
	nodes := coretest.FakeNodes(t, 2)
	serving := load(t, `{"serve": {"/x/test": {"to": "/ip4/127.0.0.1/tcp/`+port(to)+`", "allow": ["*"]}}}`)
	if err := serving.Start(t.Context(), nodes[0]); err != nil {
		t.Fatal(err)
	}
	defer serving.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	from := free.Addr()
	free.Close()
	config := `"forward": [{"protocol": "/x/test", "from": "/ip4/127.0.0.1/tcp/` + port(from) + `", "peer": "` + nodes[0].ID().String() + `"}]}`
	before := load(t, `{`+config)
	after := load(t, `{"max_connections": 3, `+config)
	for _, s := range []*Tunnel{before, after} {
		if err := s.Start(t.Context(), nodes[1]); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	c := dial(t, "tcp", from.String())
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

func TestCommands(t *testing.T) {
	to := server(t, "tcp", "127.0.0.1:0", echo)
	nodes := coretest.FakeNodes(t, 2)
	var tunnels [2]*Tunnel
	for i := range tunnels {
		tunnels[i] = load(t, `{}`)
		if err := tunnels[i].Start(t.Context(), nodes[i]); err != nil {
			t.Fatal(err)
		}
		defer tunnels[i].Close()
	}
	run := func(end int, line string) (any, error) {
		words := strings.Fields(line)
		for _, c := range tunnels[end].Commands() {
			if c.Name == words[0]+" "+words[1] {
				return c.Run(t.Context(), words[2:])
			}
		}
		t.Fatalf("there is no command %s", line)
		return nil, nil
	}
	server, client := nodes[0].ID().String(), nodes[1].ID().String()
	if _, err := run(0, "p2p listen /x/e /ip4/127.0.0.1/tcp/"+port(to)+" "+client); err != nil {
		t.Fatal(err)
	}
	got, err := run(1, "p2p forward /x/e /ip4/127.0.0.1/tcp/0 "+server)
	if err != nil {
		t.Fatal(err)
	}
	forwarded := got.(List)[0]
	network := strings.Split(forwarded.From, "/")
	c := dial(t, "tcp", "127.0.0.1:"+network[len(network)-1])
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if list, err := run(1, "p2p ls"); err != nil || len(list.(List)) != 1 || list.(List)[0] != forwarded {
		t.Errorf("%v, %v", list, err)
	}
	for line, want := range map[string]string{
		"p2p listen /x/e /ip4/127.0.0.1/tcp/1 *":          "served already",
		"p2p listen /x/f /ip4/127.0.0.1/tcp/1":            "who may connect",
		"p2p forward /y/e /ip4/127.0.0.1/tcp/0 " + client: "begins with /x/",
		"p2p forward /x/e " + client:                      "2 arguments",
		"p2p close /x/nothing":                            "there is no tunnel",
	} {
		if _, err := run(0, line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
	if list, err := run(1, "p2p close "+forwarded.From); err != nil || len(list.(List)) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := net.Dial("tcp", "127.0.0.1:"+network[len(network)-1]); err == nil {
		t.Error("the address is still listened on")
	}
	if list, err := run(0, "p2p close all"); err != nil || len(list.(List)) != 1 || len(tunnels[0].list()) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}
