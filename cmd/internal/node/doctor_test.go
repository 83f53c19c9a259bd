// SPDX-License-Identifier: Apache-2.0 OR MIT

package node

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
)

func addrsOf(texts ...string) (list []ma.Multiaddr) {
	for _, t := range texts {
		list = append(list, ma.StringCast(t))
	}
	return list
}

// healthy are facts of a node on the Internet with nothing wrong.
func healthy() Facts {
	return Facts{
		Running: true, Now: built.Add(time.Hour),
		Interfaces: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("5.6.7.8"), netip.MustParseAddr("2600::7")},
		Route6:     true, Files: 65536, RMem: wantBuffers, WMem: wantBuffers,
		Listen: addrsOf("/ip4/0.0.0.0/udp/4001/quic-v1", "/ip6/::/tcp/4001"),
		Addrs:  addrsOf("/ip4/5.6.7.8/udp/4001/quic-v1"),
		Reach: &core.Reach{
			Reachability: core.ReachabilityPublic,
			Addrs:        []core.AddrReachability{{Addr: ma.StringCast("/ip4/5.6.7.8/udp/4001/quic-v1"), Reachability: core.ReachabilityPublic}},
			Seen:         addrsOf("/ip4/5.6.7.8/udp/4001/quic-v1", "/ip4/5.6.7.8/udp/4001/quic-v1"),
		},
		TCP: 3, UDP: 2,
	}
}

// behindNAT changes them to those of a node behind a router that forwards ports.
func behindNAT(f *Facts) {
	f.Interfaces = []netip.Addr{netip.MustParseAddr("192.168.1.7")}
	f.Maps = &core.PortMaps{Gateway: netip.MustParseAddr("192.168.1.1"), Method: "upnp", Maps: []core.PortMap{{
		Network: "udp", Inside: netip.MustParseAddrPort("192.168.1.7:4001"), Outside: netip.MustParseAddrPort("5.6.7.8:4001")}}}
}

// signedAt has peers sign so much later than it is.
func signedAt(later ...time.Duration) func(*Facts) {
	return func(f *Facts) {
		for _, d := range later {
			f.Signed = append(f.Signed, f.Now.Add(d))
		}
	}
}

func TestDiagnose(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Facts)
		id     string
		status string
		says   string // in the evidence
		remedy string
	}{
		"public":           {nil, "reach.node", "ok", "1 of 1 addresses", ""},
		"private":          {func(f *Facts) { f.Reach.Reachability = core.ReachabilityPrivate }, "reach.node", "warning", "cannot dial", "portmap"},
		"unknown":          {func(f *Facts) { f.Reach.Reachability = core.ReachabilityUnknown }, "reach.node", "unchecked", "not enough peers", ""},
		"nobody finds out": {func(f *Facts) { f.Reach = nil }, "reach.node", "unchecked", "autonat", ""},
		"no node":          {func(f *Facts) { f.Running = false }, "reach.node", "unchecked", "no node is running", ""},
		"no NAT":           {nil, "nat.type", "ok", "none: ", ""},
		"easy NAT":         {behindNAT, "nat.type", "ok", "easy", ""},
		"hard NAT": {func(f *Facts) {
			behindNAT(f)
			f.Reach.Seen = addrsOf("/ip4/5.6.7.8/udp/1001/quic-v1", "/ip4/5.6.7.8/udp/1002/quic-v1", "/ip4/5.6.7.8/udp/1003/quic-v1")
		}, "nat.type", "warning", "hard: 3 peers see the node at 3 different udp ports", "relay"},
		"TCP and UDP apart": {func(f *Facts) {
			behindNAT(f)
			f.Reach.Seen = addrsOf("/ip4/5.6.7.8/udp/1/quic-v1", "/ip4/5.6.7.8/tcp/2", "/ip4/5.6.7.8/tcp/2")
		}, "nat.type", "ok", "easy", ""},
		"one peer": {func(f *Facts) {
			behindNAT(f)
			f.Reach.Seen = f.Reach.Seen[:1]
		}, "nat.type", "unchecked", "two peers", ""},
		"CGNAT here": {func(f *Facts) { f.Interfaces = append(f.Interfaces, netip.MustParseAddr("100.64.1.1")) }, "nat.double", "warning", "carrier-grade NAT: this machine", "provider"},
		"CGNAT at the router": {func(f *Facts) {
			behindNAT(f)
			f.Maps.Maps[0].Outside = netip.MustParseAddrPort("100.99.1.1:1")
		}, "nat.double", "warning", "carrier-grade NAT: the router's address is 100.99.1.1", "provider"},
		"two routers": {func(f *Facts) {
			behindNAT(f)
			f.Maps.Maps[0].Outside = netip.MustParseAddrPort("10.0.0.2:1")
		}, "nat.double", "warning", "two routers", "bridge"},
		"a router that is seen": {func(f *Facts) {
			behindNAT(f)
			f.Maps.Maps[0].Outside = netip.MustParseAddrPort("5.6.7.9:1")
		}, "nat.double", "warning", "5.6.7.9, and peers see 5.6.7.8", "another router"},
		"another router behind it": {func(f *Facts) { f.SecondHop = netip.MustParseAddr("10.0.0.1") }, "nat.double", "warning", "behind the first one there is 10.0.0.1", "both"},
		"CGNAT behind it":          {func(f *Facts) { f.SecondHop = netip.MustParseAddr("100.64.0.1") }, "nat.double", "warning", "100.64.0.1", "provider"},
		"the Internet behind it":   {func(f *Facts) { f.SecondHop = netip.MustParseAddr("9.9.9.9") }, "nat.double", "unchecked", "portmap", ""},
		"a router that knows better": {func(f *Facts) {
			behindNAT(f)
			f.SecondHop = netip.MustParseAddr("10.0.0.1")
		}, "nat.double", "ok", "5.6.7.8", ""},
		"one router":        {behindNAT, "nat.double", "ok", "5.6.7.8", ""},
		"router is silent":  {nil, "nat.double", "unchecked", "portmap", ""},
		"forwards":          {behindNAT, "nat.portmap", "ok", "192.168.1.1 forwards 1 ports, asked by upnp", ""},
		"forwards nothing":  {func(f *Facts) { f.Maps = &core.PortMaps{Err: errors.New("upnp: no answer")} }, "nat.portmap", "warning", "upnp: no answer", "UPnP"},
		"nobody asks":       {nil, "nat.portmap", "unchecked", "portmap", ""},
		"hairpin":           {func(f *Facts) { f.Hairpin = "ok" }, "nat.hairpin", "ok", "lets the node reach itself", ""},
		"no hairpin":        {func(f *Facts) { f.Hairpin = "i/o timeout" }, "nat.hairpin", "warning", "i/o timeout", "mdns"},
		"no hairpin to try": {nil, "nat.hairpin", "unchecked", "no TCP address", ""},
		"needs a relay":     {func(f *Facts) { f.Reach.Reachability = core.ReachabilityPrivate }, "nat.relay", "warning", "no place at a relay", "/p2p-circuit"},
		"has a relay": {func(f *Facts) {
			f.Addrs = addrsOf("/ip4/9.9.9.9/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/p2p-circuit")
		}, "nat.relay", "ok", "1 addresses at relays", ""},
		"UDP":                    {nil, "udp.blocked", "ok", "2 connections", ""},
		"UDP blocked":            {func(f *Facts) { f.UDP, f.TCP = 0, 9 }, "udp.blocked", "warning", "of 9 connections, none", "firewall"},
		"too few":                {func(f *Facts) { f.UDP, f.TCP = 0, 3 }, "udp.blocked", "unchecked", "3 connections", ""},
		"no UDP port":            {func(f *Facts) { f.Listen = nil }, "udp.blocked", "unchecked", "no UDP port", ""},
		"IPv6":                   {nil, "ipv6", "ok", "2600::7", ""},
		"no IPv6":                {behindNAT, "ipv6", "warning", "no IPv6 address", "provider"},
		"no route":               {func(f *Facts) { f.Route6 = false }, "ipv6", "warning", "no way", "routes"},
		"not on IPv6":            {func(f *Facts) { f.Listen = f.Listen[:1] }, "ipv6", "warning", "does not listen on IPv6", "/ip6/::/"},
		"clock":                  {nil, "clock", "unchecked", "too few peers", ""},
		"clock that peers share": {signedAt(-time.Hour, time.Minute, -time.Minute), "clock", "ok", "two of 3 peers", ""},
		"slow clock":             {signedAt(48*time.Hour, 49*time.Hour, -time.Hour), "clock", "warning", "48h0m0s later", "NTP"},
		"one peer is fast":       {signedAt(48*time.Hour, -time.Minute), "clock", "ok", "two of 2 peers", ""},
		"old signatures":         {signedAt(-48*time.Hour, -time.Hour), "clock", "unchecked", "not slow", ""},
		"clock of 1970":          {func(f *Facts) { f.Now = time.Unix(0, 0) }, "clock", "error", "1970", "set the clock"},
		"files":                  {nil, "files", "ok", "65536", ""},
		"few files":              {func(f *Facts) { f.Files = 1024 }, "files", "warning", "1024 files", "ulimit -n 4096"},
		"files unknown":          {func(f *Facts) { f.Files = 0 }, "files", "unchecked", "does not say", ""},
		"buffers":                {nil, "udp.buffers", "ok", "7168 KiB", ""},
		"small buffers":          {func(f *Facts) { f.RMem = 212992 }, "udp.buffers", "warning", "208 KiB to receive", "sysctl -w net.core.rmem_max=7340032"},
		"buffers unknown":        {func(f *Facts) { f.WMem = 0 }, "udp.buffers", "unchecked", "does not say", ""},
	} {
		f := healthy()
		if tc.change != nil {
			tc.change(&f)
		}
		found := false
		for _, c := range Diagnose(f).Checks {
			if c.ID != tc.id {
				continue
			}
			found = true
			if c.Status != tc.status || !strings.Contains(c.Evidence, tc.says) || !strings.Contains(c.Remedy, tc.remedy) || (c.Remedy == "") != (tc.remedy == "") {
				t.Errorf("%s: %+v, want %+v", name, c, tc)
			}
		}
		if !found {
			t.Errorf("%s: there is no check %s", name, tc.id)
		}
	}
}

// Whatever the facts are, each check has its evidence, and nothing that is only
// known of a node is said without one.
func TestDiagnoseWithoutANode(t *testing.T) {
	for _, f := range []Facts{{}, MachineFacts(), {Running: true}} {
		d := Diagnose(f)
		if len(d.Checks) != len(checks) {
			t.Errorf("%d checks", len(d.Checks))
		}
		for _, c := range d.Checks {
			if c.ID == "" || c.Status == "" || c.Evidence == "" {
				t.Errorf("%+v", c)
			}
			if !f.Running && strings.HasPrefix(c.ID, "nat.") && c.ID != "nat.double" && c.Evidence != noNode {
				t.Errorf("without a node: %+v", c)
			}
		}
	}
}
