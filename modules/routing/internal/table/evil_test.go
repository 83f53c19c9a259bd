// SPDX-License-Identifier: Apache-2.0 OR MIT

package table

import (
	"net/netip"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/modules/routing/internal/keyspace"
)

func TestEvil_K6_ManyPeersOfOneNetworkGetFewPlaces(t *testing.T) {
	for name, address := range map[string]func(n int) netip.Addr{
		"IPv4 /16": func(n int) netip.Addr { return netip.AddrFrom4([4]byte{93, 184, byte(n >> 8), byte(n)}) },
		"IPv6 /32": func(n int) netip.Addr {
			return netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, byte(n), byte(n >> 8), 15: 1})
		},
	} {
		tab := New(self, Config{})
		for n := range 5000 {
			tab.Candidate(id(n), address(n), start)
			tab.Answered(id(n), address(n), start)
		}
		if tab.Len() != 3 {
			t.Errorf("%s: %d members", name, tab.Len())
		}
		for i, b := range tab.buckets {
			if len(b.members) > 2 {
				t.Errorf("%s: %d members in bucket %d", name, len(b.members), i)
			}
		}
		// There is room for others.
		for n := range 5000 {
			tab.Answered(id(10_000+n), ip(n), start)
		}
		if tab.Len() < 100 {
			t.Errorf("%s: only %d members with honest ones", name, tab.Len())
		}
	}
}

func TestEvil_K6_PeersMoveIntoOneNetwork(t *testing.T) {
	tab := New(self, Config{})
	for n := range 500 {
		tab.Answered(id(n), ip(n), start)
	}
	for n := range 500 {
		tab.Answered(id(n), ip(3), start.Add(time.Minute))
	}
	n := 0
	for m := range tab.Members() {
		if m.Group == tab.Group(ip(3)) {
			n++
		}
	}
	if n > 3 {
		t.Errorf("%d members of one group", n)
	}
}

func TestEvil_K6_ThoseWhoNeverAnswerDisplaceNobody(t *testing.T) {
	tab := New(self, Config{})
	peers := at(4, 28)
	for i, p := range peers {
		tab.Answered(p, ip(i), start)
	}
	now := start
	for round := range 50 {
		now = now.Add(time.Minute)
		for n := range 200 {
			p := id(1<<50 + round*200 + n)
			if tab.Candidate(p, ip(100+n), now) {
				tab.Failed(p, now)
			}
		}
		for i, p := range peers {
			tab.Answered(p, ip(i), now)
		}
	}
	for i, p := range peers[:20] {
		if !tab.Has(p) {
			t.Errorf("member %d lost its place", i)
		}
	}
	b := tab.bucket(keyspace.OfPeer(peers[0]))
	if len(b.spares) != tab.Spares {
		t.Errorf("%d spares", len(b.spares))
	}
	for i := range b.spares {
		if b.spares[i].answered == 0 {
			t.Error("who never answered displaced a spare that did")
		}
	}
}

func TestEvil_K9_ModeFlappingLeavesNothing(t *testing.T) {
	tab := New(self, Config{})
	peers := at(2, 30)
	now := start
	for range 1000 {
		now = now.Add(time.Second)
		for i, p := range peers {
			tab.Candidate(p, ip(i), now)
			tab.Answered(p, ip(i), now)
			tab.Remove(p, now) // it turned client
		}
	}
	if tab.Len() != 0 || len(tab.Probe(100, now.Add(time.Hour))) != 0 {
		t.Errorf("%d members", tab.Len())
	}
}
