// SPDX-License-Identifier: Apache-2.0 OR MIT

package observed

import (
	"fmt"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
	"pgregory.net/rapid"

	"github.com/xnode-p2p/xnode/core"
)

// conn is a connection of which only the addresses matter.
type conn struct {
	core.Conn
	local, remote string
	limited       bool
}

func (c *conn) LocalMultiaddr() ma.Multiaddr  { return ma.StringCast(c.local) }
func (c *conn) RemoteMultiaddr() ma.Multiaddr { return ma.StringCast(c.remote) }
func (c *conn) Stat() core.ConnStat           { return core.ConnStat{Limited: c.limited} }

const (
	local = "/ip4/192.168.1.7/tcp/4001"
	seen  = "/ip4/198.51.100.77/tcp/4001" // of a documentation range, and yet nobody's: not public
	mine  = "/ip4/45.1.2.3/tcp/9000"
	relay = "/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/p2p-circuit"
)

var listen = []ma.Multiaddr{
	ma.StringCast("/ip4/0.0.0.0/tcp/4001"), ma.StringCast("/ip4/0.0.0.0/tcp/4001/ws"), ma.StringCast("/ip4/0.0.0.0/udp/4001/quic-v1"), ma.StringCast("/ip6/::/tcp/4001"), ma.StringCast("/memory/1"),
}

func text(list []ma.Multiaddr) string {
	var all []string
	for _, a := range list {
		all = append(all, a.String())
	}
	return strings.Join(all, " ")
}

// from is a connection from a peer in network n.
func from(n int) *conn { return &conn{local: local, remote: fmt.Sprintf("/ip4/44.0.%d.9/tcp/1234", n)} }

func TestFourNetworks(t *testing.T) {
	var m Manager
	var conns []*conn
	for n := range 4 {
		conns = append(conns, from(n))
		if changed := m.Add(conns[n], ma.StringCast(mine), listen); changed != (n >= 1) {
			t.Errorf("observer %d: changed is %v", n+1, changed)
		}
		want := ""
		if n == 3 {
			want = mine + " " + mine + "/ws"
		}
		if got := text(m.Addrs(listen)); got != want {
			t.Errorf("%d observers: %q, want %q", n+1, got, want)
		}
		if got := len(m.Candidates(listen)); (got > 0) != (n >= 1) {
			t.Errorf("%d observers: %d candidates", n+1, got)
		}
	}
	if m.Add(conns[3], ma.StringCast(mine), listen) {
		t.Error("the same once more is a change")
	}
	if !m.Remove(conns[0]) || len(m.Addrs(listen)) != 0 {
		t.Error("three are enough")
	}
	for _, c := range conns {
		m.Remove(c)
	}
	if len(m.conns)+len(m.seen) != 0 {
		t.Errorf("left: %v, %v", m.conns, m.seen)
	}
}

func TestEvil_E4_Liars(t *testing.T) {
	const victim = "/ip4/46.7.7.7/tcp/80"
	var m Manager
	for n := range 3 {
		m.Add(from(n), ma.StringCast(victim), listen)
	}
	for i := range 100 {
		m.Add(&conn{local: local, remote: fmt.Sprintf("/ip4/44.0.0.%d/tcp/1", i)}, ma.StringCast(victim), listen)
	}
	if got := m.Addrs(listen); len(got) != 0 {
		t.Fatalf("3 liars and 100 of one network are believed: %v", got)
	}
	for n := range 4 {
		m.Add(from(100+n), ma.StringCast(mine), listen)
	}
	if got := text(m.Addrs(listen)); got != mine+" "+mine+"/ws" {
		t.Fatalf("4 honest ones are not: %s", got)
	}
	// However many addresses are made up, three stand for a listener's.
	for i := range 10 {
		for n := range 4 + i {
			m.Add(from(200+n), ma.StringCast(fmt.Sprintf("/ip4/46.7.7.%d/tcp/80", i)), listen)
		}
		for n := range 4 + i { // other connections of theirs
			m.Add(from(200+n), ma.StringCast(fmt.Sprintf("/ip4/46.8.8.%d/tcp/80", i)), listen)
		}
	}
	if got := m.Addrs(listen[:1]); len(got) != mostOutside {
		t.Errorf("%d addresses: %v", len(got), got)
	}
}

func TestEvil_E4_Useless(t *testing.T) {
	for name, c := range map[string]struct {
		conn conn
		seen string
	}{
		"not public":         {conn{local: local}, "/ip4/10.0.0.1/tcp/4001"},
		"documentation":      {conn{local: local}, seen},
		"loopback":           {conn{local: local}, "/ip4/127.0.0.1/tcp/4001"},
		"by a relay":         {conn{local: local, remote: "/ip4/44.0.0.1/tcp/1" + relay}, mine},
		"at a relay":         {conn{local: local}, mine + relay},
		"limited":            {conn{local: local, limited: true}, mine},
		"of this network":    {conn{local: local, remote: "/ip4/192.168.1.9/tcp/1"}, mine},
		"another protocol":   {conn{local: local}, "/ip4/45.1.2.3/udp/9000/quic-v1"},
		"another version":    {conn{local: local}, "/ip6/2600::1/tcp/9000"},
		"a passing port":     {conn{local: "/ip4/192.168.1.7/tcp/50000"}, mine},
		"no port":            {conn{local: local}, "/ip4/45.1.2.3"},
		"a name":             {conn{local: local}, "/dns4/example.com/tcp/1"},
		"no network at all":  {conn{local: "/memory/1", remote: "/memory/2"}, mine},
		"nothing":            {conn{local: local}, ""},
		"translated address": {conn{local: local}, "/ip6/64:ff9b::1.2.3.4/tcp/9000"},
	} {
		var m Manager
		for n := range 8 {
			one := c.conn
			if one.remote == "" {
				one.remote = from(n).remote
			}
			var a ma.Multiaddr
			if c.seen != "" {
				a = ma.StringCast(c.seen)
			}
			m.Add(&one, a, listen)
		}
		if got := m.Addrs(listen); len(got) != 0 || len(m.seen) != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A router that takes another port for each peer is of no use to anybody.
func TestPortForEachPeer(t *testing.T) {
	var m Manager
	for n := range 50 {
		m.Add(from(n), ma.StringCast(fmt.Sprintf("/ip4/45.1.2.3/tcp/%d", 9000+n)), listen)
	}
	if got := m.Addrs(listen); len(got) != 0 {
		t.Error(got)
	}
}

func TestIPv6AndUDP(t *testing.T) {
	var m Manager
	for n := range 4 {
		m.Add(&conn{local: "/ip6/2600::7/tcp/4001", remote: fmt.Sprintf("/ip6/2a00:%x::1/tcp/1", n+1)}, ma.StringCast("/ip6/2600::9/tcp/4001"), listen)
		m.Add(&conn{local: "/ip4/192.168.1.7/udp/4001/quic-v1", remote: fmt.Sprintf("/ip4/44.0.%d.9/udp/1/quic-v1", n)}, ma.StringCast("/ip4/45.1.2.3/udp/7/quic-v1"), listen)
	}
	if got, want := text(m.Addrs(listen)), "/ip4/45.1.2.3/udp/7/quic-v1 /ip6/2600::9/tcp/4001"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// However connections come and go, the counts are those of a model.
func TestRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m Manager
		model := map[*conn]string{}
		var open []*conn
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			if len(open) > 0 && rapid.Bool().Draw(t, "remove") {
				i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
				m.Remove(open[i])
				delete(model, open[i])
				open = append(open[:i], open[i+1:]...)
				continue
			}
			c := from(rapid.IntRange(0, 6).Draw(t, "network"))
			if len(open) > 0 && rapid.Bool().Draw(t, "again") {
				c = rapid.SampledFrom(open).Draw(t, "conn")
			} else {
				open = append(open, c)
			}
			saw := rapid.SampledFrom([]string{mine, "/ip4/45.1.2.4/tcp/1"}).Draw(t, "saw")
			m.Add(c, ma.StringCast(saw), listen)
			model[c] = saw
		}
		for _, saw := range []string{mine, "/ip4/45.1.2.4/tcp/1"} {
			networks := map[string]bool{}
			for c, s := range model {
				if s == saw {
					networks[c.remote] = true
				}
			}
			if got := strings.Contains(text(m.Addrs(listen[:1])), saw); got != (len(networks) >= leastObservers) {
				t.Fatalf("%s from %d networks: %v", saw, len(networks), got)
			}
		}
	})
}
