// SPDX-License-Identifier: Apache-2.0 OR MIT

package peerstore

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// id makes a peer ID out of a number.
func id(n int) peer.ID {
	b := make([]byte, 34)
	b[0], b[1] = 0x12, 32
	binary.BigEndian.PutUint64(b[2:], uint64(n))
	return peer.ID(b)
}

func addr(t testing.TB, text string) ma.Multiaddr {
	t.Helper()
	a, err := ma.NewMultiaddr(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func addrs(t testing.TB, texts ...string) []ma.Multiaddr {
	t.Helper()
	var list []ma.Multiaddr
	for _, text := range texts {
		list = append(list, addr(t, text))
	}
	return list
}

// have returns what the book knows, as sorted text.
func have(b *Book, p peer.ID) []string {
	list := []string{}
	for _, a := range b.PeerAddrs(p) {
		list = append(list, a.String())
	}
	slices.Sort(list)
	return list
}

func expect(t *testing.T, b *Book, p peer.ID, want ...string) {
	t.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(append([]string{}, want...), have(b, p)); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
}

func TestAdd(t *testing.T) {
	other := id(9).String()
	own := id(1).String()
	for _, tt := range []struct {
		name string
		in   string
		want []string
	}{
		{"plain", "/ip4/192.0.2.1/tcp/1", []string{"/ip4/192.0.2.1/tcp/1"}},
		{"own ID", "/ip4/192.0.2.1/tcp/1/p2p/" + own, []string{"/ip4/192.0.2.1/tcp/1"}},
		{"another ID", "/ip4/192.0.2.1/tcp/1/p2p/" + other, nil},
		{"through a relay", "/ip4/192.0.2.1/tcp/1/p2p/" + other + "/p2p-circuit", []string{"/ip4/192.0.2.1/tcp/1/p2p/" + other + "/p2p-circuit"}},
		{"nothing but the ID", "/p2p/" + own, nil},
		{"1 KiB", "/dns/" + strings.Repeat("a", 1019) + "/tcp/1", nil},
		{"E5 mapped", "/ip6/::ffff:10.0.0.1/tcp/1", []string{"/ip4/10.0.0.1/tcp/1"}},
		{"E5 mapped, hex", "/ip6/::ffff:7f00:1/udp/1/quic-v1", []string{"/ip4/127.0.0.1/udp/1/quic-v1"}},
		{"E5 not mapped", "/ip6/::fffe:7f00:1/tcp/1", []string{"/ip6/::fffe:7f00:1/tcp/1"}},
		{"no IP", "/dns4/example.com/tcp/1", []string{"/dns4/example.com/tcp/1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := New(Config{}, nil)
			b.AddPeerAddrs(id(1), core.TempTTL, addr(t, tt.in), nil, ma.Multiaddr{})
			b.AddPeerAddrs(id(1), core.TempTTL, addr(t, tt.in))
			expect(t, b, id(1), tt.want...)
			if n := len(b.KnownPeers()); n != min(1, len(tt.want)) || len(b.entries) != n {
				t.Errorf("%d known peers, %d entries", n, len(b.entries))
			}
		})
	}
	b := New(Config{}, nil)
	b.AddPeerAddrs("no peer ID", core.TempTTL, addr(t, "/ip4/192.0.2.1/tcp/1"))
	b.AddPeerAddrs(id(1), 0, addr(t, "/ip4/192.0.2.1/tcp/1"))
	b.AddPeerAddrs(id(1), -1, addr(t, "/ip4/192.0.2.1/tcp/1"))
	if len(b.entries) != 0 {
		t.Error("stored what is none")
	}
}

func TestTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{}, time.Now)
		b.AddPeerAddrs(id(1), core.PermanentTTL, addr(t, "/memory/1"))
		b.AddPeerAddrs(id(1), core.TempTTL, addr(t, "/memory/2"))
		b.AddPeerAddrs(id(1), core.DiscoveredTTL, addr(t, "/memory/3"))
		b.AddPeerAddrs(id(1), core.ConnectedTTL, addr(t, "/memory/4")) // not connected: recent
		b.AddPeerAddrs(id(2), core.TempTTL, addr(t, "/memory/5"))
		b.AddPeerAddrs(id(2), time.Second, addr(t, "/memory/5")) // never shortened
		b.AddPeerAddrs(id(3), core.ConnectedTTL-1, addr(t, "/memory/6"))
		time.Sleep(core.TempTTL - 1)
		expect(t, b, id(1), "/memory/1", "/memory/2", "/memory/3", "/memory/4")
		expect(t, b, id(2), "/memory/5")
		time.Sleep(time.Nanosecond)
		expect(t, b, id(1), "/memory/1", "/memory/3", "/memory/4")
		expect(t, b, id(2))
		if n := len(b.KnownPeers()); n != 2 {
			t.Errorf("%d peers known", n)
		}
		b.AddPeerAddrs(id(1), core.DiscoveredTTL, addr(t, "/memory/3")) // prolonged
		if _, there := b.entries[id(2)]; there {
			t.Error("the expired peer is not swept")
		}
		time.Sleep(core.DiscoveredTTL - 1)
		expect(t, b, id(1), "/memory/1", "/memory/3", "/memory/4")
		time.Sleep(core.RecentTTL)
		expect(t, b, id(1), "/memory/1")
		time.Sleep(1e6 * time.Hour)
		expect(t, b, id(1), "/memory/1")
		expect(t, b, id(3), "/memory/6")
	})
}

func TestConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{}, time.Now)
		b.Disconnected(id(1)) // unknown: nothing happens
		b.Connected(id(1))
		b.AddPeerAddrs(id(1), core.ConnectedTTL, addr(t, "/memory/1"))
		b.AddPeerAddrs(id(1), core.PermanentTTL, addr(t, "/memory/2"))
		added, removed, _ := b.SetIdentified(id(1), Identified{Protocols: []string{"/b", "/a", "/b"}, Agent: "x\x1b[0m"})
		if diff := cmp.Diff([]string{"/a", "/b"}, added); diff != "" || removed != nil {
			t.Error(diff, removed)
		}
		if a := b.PeerAgent(id(1)); a != `x\x1b[0m` {
			t.Errorf("agent %q", a)
		}
		time.Sleep(1e6 * time.Hour)
		expect(t, b, id(1), "/memory/1", "/memory/2")
		b.Disconnected(id(1))
		b.Disconnected(id(1))
		time.Sleep(core.RecentTTL - 1)
		expect(t, b, id(1), "/memory/1", "/memory/2")
		if p, ok := b.SupportsProtocol(id(1), "/z", "/b"); p != "/b" || !ok {
			t.Error("protocols forgotten too early")
		}
		time.Sleep(time.Nanosecond)
		expect(t, b, id(1), "/memory/2")
		b.Forget(id(1))
		b.Forget(id(1))
		if len(b.entries) != 0 || b.facts.count != 0 || b.facts.bytes != 0 {
			t.Error("something is left")
		}

		// A peer that never told an address is forgotten with its connection.
		b.Connected(id(2))
		b.SetIdentified(id(2), Identified{Protocols: []string{"/a"}})
		b.Disconnected(id(2))
		if len(b.entries) != 0 {
			t.Error("a peer without addresses is left")
		}
	})
}

func TestIdentified(t *testing.T) {
	b := New(Config{}, nil)
	if added, _, _ := b.SetIdentified(id(1), Identified{Protocols: []string{"/a"}}); added != nil || len(b.entries) > 0 {
		t.Error("stored although it is not connected")
	}
	b.Connected(id(1))
	b.AddPeerAddrs(id(1), core.ConnectedTTL, addr(t, "/memory/1"))
	b.SetIdentified(id(1), Identified{Protocols: []string{"/a", "/b"}, Agent: "x", ProtocolVersion: "v", Addrs: addrs(t, "/memory/2", "/memory/3")})
	expect(t, b, id(1), "/memory/1", "/memory/2", "/memory/3")

	b.SetIdentified(id(1), Identified{Protocols: []string{"/a", "/b"}, Agent: "x", ProtocolVersion: "v", Addrs: addrs(t, "/memory/2", "/memory/3", "/memory/9"),
		Accept: func(a ma.Multiaddr) bool { return a.String() != "/memory/9" }})
	expect(t, b, id(1), "/memory/1", "/memory/2", "/memory/3")

	// Absent is not cleared.
	added, removed, _ := b.SetIdentified(id(1), Identified{Partial: true, Agent: "y"})
	if added != nil || removed != nil || b.PeerAgent(id(1)) != "y" || b.PeerProtocolVersion(id(1)) != "v" {
		t.Error(added, removed, b.PeerAgent(id(1)), b.PeerProtocolVersion(id(1)))
	}
	expect(t, b, id(1), "/memory/1", "/memory/2", "/memory/3")
	added, removed, _ = b.SetIdentified(id(1), Identified{Partial: true, Protocols: []string{"/c", "/a"}, Addrs: addrs(t, "/memory/4")})
	if diff := cmp.Diff([][]string{{"/c"}, {"/b"}}, [][]string{added, removed}); diff != "" {
		t.Error(diff)
	}
	expect(t, b, id(1), "/memory/1", "/memory/4")
	if diff := cmp.Diff([]string{"/a", "/c"}, b.PeerProtocols(id(1))); diff != "" {
		t.Error(diff)
	}
	_, removed, _ = b.SetIdentified(id(1), Identified{})
	if diff := cmp.Diff([]string{"/a", "/c"}, removed); diff != "" || b.PeerAgent(id(1)) != "" {
		t.Error(diff, b.PeerAgent(id(1)))
	}
	expect(t, b, id(1), "/memory/1")
}

func TestSupportsProtocolAllocatesNothing(t *testing.T) {
	b := New(Config{}, nil)
	b.Connected(id(1))
	b.SetIdentified(id(1), Identified{Protocols: []string{"/ipfs/ping/1.0.0", "/echo/1.0.0"}})
	p := id(1)
	n := testing.AllocsPerRun(100, func() {
		if _, ok := b.SupportsProtocol(p, "/nothing", "/echo/1.0.0"); !ok {
			t.Error("echo not found")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRace(t *testing.T) {
	b := New(Config{Addrs: 50, Records: 5}, nil)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 300 {
				p := id(i % 20)
				b.AddPeerAddrs(p, core.TempTTL, addr(t, fmt.Sprintf("/memory/%d", 1+i%7)))
				switch (w + i) % 4 {
				case 0:
					b.Connected(p)
				case 1:
					b.SetIdentified(p, Identified{Protocols: []string{"/a"}, Addrs: addrs(t, "/memory/99")})
				case 2:
					b.Disconnected(p)
				case 3:
					b.KnownPeers()
					b.PeerAddrs(p)
					b.PeerProtocols(p)
					b.SupportsProtocol(p, "/a")
				}
			}
		})
	}
	wg.Wait()
	check(t, b)
}

// check verifies the book's accounts.
func check(t *testing.T, b *Book) {
	t.Helper()
	expiring, withFacts, bytes := 0, 0, 0
	for p, e := range b.entries {
		if e.id != p {
			t.Errorf("entry of %s under %s", e.id, p)
		}
		if e.connected {
			if e.place != nowhere {
				t.Errorf("%s is connected and in the heap", p)
			}
			continue
		}
		n, soonest := e.expiring, e.soonest
		if e.measure(); n != e.expiring || soonest != e.soonest {
			t.Errorf("%s: accounts are wrong", p)
		}
		if len(e.addrs) == 0 {
			t.Errorf("%s has no addresses", p)
		}
		expiring += e.expiring
		if (e.expiring > 0) != (e.place != nowhere) {
			t.Errorf("%s: place %d with %d expiring addresses", p, e.place, e.expiring)
		}
		if e.facts != nil {
			withFacts++
			bytes += e.facts.bytes()
		}
	}
	if expiring != b.addrs || withFacts != b.facts.count || bytes != b.facts.bytes {
		t.Errorf("counted %d addresses, %d facts of %d bytes; accounts say %d, %d, %d",
			expiring, withFacts, bytes, b.addrs, b.facts.count, b.facts.bytes)
	}
	if b.addrs > b.config.Addrs || b.facts.count > b.config.Records || b.facts.bytes > b.config.RecordBytes {
		t.Error("over the limits")
	}
}
