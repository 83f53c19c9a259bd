// SPDX-License-Identifier: Apache-2.0 OR MIT

package host

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/eventbus"
	"github.com/xnode-p2p/xnode/core/peer"
)

func addrList(texts ...string) []ma.Multiaddr {
	list := make([]ma.Multiaddr, len(texts))
	for i, t := range texts {
		list[i] = ma.StringCast(t)
	}
	return list
}

// machine is a list of interface addresses.
func machine() []ma.Multiaddr {
	return addrList("/ip4/127.0.0.1", "/ip4/192.168.1.7", "/ip4/169.254.3.4", "/ip4/203.0.113.9", "/ip6/::1", "/ip6/2001:db8::7",
		"/ip6/fe80::1", "/ip6zone/eth0/ip6/fe80::2", "/ip6zone/eth1/ip6/2001:db8::8")
}

func TestReachable(t *testing.T) {
	for _, tc := range []struct {
		name  string
		bound []ma.Multiaddr
		want  string
	}{
		{"nothing", nil, ""},
		{"one address", addrList("/ip4/192.168.1.7/tcp/1"), "/ip4/192.168.1.7/tcp/1"},
		{"all of IPv4", addrList("/ip4/0.0.0.0/tcp/1"), "/ip4/127.0.0.1/tcp/1 /ip4/192.168.1.7/tcp/1 /ip4/203.0.113.9/tcp/1"},
		{"all of IPv6", addrList("/ip6/::/udp/2/quic-v1"), "/ip6/::1/udp/2/quic-v1 /ip6/2001:db8::7/udp/2/quic-v1 /ip6/2001:db8::8/udp/2/quic-v1"},
		{"all in a zone", addrList("/ip6zone/eth0/ip6/::/tcp/1"), "/ip6/::1/tcp/1 /ip6/2001:db8::7/tcp/1 /ip6/2001:db8::8/tcp/1"},
		{"link-local, asked for", addrList("/ip6zone/eth0/ip6/fe80::2/tcp/1"), "/ip6zone/eth0/ip6/fe80::2/tcp/1"},
		{"no IP address", addrList("/memory/1", "/dns4/x.example/tcp/1", "/unix/a"), "/memory/1 /dns4/x.example/tcp/1 /unix/a"},
		{"several", addrList("/memory/1", "/ip4/0.0.0.0/tcp/1", "/ip4/127.0.0.1/tcp/2"),
			"/memory/1 /ip4/127.0.0.1/tcp/1 /ip4/192.168.1.7/tcp/1 /ip4/203.0.113.9/tcp/1 /ip4/127.0.0.1/tcp/2"},
	} {
		var got []string
		for _, a := range reachable(tc.bound, machine) {
			got = append(got, a.String())
		}
		if diff := cmp.Diff(tc.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s: (-want +got) %s", tc.name, diff)
		}
	}
	if got := reachable(addrList("/ip4/0.0.0.0/tcp/1"), func() []ma.Multiaddr { return nil }); len(got) != 0 {
		t.Errorf("a machine without addresses: %v", got)
	}
}

// The machine that runs the test has a loopback address.
func TestInterfaceAddrs(t *testing.T) {
	for _, a := range interfaceAddrs() {
		if ip, ok := peer.IP(a); !ok {
			t.Errorf("%v is no IP address", a)
		} else if ip.IsLoopback() {
			return
		}
	}
	if all, err := net.InterfaceAddrs(); err == nil && len(all) > 0 {
		t.Errorf("no loopback address: %v", all)
	}
}

// listing is an addrs whose listeners a test decides, and the events it emits.
type listing struct {
	*addrs
	bus    *eventbus.Bus
	bound  []ma.Multiaddr
	judged bool // a module finds out what can be reached
	events []string
	offers int // events about candidates
}

func newListing(t *testing.T, bound ...string) *listing {
	l := &listing{bus: eventbus.New(func(event, recovered any, _ []byte) { t.Errorf("panic: %v", recovered) }), bound: addrList(bound...)}
	l.addrs = newAddrs(l.bus, func() []ma.Multiaddr { return l.bound }, func() bool { return l.judged })
	l.addrs.interfaces = machine
	core.On(l.bus, func(core.CandidateAddrsChanged) { l.offers++ })
	core.On(l.bus, func(e core.LocalAddrsChanged) {
		l.events = append(l.events, fmt.Sprint(e.Addrs))
		clear(e.Addrs) // a subscriber that spoils its list harms nobody
	})
	return l
}

// expect compares the addresses and the events since the last call.
func (l *listing) expect(t *testing.T, step, addrs string, events ...string) {
	t.Helper()
	if got := fmt.Sprint(l.Addrs()); got != addrs {
		t.Errorf("%s: addresses %s, want %s", step, got, addrs)
	}
	if diff := cmp.Diff(events, l.events); diff != "" {
		t.Errorf("%s: events (-want +got) %s", step, diff)
	}
	l.events = nil
}

// verdicts says of addresses, in turn, what a module has found out.
func (l *listing) say(r core.Reachability, addrs ...string) {
	var e core.AddrsReachabilityChanged
	for _, a := range addrList(addrs...) {
		e.Addrs = append(e.Addrs, core.AddrReachability{Addr: a, Reachability: r})
	}
	l.bus.Emit(e)
}

func TestReachability(t *testing.T) {
	const bound, mapped = "/ip4/203.0.114.1/tcp/1", "/ip4/203.0.114.2/tcp/2"
	l := newListing(t, bound)
	l.judged = true
	l.update()
	l.expect(t, "before", "["+bound+"]", "["+bound+"]")
	withdraw := l.Suggest(addrList(mapped)...)
	l.expect(t, "suggested", "["+bound+"]")
	if got := fmt.Sprint(l.Candidates()); got != "["+bound+" "+mapped+"]" || l.offers != 2 {
		t.Errorf("candidates %s, %d events", got, l.offers)
	}
	l.say(core.ReachabilityUnknown, bound, mapped)
	l.expect(t, "unknown", "["+bound+"]")
	l.say(core.ReachabilityPublic, bound, mapped)
	l.expect(t, "reachable", "["+bound+" "+mapped+"]", "["+bound+" "+mapped+"]")
	l.say(core.ReachabilityPrivate, bound, mapped)
	l.expect(t, "unreachable", "[]", "[]")
	if got := len(l.Candidates()); got != 2 {
		t.Errorf("%d candidates", got)
	}
	l.say(core.ReachabilityPublic, "/ip4/203.0.114.9/tcp/9")
	l.expect(t, "an address that nobody thought of", "["+bound+"]", "["+bound+"]")
	l.judged = false
	l.say(core.ReachabilityUnknown)
	l.expect(t, "nobody finds out", "["+bound+" "+mapped+"]", "["+bound+" "+mapped+"]")
	withdraw()
	l.expect(t, "withdrawn", "["+bound+"]", "["+bound+"]")
	l.configure(addrRules{announce: addrList(mapped)})
	l.say(core.ReachabilityPrivate, mapped)
	l.expect(t, "what the operator announces stays", "["+mapped+"]", "["+mapped+"]")
}

func TestAnnounce(t *testing.T) {
	l := newListing(t, "/memory/1")
	l.expect(t, "before", "[]")
	l.update()
	l.expect(t, "listening", "[/memory/1]", "[/memory/1]")
	l.update()
	l.expect(t, "nothing new", "[/memory/1]")
	mine := addrList("/memory/3", "/memory/2")
	withdraw := l.Announce(mine...)
	mine[0] = nil
	l.expect(t, "announced", "[/memory/1 /memory/2 /memory/3]", "[/memory/1 /memory/2 /memory/3]")
	again := l.Announce(addrList("/memory/1", "/memory/2", "/memory/2")...)
	l.expect(t, "announced twice", "[/memory/1 /memory/2 /memory/3]")
	none := l.Announce()
	none()
	l.expect(t, "nothing announced", "[/memory/1 /memory/2 /memory/3]")
	withdraw()
	l.expect(t, "withdrawn by one", "[/memory/1 /memory/2]", "[/memory/1 /memory/2]")
	withdraw()
	l.expect(t, "withdrawn again", "[/memory/1 /memory/2]")
	l.bound = nil
	l.update()
	l.expect(t, "listener closed", "[/memory/1 /memory/2]")
	again()
	l.expect(t, "all gone", "[]", "[]")
	l.bound = addrList("/ip4/0.0.0.0/tcp/1")
	l.update()
	const all = "[/ip4/127.0.0.1/tcp/1 /ip4/192.168.1.7/tcp/1 /ip4/203.0.113.9/tcp/1]"
	l.expect(t, "on all interfaces", all, all)
	if got := fmt.Sprint(l.ListenAddrs()); got != "[/ip4/0.0.0.0/tcp/1]" {
		t.Errorf("listening on %s", got)
	}
}

// A module that announces and withdraws when it hears of a change is served.
func TestAnnounceFromASubscriber(t *testing.T) {
	l := newListing(t, "/memory/1")
	var withdraw func()
	core.On(l.bus, func(e core.LocalAddrsChanged) {
		switch len(l.Addrs()) {
		case 1:
			withdraw = l.Announce(addrList("/memory/2", "/memory/3")...)
		case 3:
			if withdraw != nil {
				l.bound = append(l.bound, addrList("/memory/4", "/memory/5", "/memory/6")...)
				withdraw()
			}
		}
	})
	l.update()
	l.expect(t, "after", "[/memory/1 /memory/4 /memory/5 /memory/6]",
		"[/memory/1]", "[/memory/1 /memory/2 /memory/3]", "[/memory/1 /memory/4 /memory/5 /memory/6]")
}

func TestConcurrentAnnouncements(t *testing.T) {
	l := newListing(t, "/memory/1")
	l.update()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 50 {
				withdraw := l.Announce(addrList(fmt.Sprintf("/memory/%d", 100*(i+1)+n))...)
				l.Addrs()
				if i > 0 || n < 49 {
					withdraw()
				}
			}
		})
	}
	wg.Wait()
	if got := fmt.Sprint(l.Addrs()); got != "[/memory/1 /memory/149]" {
		t.Errorf("addresses %s", got)
	}
	if last := l.events[len(l.events)-1]; last != "[/memory/1 /memory/149]" {
		t.Errorf("the last event says %s", last)
	}
}

func TestAddrRules(t *testing.T) {
	t.Setenv("XNODE_TEST_HOST", "node.example.org")
	for name, tc := range map[string]struct {
		config AddrsConfig
		want   string
	}{
		"as found": {AddrsConfig{}, "[/ip4/127.0.0.1/tcp/1 /ip4/192.168.1.7/tcp/1 /ip4/203.0.113.9/tcp/1]"},
		"instead":  {AddrsConfig{Announce: []string{"/dns4/{env.XNODE_TEST_HOST}/tcp/4001"}}, "[/dns4/node.example.org/tcp/4001]"},
		"as well": {AddrsConfig{Append: []string{"/ip4/45.1.2.3/tcp/9"}},
			"[/ip4/45.1.2.3/tcp/9 /ip4/127.0.0.1/tcp/1 /ip4/192.168.1.7/tcp/1 /ip4/203.0.113.9/tcp/1]"},
		"filtered": {AddrsConfig{Filter: []string{"private", "127.0.0.0/8"}, Append: []string{"/ip4/10.0.0.9/tcp/1"}},
			"[/ip4/10.0.0.9/tcp/1 /ip4/203.0.113.9/tcp/1]"},
		"all three": {AddrsConfig{Announce: []string{"/ip4/10.0.0.8/tcp/1"}, Filter: []string{"private"}, Append: []string{"/ip4/10.0.0.9/tcp/1"}},
			"[/ip4/10.0.0.8/tcp/1 /ip4/10.0.0.9/tcp/1]"},
	} {
		rules, err := tc.config.rules()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		l := newListing(t, "/ip4/0.0.0.0/tcp/1")
		l.configure(rules)
		l.update()
		if got := fmt.Sprint(l.Addrs()); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
	id := peer.FromPublicKey(peer.Ed25519FromSeed([32]byte{1}).Public()).String()
	for want, c := range map[string]AddrsConfig{
		`announce/1: "1.2.3.4" is no multiaddr`:             {Announce: []string{"/ip4/1.2.3.4/tcp/1", "1.2.3.4"}},
		"append/0: /ip4/1.2.3.4/tcp/1/p2p/" + id + " names": {Append: []string{"/ip4/1.2.3.4/tcp/1/p2p/" + id}},
		"announce/0: /ip4/0.0.0.0/tcp/1 cannot be dialled":  {Announce: []string{"/ip4/0.0.0.0/tcp/1"}},
		"filter: ": {Filter: []string{"everything"}},
	} {
		if _, err := c.rules(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// observer is a connection from a peer somewhere on the Internet.
type observer struct {
	core.Conn
	remote string
}

func (*observer) LocalMultiaddr() ma.Multiaddr    { return ma.StringCast("/ip4/192.168.1.7/tcp/1") }
func (o *observer) RemoteMultiaddr() ma.Multiaddr { return ma.StringCast(o.remote) }
func (*observer) Stat() core.ConnStat             { return core.ConnStat{} }

// What peers see is told to others while enough of them are there.
func TestObservedAddrs(t *testing.T) {
	l := newListing(t, "/ip4/192.168.1.7/tcp/1")
	l.update()
	l.expect(t, "alone", "[/ip4/192.168.1.7/tcp/1]", "[/ip4/192.168.1.7/tcp/1]")
	var last *observer
	for i := range 4 {
		l.expect(t, "too few", "[/ip4/192.168.1.7/tcp/1]")
		last = &observer{remote: fmt.Sprintf("/ip4/44.0.%d.1/tcp/1", i)}
		l.bus.Emit(core.Identified{Conn: last, ObservedAddr: ma.StringCast("/ip4/45.1.2.3/tcp/9")})
	}
	l.expect(t, "four", "[/ip4/45.1.2.3/tcp/9 /ip4/192.168.1.7/tcp/1]", "[/ip4/45.1.2.3/tcp/9 /ip4/192.168.1.7/tcp/1]")
	l.bus.Emit(core.Disconnected{Conn: last})
	l.expect(t, "one is gone", "[/ip4/192.168.1.7/tcp/1]", "[/ip4/192.168.1.7/tcp/1]")
}
