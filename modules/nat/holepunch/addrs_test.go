// SPDX-License-Identifier: Apache-2.0 OR MIT

package holepunch

import (
	"fmt"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
)

// fakeConn is a connection from or to a port that is listened on.
type fakeConn struct {
	core.Conn
	remote    ma.Multiaddr
	direction core.Direction
}

func (c *fakeConn) LocalMultiaddr() ma.Multiaddr  { return listened[0] }
func (c *fakeConn) RemoteMultiaddr() ma.Multiaddr { return c.remote }
func (c *fakeConn) Stat() core.ConnStat           { return core.ConnStat{Direction: c.direction} }

var listened = addrsOf("/ip4/192.168.1.2/tcp/4001")

func remote(n int) ma.Multiaddr {
	return ma.StringCast(fmt.Sprintf("/ip4/46.%d.%d.%d/tcp/4001", n>>16, n>>8&255, n&255))
}

// TestEvil_E4_ObserversThatLie: whoever dials the node can say what it likes, and
// many can, but what the node's own choice of peers has seen is told before that.
func TestEvil_E4_ObserversThatLie(t *testing.T) {
	var o observed
	for i := range 1000 {
		o.add(&fakeConn{remote: remote(i), direction: core.Inbound}, remote(70_000+i), listened)
	}
	// One place that tells the same over many connections counts once.
	for range 5 {
		o.add(&fakeConn{remote: remote(2000), direction: core.Outbound}, remote(80_000), listened)
	}
	for i := range 2 {
		o.add(&fakeConn{remote: remote(3000 + i), direction: core.Outbound}, mine[0], listened)
	}
	list := o.list()
	if len(o.seen) > 2*maxObserved || len(list) > 2*maxObserved {
		t.Errorf("%d are remembered, %d addresses", len(o.seen), len(list))
	}
	if !list[0].Equal(mine[0]) || !list[1].Equal(remote(80_000)) {
		t.Errorf("first %v", list[:2])
	}
	if got := usable(list, false); len(got) != maxAddrs {
		t.Errorf("%d addresses are told", len(got))
	}
	for c := range o.seen {
		o.remove(c)
	}
	if len(o.list()) != 0 {
		t.Error("some are left")
	}
}

// TestEvil_E4_ObservationsOfNoUse are not remembered.
func TestEvil_E4_ObservationsOfNoUse(t *testing.T) {
	relayed := ma.StringCast("/ip4/46.1.1.1/tcp/4001/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA/p2p-circuit")
	for name, c := range map[string]struct {
		by, seen ma.Multiaddr
		listen   []ma.Multiaddr
	}{
		"private":               {remote(1), ma.StringCast("/ip4/10.0.0.1/tcp/4001"), listened},
		"loopback":              {remote(1), ma.StringCast("/ip6/::1/tcp/4001"), listened},
		"mapped":                {remote(1), ma.StringCast("/ip6/::ffff:10.0.0.1/tcp/4001"), listened},
		"not one to punch to":   {remote(1), ma.StringCast("/ip4/46.2.2.2/tcp/4001/ws"), listened},
		"nothing":               {remote(1), nil, listened},
		"through a relay":       {relayed, mine[0], listened},
		"from a port of a dial": {remote(1), mine[0], addrsOf("/ip4/0.0.0.0/tcp/4002")},
		"over another protocol": {remote(1), mine[1], addrsOf("/ip4/0.0.0.0/udp/4001/quic-v1")},
	} {
		var o observed
		o.add(&fakeConn{remote: c.by, direction: core.Outbound}, c.seen, c.listen)
		if len(o.seen) != 0 {
			t.Errorf("%s: %v", name, o.list())
		}
	}
}

// TestEvil_D2_AddressesOfAPunch: what the other side says leads to the Internet and
// nowhere else, on both sides.
func TestEvil_D2_AddressesOfAPunch(t *testing.T) {
	special := addrsOf(
		"/ip4/127.0.0.1/tcp/22", "/ip4/10.0.0.1/tcp/22", "/ip4/172.16.0.1/tcp/22", "/ip4/192.168.0.1/tcp/22",
		"/ip4/169.254.169.254/tcp/80", "/ip4/100.64.0.1/tcp/80", "/ip4/0.0.0.0/tcp/80", "/ip4/224.0.0.1/udp/1/quic-v1",
		"/ip4/255.255.255.255/udp/1/quic-v1", "/ip4/192.0.2.1/tcp/1", "/ip6/::1/tcp/22", "/ip6/fe80::1/tcp/22",
		"/ip6/fd00::1/tcp/22", "/ip6/ff02::1/udp/1/quic-v1", "/ip6/::ffff:127.0.0.1/tcp/22", "/ip6/::ffff:192.168.0.1/tcp/22",
		"/ip6/64:ff9b::a00:1/tcp/22", "/ip6/2002:a00:1::/tcp/22", "/ip6/2001:db8::1/tcp/22",
		"/dns4/localhost/tcp/22", "/dnsaddr/example.org", "/unix/run/x.sock",
	)
	for _, a := range special {
		for name, step := range map[string]func(any) []any{
			"initiator": func(e any) []any { return (&initiator{own: mine, phase: connecting}).step(e, epoch) },
			"responder": func(e any) []any { return (&responder{own: mine, attempt: 1}).step(e, epoch) },
		} {
			if got := describe(step(connectMessage([]ma.Multiaddr{a}))); got != "end: "+errNoAddrs.Error() {
				t.Errorf("%s, %s: %s", a, name, got)
			}
		}
	}
}
