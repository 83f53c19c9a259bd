// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"slices"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

const (
	wideProtocol = "/ipfs/kad/1.0.0"
	lanProtocol  = "/ipfs/lan/kad/1.0.0"
)

func startAs(t *testing.T, n *coretest.FakeNode, config string) *Kad {
	t.Helper()
	k := load(t, config)
	n.SetModules(newStorage(t, n), k)
	if err := k.Start(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

// TestModeFollowsReachability has a node become reachable and unreachable.
func TestModeFollowsReachability(t *testing.T) {
	n := coretest.FakeNodes(t, 1)[0]
	startAs(t, n, `{}`)
	want := func(what string, protocols ...string) {
		t.Helper()
		slices.Sort(protocols)
		got := func() []string { p := n.Protocols(); slices.Sort(p); return p }
		waitFor(t, func() bool { return slices.Equal(got(), protocols) })
		if !slices.Equal(got(), protocols) {
			t.Errorf("%s: serves %v", what, got())
		}
	}
	want("at first", lanProtocol)
	n.Emit(core.ReachabilityChanged{Reachability: core.ReachabilityPublic})
	want("public", wideProtocol, lanProtocol)
	n.Emit(core.ReachabilityChanged{Reachability: core.ReachabilityPrivate})
	want("private", lanProtocol)
	n.Emit(core.ReachabilityChanged{Reachability: core.ReachabilityUnknown})
	withdraw := n.Announce(ma.StringCast("/ip4/1.2.3.4/tcp/4001"))
	want("a public address", wideProtocol, lanProtocol)
	withdraw()
	relayed := n.Announce(ma.StringCast("/ip4/1.2.3.4/tcp/4001/p2p-circuit"))
	defer relayed()
	want("a relayed address", lanProtocol)
}

func TestModes(t *testing.T) {
	for config, want := range map[string][]string{
		`{"mode": "client"}`:                      nil,
		`{"mode": "server"}`:                      {wideProtocol, lanProtocol},
		`{"mode": "server", "lan": "off"}`:        {wideProtocol},
		`{"network": "x"}`:                        {"/x/kad/1.0.0"},
		`{"network": "x", "mode": "client"}`:      nil,
		`{"prefix": "/y", "mode": "server"}`:      {"/y/kad/1.0.0", "/y/lan/kad/1.0.0"},
		`{"protocol": "/z/1", "mode": "server"}`:  {"/z/1"},
		`{"protocol": "/z/1", "network": "anyz"}`: {"/z/1"},
	} {
		t.Run(config, func(t *testing.T) {
			n := coretest.FakeNodes(t, 1)[0]
			startAs(t, n, config)
			got := n.Protocols()
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("serves %v, want %v", got, want)
			}
		})
	}
}
