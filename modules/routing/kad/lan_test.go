// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"slices"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
	_ "github.com/xnode-p2p/xnode/modules/transport/tcp"
)

// TestLan has nodes that nobody on the internet can reach find each other's
// content by the DHT of the local network, and stay out of the public one.
func TestLan(t *testing.T) {
	nodes := hosttest.NewNetwork(memnet.Options{}).Nodes(t, 3, `{
		"storage": {"module": "memory"}, "transports": {"tcp": {}}, "listen": ["/ip4/127.0.0.1/tcp/0"],
		"routing": {"kad": {}}}`)
	overTCP := func(i int) peer.AddrInfo {
		info := hosttest.Info(nodes[i])
		info.Addrs = slices.DeleteFunc(info.Addrs, func(a ma.Multiaddr) bool { return !strings.Contains(a.String(), "/tcp/") })
		return info
	}
	for i := range 2 {
		if _, err := nodes[i].Connect(t.Context(), overTCP(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range nodes {
		waitFor(t, func() bool { return dhtOf(t, n).dhts[1].contacts.size() > 0 })
	}
	if err := dhtOf(t, nodes[0]).Provide(t.Context(), []byte("content")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		for p, err := range dhtOf(t, nodes[2]).FindProviders(t.Context(), []byte("content"), 1) {
			return err == nil && p.ID == nodes[0].ID() && len(p.Addrs) > 0
		}
		return false
	})
	info, err := dhtOf(t, nodes[2]).FindPeer(t.Context(), nodes[0].ID())
	if err != nil || len(info.Addrs) == 0 {
		t.Errorf("find peer: %v, %v", info, err)
	}
	for i, n := range nodes {
		wide := dhtOf(t, n).dhts[0]
		if wide.contacts.size() > 0 || wide.server.Load() {
			t.Errorf("node %d: the public DHT has %d peers, server %v", i, wide.contacts.size(), wide.server.Load())
		}
	}
}

// TestScopesAdmit is whose addresses make a peer one of a network.
func TestScopesAdmit(t *testing.T) {
	for addr, want := range map[string][3]bool{ // of the internet, the local network, a private network
		"/ip4/1.2.3.4/tcp/1":             {true, false, true},
		"/dns4/example.org/tcp/1":        {true, false, true},
		"/ip4/10.1.2.3/tcp/1":            {false, true, true},
		"/ip4/127.0.0.1/tcp/1":           {false, true, true},
		"/ip6/fe80::1/tcp/1":             {false, true, true},
		"/memory/1":                      {false, false, true},
		"/ip4/1.2.3.4/tcp/1/p2p-circuit": {false, false, false},
	} {
		for s, want := range want {
			if got := scope(s).admits([]ma.Multiaddr{ma.StringCast(addr)}); got != want {
				t.Errorf("scope %d, %s: %v", s, addr, got)
			}
		}
	}
}

// TestNobodyToAsk is what a node without peers says.
func TestNobodyToAsk(t *testing.T) {
	n := coretest.FakeNodes(t, 1)[0]
	k := start(t, n, `"open_namespaces": ["v"]`)
	check := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), errNoPeers.Error()) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := k.FindPeer(t.Context(), peer.FromPublicKey(coretest.NewIdentity(9).PublicKey()))
	check("find peer", err)
	_, err = k.ClosestPeers(t.Context(), []byte("x"))
	check("closest peers", err)
	check("provide", k.Provide(t.Context(), []byte("x")))
	check("put value", k.PutValue(t.Context(), "/v/x", []byte("x")))
	for _, err := range k.Crawl(t.Context()) {
		check("crawl", err)
	}
	for _, err := range k.FindProviders(t.Context(), []byte("y"), 0) {
		check("find providers", err)
	}
	_, err = k.GetValue(t.Context(), "/v/y")
	check("get value", err)
	if v, err := k.GetValue(t.Context(), "/v/x"); err != nil || string(v) != "x" {
		t.Errorf("what it has itself: %q, %v", v, err)
	}
	if _, err := k.GetValue(t.Context(), "/w/x"); err == nil || !strings.Contains(err.Error(), "unknown namespace") {
		t.Errorf("namespace that nobody checks: %v", err)
	}
	k.Close()
	if _, err := k.FindPeer(t.Context(), n.ID()); err == nil {
		t.Error("it finds peers after its end")
	}
	if k.Stats() != nil {
		t.Error("it has something to tell after its end")
	}
	var _ core.DHT = k
}
