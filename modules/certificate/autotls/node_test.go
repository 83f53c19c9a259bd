// SPDX-License-Identifier: Apache-2.0 OR MIT

package autotls

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/hosttest"
	"github.com/xnode-p2p/xnode/core/memnet"
	"github.com/xnode-p2p/xnode/core/peer"
	_ "github.com/xnode-p2p/xnode/modules/muxer/yamux"
	_ "github.com/xnode-p2p/xnode/modules/security/noise"
	_ "github.com/xnode-p2p/xnode/modules/transport/tcp"
	_ "github.com/xnode-p2p/xnode/modules/transport/websocket"
)

// named waits until a node announces an address with a name.
func named(t *testing.T, h *host.Host) ma.Multiaddr {
	t.Helper()
	changed := make(chan struct{}, 1)
	stop := core.On(h, func(core.LocalAddrsChanged) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer stop()
	for {
		for _, a := range h.Addrs() {
			if strings.Contains(a.String(), "/sni/") {
				return a
			}
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

// TestNode has a whole node get a certificate, and another one connect to it
// that trusts the authority and nothing else.
func TestNode(t *testing.T) {
	dataDir(t)
	coretest.VerifyNoLeaks(t)
	i := newInternet(t)
	server := fmt.Sprintf(`{"transports": {"tcp": {}, "websocket": {"certificate": {"module": "autotls", %s}},
		"listen": ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0/tls/ws"]}`, strings.TrimPrefix(i.config(), "{"))
	network := hosttest.NewNetwork(memnet.Options{})
	n := network.Node(t, hosttest.Settings{Seed: 1, Config: server, Log: true})
	a := named(t, n)
	want := "/tls/sni/127-0-0-1." + n.ID().CID() + "." + domain + "/ws"
	if !strings.HasSuffix(a.String(), want) {
		t.Errorf("announces %s, want …%s", a, want)
	}
	var sent []string
	for _, l := range n.ListenAddrs() {
		if _, ok := peer.IP(l); ok && !strings.Contains(l.String(), "/tls") {
			sent = append(sent, l.String())
		}
	}
	i.broker.mu.Lock()
	got := slices.Clone(i.broker.addresses)
	i.broker.mu.Unlock()
	if diff := cmp.Diff(sent, got); diff != "" {
		t.Errorf("addresses that the broker got (-want +got):\n%s", diff)
	}
	client := network.Node(t, hosttest.Settings{Seed: 2, Config: fmt.Sprintf(`{"transports": {"websocket": {"root_ca_file": %q}}}`, i.roots.file)})
	connect := func(to *host.Host, a ma.Multiaddr) {
		t.Helper()
		c, err := client.Connect(t.Context(), peer.AddrInfo{ID: to.ID(), Addrs: []ma.Multiaddr{a}})
		if err != nil {
			t.Fatal(err)
		}
		if !c.RemoteMultiaddr().Equal(a) {
			t.Errorf("connected to %s, not %s", c.RemoteMultiaddr(), a)
		}
		c.Close()
	}
	connect(n, a)

	// After a restart there is nothing to ask for.
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	requests := len(i.authority.seen())
	again := network.Node(t, hosttest.Settings{Seed: 1, Config: server})
	connect(again, named(t, again))
	i.broker.mu.Lock()
	defer i.broker.mu.Unlock()
	if len(i.authority.seen()) != requests || i.broker.requests != 2 {
		t.Errorf("%d requests to the authority, %d to the broker", len(i.authority.seen())-requests, i.broker.requests)
	}
}
