// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build linux

package tcp

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core/coretest"
)

// listenEnv names the address that this test binary listens on when it is
// started as another process.
const listenEnv = "XNODE_TEST_LISTEN"

func TestMain(m *testing.M) {
	if addr := os.Getenv(listenEnv); addr != "" {
		l, err := (&Transport{}).Listen(ma.StringCast(addr))
		if err != nil {
			os.Stdout.WriteString(err.Error())
			os.Exit(0)
		}
		os.Stdout.WriteString("listens on " + l.Multiaddr().String())
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func listen(t *testing.T, tr *Transport, a ma.Multiaddr) manet.Listener {
	t.Helper()
	l, err := tr.Listen(a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// dialFrom dials a listener and returns the address it is dialled from, as the
// listener sees it.
func dialFrom(t *testing.T, tr *Transport, to manet.Listener, a ma.Multiaddr) ma.Multiaddr {
	t.Helper()
	c, err := tr.Dial(t.Context(), a)
	if err != nil {
		t.Fatalf("dial %s: %v", a, err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := to.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if !s.RemoteMultiaddr().Equal(c.LocalMultiaddr()) {
		t.Errorf("dialled from %s, says it was %s", s.RemoteMultiaddr(), c.LocalMultiaddr())
	}
	return s.RemoteMultiaddr()
}

// onLoopback is the loopback address with the port of a listener.
func onLoopback(l manet.Listener) ma.Multiaddr {
	port := l.Multiaddr()[1].Value()
	return ma.StringCast("/ip4/127.0.0.1/tcp/" + port)
}

func TestDialsFromTheListenPort(t *testing.T) {
	remote := load(t, `{}`)
	to := listen(t, remote, loopback4)
	for name, tc := range map[string]struct {
		config string
		listen []ma.Multiaddr
		from   int // which listener's port; -1 for none
	}{
		"loopback":                 {`{}`, []ma.Multiaddr{loopback4}, 0},
		"unspecified":              {`{}`, []ma.Multiaddr{any4}, 0},
		"loopback for loopback":    {`{}`, []ma.Multiaddr{any4, loopback4}, 1},
		"the first of two":         {`{}`, []ma.Multiaddr{any4, any4}, 0},
		"other family":             {`{}`, []ma.Multiaddr{ma.StringCast("/ip6/::/tcp/0")}, -1},
		"no reuse":                 {`{"no_reuse": true}`, []ma.Multiaddr{loopback4}, -1},
		"nothing is listened on":   {`{}`, nil, -1},
		"loopback in another form": {`{}`, []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.9/tcp/0")}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "other family" && !hasIPv6() {
				return
			}
			tr := load(t, tc.config)
			var own []manet.Listener
			for _, a := range tc.listen {
				own = append(own, listen(t, tr, a))
			}
			from := dialFrom(t, tr, to, to.Multiaddr())[1].Value()
			if tc.from >= 0 {
				if want := own[tc.from].Multiaddr()[1].Value(); from != want {
					t.Errorf("dialled from port %s, want %s", from, want)
				}
				return
			}
			for _, l := range own {
				if from == l.Multiaddr()[1].Value() {
					t.Errorf("dialled from the port of %s", l.Multiaddr())
				}
			}
		})
	}
}

func TestDialsAgainFromAnotherPort(t *testing.T) {
	remote, tr := load(t, `{}`), load(t, `{}`)
	to, own := listen(t, remote, loopback4), listen(t, tr, any4)
	port := own.Multiaddr()[1].Value()
	if first := dialFrom(t, tr, to, to.Multiaddr())[1].Value(); first != port {
		t.Errorf("first dial from port %s, want %s", first, port)
	}
	// The same two ends cannot have a second connection.
	if second := dialFrom(t, tr, to, to.Multiaddr())[1].Value(); second == port {
		t.Errorf("second dial from port %s too", second)
	}
	// Another remote can.
	other := listen(t, remote, loopback4)
	if third := dialFrom(t, tr, other, other.Multiaddr())[1].Value(); third != port {
		t.Errorf("dial to another from port %s, want %s", third, port)
	}
}

// TestDialsItself reaches its own listener, not the dialing socket's other end.
func TestDialsItself(t *testing.T) {
	for _, a := range []ma.Multiaddr{loopback4, any4} {
		tr := load(t, `{}`)
		l := listen(t, tr, a)
		if from := dialFrom(t, tr, l, onLoopback(l)); from.Equal(l.Multiaddr()) {
			t.Errorf("dialled %s from itself", from)
		}
	}
}

func TestDialsWhileListenerCloses(t *testing.T) {
	remote, tr := load(t, `{}`), load(t, `{}`)
	to := listen(t, remote, loopback4)
	own := listen(t, tr, loopback4)
	own.Close()
	if from := dialFrom(t, tr, to, to.Multiaddr()); from.Equal(own.Multiaddr()) {
		t.Errorf("dialled from %s, which is closed", from)
	}
}

// TestTwoProcessesCannotListenOnOnePort starts this binary as another node.
func TestTwoProcessesCannotListenOnOnePort(t *testing.T) {
	l := listen(t, load(t, `{}`), any4)
	remote := listen(t, load(t, `{}`), loopback4)
	dialer := l.(*listener).transport
	if from := dialFrom(t, dialer, remote, remote.Multiaddr()); from[1].Value() != l.Multiaddr()[1].Value() {
		t.Fatalf("the port is not shared: dialled from %s", from)
	}
	for _, again := range []ma.Multiaddr{l.Multiaddr(), onLoopback(l)} {
		if out := listenElsewhere(t, again); !strings.HasSuffix(out, "address already in use") {
			t.Errorf("with a listener on %s, the other process: %s", l.Multiaddr(), out)
		}
	}
	l.Close()
	if out := listenElsewhere(t, l.Multiaddr()); !strings.HasPrefix(out, "listens on") {
		t.Errorf("after %s has been closed, the other process: %s", l.Multiaddr(), out)
	}
}

func listenElsewhere(t *testing.T, a ma.Multiaddr) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), listenEnv+"="+a.String())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// TestReloadChangesTheConfig has an instance with another configuration take over
// the port, which then goes by its own.
func TestReloadChangesTheConfig(t *testing.T) {
	remote := listen(t, load(t, `{}`), loopback4)
	for _, tc := range []struct {
		from, to string
		shared   bool
	}{
		{`{}`, `{"keepalive": "1m"}`, true},
		{`{}`, `{"no_reuse": true}`, false},
		{`{"no_reuse": true}`, `{}`, true},
	} {
		before, after := load(t, tc.from), load(t, tc.to)
		node := coretest.FakeNodes(t, 1)[0]
		for _, tr := range []*Transport{before, after} {
			if err := tr.Start(t.Context(), node); err != nil {
				t.Fatal(err)
			}
		}
		old := listen(t, before, loopback4)
		l := listen(t, after, old.Multiaddr())
		old.Close()
		if from := dialFrom(t, after, remote, remote.Multiaddr()); from.Equal(l.Multiaddr()) != tc.shared {
			t.Errorf("%s after %s dials from %s, listens on %s", tc.to, tc.from, from, l.Multiaddr())
		}
	}
}

// TestChangesTheAddressOfItsPort narrows 0.0.0.0 to 127.0.0.1 and widens it
// again, as a reload does: the new listener opens before the old one closes.
func TestChangesTheAddressOfItsPort(t *testing.T) {
	tr := load(t, `{}`)
	old := listen(t, tr, ma.StringCast("/ip4/0.0.0.0/tcp/0"))
	port, err := old.Multiaddr().ValueForProtocol(ma.P_TCP)
	if err != nil {
		t.Fatal(err)
	}
	for _, ip := range []string{"127.0.0.1", "0.0.0.0"} {
		next := listen(t, tr, ma.StringCast("/ip4/"+ip+"/tcp/"+port))
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		c, err := tr.Dial(t.Context(), ma.StringCast("/ip4/127.0.0.1/tcp/"+port))
		if err != nil {
			t.Fatal(err)
		}
		accepted, err := next.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		accepted.Close()
		old = next
	}
	if l, err := load(t, `{}`).Listen(old.Multiaddr()); err == nil {
		l.Close()
		t.Error("another instance may listen on the port too")
	}
}
