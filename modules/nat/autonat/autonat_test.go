// SPDX-License-Identifier: Apache-2.0 OR MIT

package autonat

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

func addr(text string) ma.Multiaddr { return ma.StringCast(text) }

// load makes the module for a network where there is a way to everywhere, and
// nobody waits.
func load(t testing.TB, config string) *Service {
	t.Helper()
	s := coretest.MustLoad[*Service](t, "autonat", config)
	s.routed = func(netip.Addr) bool { return true }
	s.pause = func(time.Duration) time.Duration { return 0 }
	return s
}

func start(t testing.TB, n *coretest.FakeNode, config string) *Service {
	t.Helper()
	s := load(t, config)
	if err := s.Start(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// internet is a client, the first, and servers in as many networks; and as many
// more nodes that run nothing.
func internet(t testing.TB, servers int, config string, more ...int) (nodes []*coretest.FakeNode) {
	t.Helper()
	all := servers + 1
	for _, n := range more {
		all += n
	}
	nodes = coretest.FakeNodes(t, all)
	for i, n := range nodes {
		n.SetAddr(addr(fmt.Sprintf("/ip4/5.1.%d.1/tcp/4001", i)))
	}
	for _, n := range nodes[1 : servers+1] {
		start(t, n, config)
	}
	return nodes
}

func connect(t testing.TB, from, to *coretest.FakeNode) core.Conn {
	t.Helper()
	c, err := from.Connect(t.Context(), infoOf(to))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var here4 = netip.MustParseAddr("5.1.0.1")

const here = "/ip4/5.1.0.1/tcp/4001" // where the client is

func TestReachability(t *testing.T) {
	for name, tc := range map[string]struct {
		servers, client string
		open            []ma.Multiaddr
		node            core.Reachability
		addr            string // of the addresses
	}{
		"public":               {`{"roles":["server"]}`, `{"roles":["client"]}`, []ma.Multiaddr{addr(here)}, core.ReachabilityPublic, "public"},
		"private":              {`{"roles":["server"]}`, `{"roles":["client"]}`, nil, core.ReachabilityPrivate, "private"},
		"public, version 1":    {`{"versions":[1]}`, `{"roles":["client"]}`, []ma.Multiaddr{addr(here)}, core.ReachabilityPublic, "unknown"},
		"private, version 1":   {`{"versions":[1]}`, `{"roles":["client"]}`, nil, core.ReachabilityPrivate, "unknown"},
		"client of version 1":  {`{}`, `{"versions":[1]}`, []ma.Multiaddr{addr(here)}, core.ReachabilityPublic, ""},
		"nobody speaks it":     {`{"versions":[1]}`, `{"versions":[2]}`, nil, core.ReachabilityUnknown, "unknown"},
		"more is needed":       {`{}`, `{"confirmations":4}`, []ma.Multiaddr{addr(here)}, core.ReachabilityUnknown, "unknown"},
		"both roles, one peer": {`{}`, `{"confirmations":1}`, []ma.Multiaddr{addr(here)}, core.ReachabilityPublic, "public"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nodes := internet(t, 3, tc.servers)
				client := nodes[0]
				client.SetOpen(tc.open...)
				var events []core.Reachability
				var addrs []core.AddrsReachabilityChanged
				core.On(client, func(e core.ReachabilityChanged) { events = append(events, e.Reachability) })
				core.On(client, func(e core.AddrsReachabilityChanged) { addrs = append(addrs, e) })
				s := start(t, client, tc.client)
				for _, n := range nodes[1:] {
					connect(t, client, n)
				}
				time.Sleep(time.Minute)
				reach := s.Reach()
				if reach.Reachability != tc.node {
					t.Errorf("the node is %s, want %s", reach.Reachability, tc.node)
				}
				if got := len(reach.Addrs); (got == 0) != (tc.addr == "") {
					t.Errorf("%d addresses", got)
				}
				for _, a := range reach.Addrs {
					if a.Reachability.String() != tc.addr || a.Addr.String() != here {
						t.Errorf("%s is %s, want %s", a.Addr, a.Reachability, tc.addr)
					}
				}
				if tc.node == core.ReachabilityUnknown && len(events) > 0 || tc.node != core.ReachabilityUnknown && !slices.Equal(events, []core.Reachability{tc.node}) {
					t.Errorf("events %v", events)
				}
				s.Close()
				synctest.Wait()
				if n := len(addrs); n > 0 && len(addrs[n-1].Addrs) != 0 {
					t.Errorf("what was found out outlives the module: %v", addrs[n-1])
				}
				if n := len(events); n > 0 && events[n-1] != core.ReachabilityUnknown {
					t.Errorf("the node is %s without the module", events[n-1])
				}
			})
		})
	}
}

// A way in that closes is noticed, and so is a new address.
func TestReachabilityChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := internet(t, 4, `{}`)
		client := nodes[0]
		client.SetOpen(addr(here))
		s := start(t, client, `{}`)
		for _, n := range nodes[1:] {
			connect(t, client, n)
		}
		time.Sleep(time.Minute)
		if r := s.Reach().Reachability; r != core.ReachabilityPublic {
			t.Fatalf("the node is %s", r)
		}
		client.SetOpen()
		time.Sleep(time.Duration(s.Recheck) + time.Minute)
		if r := s.Reach().Reachability; r != core.ReachabilityPrivate {
			t.Errorf("after the way has closed, the node is %s", r)
		}
		mapped := addr("/ip4/5.1.0.1/tcp/7777")
		client.SetOpen(mapped)
		withdraw := client.Suggest(mapped)
		time.Sleep(time.Minute)
		if r := s.Reach(); r.Reachability != core.ReachabilityPublic || len(r.Addrs) != 2 {
			t.Errorf("with a mapped address, the node is %v", r)
		}
		withdraw()
		time.Sleep(time.Minute)
		if r := s.Reach(); r.Reachability != core.ReachabilityPrivate || len(r.Addrs) != 1 {
			t.Errorf("without it, the node is %v", r)
		}
		client.SetOpen(addr(here))
		client.Emit(core.NetworkChanged{})
		time.Sleep(time.Minute)
		if r := s.Reach(); r.Reachability != core.ReachabilityPublic {
			t.Errorf("in another network, the node is %v", r)
		}
	})
}

func TestLifecycle(t *testing.T) {
	coretest.TestLifecycle(t, func(t *testing.T) core.Service { return load(t, `{}`) })
}

func TestConfig(t *testing.T) {
	for config, want := range map[string]string{
		`{}`: "",
		`{"roles":["client"],"versions":[2],"confirmations":1,"recheck":"1m","retry":"10s","allow_private":true}`: "",
		`{"server":{"requests":100,"peer_requests":10,"data_requests":1,"requests_v1":3,"peer_requests_v1":1}}`:   "",
		`{"roles":[]}`:                 "must not be empty",
		`{"roles":["relay"]}`:          `"relay"`,
		`{"versions":[3]}`:             "want 1 or 2",
		`{"confirmations":9}`:          "want 1 to 8",
		`{"confirmations":-1}`:         "want 1 to 8",
		`{"recheck":"1ms"}`:            "at least 1s",
		`{"retry":"1h"}`:               "1s to recheck",
		`{"server":{"requests":-1}}`:   "server/requests",
		`{"server":{"requests":9999}}`: "want 1 to 6000",
		`{"servers":{}}`:               "servers",
	} {
		s, err := coretest.Load[*Service](t, "autonat", config)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", config, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, %v; want an error with %q", config, s, err, want)
		}
	}
}
