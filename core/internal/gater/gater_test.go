// SPDX-License-Identifier: Apache-2.0 OR MIT

package gater

import (
	"errors"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	alice = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
	bob   = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
)

func gater(t *testing.T, c Config) *Gater {
	t.Helper()
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func check(t *testing.T, what string, err error, rule string) {
	t.Helper()
	if rule == "" {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	if !errors.Is(err, core.ErrGated) || !strings.Contains(err.Error(), rule) || !strings.Contains(err.Error(), what) {
		t.Errorf("%s: %v, want %s", what, err, rule)
	}
}

func TestAddr(t *testing.T) {
	const not = "no rule of allow"
	cases := []struct {
		name        string
		allow, deny []string
		addr        string
		refused     string // by which rule; empty if allowed
	}{
		{"no rules", nil, nil, "/ip4/1.2.3.4/tcp/1", ""},
		{"denied address", nil, []string{"1.2.3.4"}, "/ip4/1.2.3.4/tcp/1", "rule 1.2.3.4"},
		{"other address", nil, []string{"1.2.3.4"}, "/ip4/1.2.3.5/tcp/1", ""},
		{"denied range", nil, []string{"9.9.9.9", "1.2.0.0/16"}, "/ip4/1.2.3.4/tcp/1", "rule 1.2.0.0/16"},
		{"host bits", nil, []string{"1.2.3.4/16"}, "/ip4/1.2.200.1/tcp/1", "rule 1.2.3.4/16"},
		{"multiaddr", nil, []string{"/ip4/1.2.3.4"}, "/ip4/1.2.3.4/udp/1/quic-v1", "rule /ip4/1.2.3.4"},
		{"ipcidr", nil, []string{"/ip4/1.2.0.0/ipcidr/16"}, "/ip4/1.2.3.4/tcp/1", "/ipcidr/16"},
		{"ipcidr 6", nil, []string{"/ip6/2001:db8::/ipcidr/32"}, "/ip6/2001:db8:7::1/tcp/1", "/ipcidr/32"},
		{"outside ipcidr", nil, []string{"/ip6/2001:db8::/ipcidr/32"}, "/ip6/2001:db9::1/tcp/1", ""},
		{"everything 4", nil, []string{"0.0.0.0/0"}, "/ip4/1.2.3.4/tcp/1", "rule 0.0.0.0/0"},
		{"everything 4 is not 6", nil, []string{"0.0.0.0/0"}, "/ip6/2600::1/tcp/1", ""},

		{"mapped address", nil, []string{"1.2.3.4"}, "/ip6/::ffff:1.2.3.4/tcp/1", "rule 1.2.3.4"},
		{"mapped rule", nil, []string{"::ffff:1.2.3.4"}, "/ip4/1.2.3.4/tcp/1", "rule ::ffff:1.2.3.4"},
		{"mapped range", nil, []string{"::ffff:1.2.0.0/112"}, "/ip4/1.2.3.4/tcp/1", "/112"},
		{"mapped multiaddr", nil, []string{"/ip6/::ffff:1.2.3.4"}, "/ip4/1.2.3.4/tcp/1", "rule /ip6"},
		{"mapped ipcidr", nil, []string{"/ip6/::ffff:1.2.0.0/ipcidr/112"}, "/ip4/1.2.3.4/tcp/1", "/ipcidr/112"},
		{"mapped private", nil, []string{"private"}, "/ip6/::ffff:10.1.2.3/tcp/1", "rule private"},
		{"mapped loopback", nil, []string{"loopback"}, "/ip6/::ffff:127.0.0.1/tcp/1", "rule loopback"},
		{"zone", nil, []string{"fe80::/10"}, "/ip6zone/eth0/ip6/fe80::1/tcp/1", "rule fe80::/10"},
		{"NAT64", nil, []string{"10.0.0.0/8"}, "/ip6/64:ff9b::a01:203/tcp/1", "rule 10.0.0.0/8"},
		{"6to4", nil, []string{"10.0.0.0/8"}, "/ip6/2002:a01:203::1/tcp/1", "rule 10.0.0.0/8"},
		{"NAT64 is not allowed by its target", []string{"1.2.3.4"}, nil, "/ip6/64:ff9b::102:304/tcp/1", not},

		{"public", nil, []string{"public"}, "/ip4/1.2.3.4/tcp/1", "rule public"},
		{"private is not public", nil, []string{"public"}, "/ip4/192.168.1.1/tcp/1", ""},
		{"loopback is not private", nil, []string{"private"}, "/ip4/127.0.0.1/tcp/1", ""},
		{"public name", nil, []string{"public"}, "/dns4/example.com/tcp/1", "rule public"},
		{"local name", nil, []string{"loopback"}, "/dns/localhost/tcp/1", "rule loopback"},
		{"relay", nil, []string{"1.2.3.4"}, "/ip4/1.2.3.4/tcp/1/p2p/" + alice + "/p2p-circuit", "rule 1.2.3.4"},

		{"allowed", []string{"10.0.0.0/8"}, nil, "/ip4/10.1.1.1/tcp/1", ""},
		{"not allowed", []string{"10.0.0.0/8"}, nil, "/ip4/11.1.1.1/tcp/1", not},
		{"allowed word", []string{"private", "loopback"}, nil, "/ip6/::1/tcp/1", ""},
		{"not an allowed word", []string{"private", "loopback"}, nil, "/ip4/1.2.3.4/tcp/1", not},
		{"memory is in no range", []string{"0.0.0.0/0", "::/0", "public"}, nil, "/memory/1", not},
		{"deny wins", []string{"10.0.0.0/8"}, []string{"10.1.0.0/16"}, "/ip4/10.1.1.1/tcp/1", "rule 10.1.0.0/16"},
		{"deny wins over the narrower", []string{"10.1.1.1"}, []string{"private"}, "/ip4/10.1.1.1/tcp/1", "rule private"},
		{"peers say nothing of addresses", []string{alice}, nil, "/ip4/1.2.3.4/tcp/1", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := ma.StringCast(c.addr)
			check(t, a.String(), gater(t, Config{Allow: c.allow, Deny: c.deny}).Addr(a), c.refused)
		})
	}
}

func TestPeer(t *testing.T) {
	id, err := peer.Decode(alice)
	if err != nil {
		t.Fatal(err)
	}
	const not = "no rule of allow"
	cases := []struct {
		name        string
		allow, deny []string
		refused     string
	}{
		{"no rules", nil, nil, ""},
		{"denied", nil, []string{bob, alice}, "rule " + alice},
		{"denied as a multiaddr", nil, []string{"/p2p/" + alice}, "rule /p2p/" + alice},
		{"denied as a CID", nil, []string{id.CID()}, "rule " + id.CID()},
		{"another is denied", nil, []string{bob}, ""},
		{"allowed", []string{alice}, nil, ""},
		{"not allowed", []string{bob}, nil, not},
		{"deny wins", []string{alice}, []string{alice}, "rule " + alice},
		{"addresses say nothing of peers", []string{"private"}, []string{"1.2.3.4"}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			check(t, alice, gater(t, Config{Allow: c.allow, Deny: c.deny}).Peer(id), c.refused)
		})
	}
}

func TestBadRules(t *testing.T) {
	for _, text := range []string{
		"", "lan", "Public", "1.2.3", "1.2.3.4/33", "1.2.3.4:80", "::1%eth0", "example.com", alice[:20],
		"/", "/ip4", "/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.0/ipcidr/33", "/ip4/1.2.3.4/p2p/" + alice,
		"/ip4/1.2.3.0/ipcidr/24/tcp/1", "/dns4/example.com", "/ipcidr/8", "/ip6zone/eth0/ip6/fe80::1", "/memory/1",
	} {
		err := Config{Deny: []string{"private", text}}.Validate()
		if err == nil || !strings.HasPrefix(err.Error(), "deny: 1: ") {
			t.Errorf("%q: %v", text, err)
		}
	}
	err := Config{Allow: []string{"lan"}, Deny: []string{"wan"}}.Validate()
	if err == nil || !strings.Contains(err.Error(), `"lan"`) || !strings.Contains(err.Error(), `"wan"`) {
		t.Errorf("only the first is named: %v", err)
	}
}

func TestUpdate(t *testing.T) {
	a := ma.StringCast("/ip4/1.2.3.4/tcp/1")
	var none *Gater
	check(t, a.String(), none.Addr(a), "")
	check(t, "", none.Peer(alice), "")
	g := gater(t, Config{Deny: []string{"1.2.3.4"}})
	if err := g.Update(Config{Deny: []string{"nonsense"}}); err == nil {
		t.Error("took nonsense")
	}
	check(t, a.String(), g.Addr(a), "rule 1.2.3.4")
	if err := g.Update(Config{}); err != nil {
		t.Error(err)
	}
	check(t, a.String(), g.Addr(a), "")
}

func FuzzAddr(f *testing.F) {
	g, err := New(Config{Allow: []string{"public"}, Deny: []string{"10.0.0.0/8", "private"}})
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{"/ip4/1.2.3.4/tcp/1", "/ip6/::ffff:10.0.0.1/udp/1", "/ip6zone/x/ip6/fe80::1", "/dns/a", "/memory/1"} {
		f.Add(ma.StringCast(text).Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ma.NewMultiaddrBytes(b)
		if err != nil {
			return
		}
		if err := g.Addr(a); err == nil && !peer.IsPublic(a) || err != nil && !errors.Is(err, core.ErrGated) {
			t.Errorf("%s: %v", a, err)
		}
	})
}
