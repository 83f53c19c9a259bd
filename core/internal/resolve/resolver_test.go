// SPDX-License-Identifier: Apache-2.0 OR MIT

package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
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

const (
	alice = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
	bob   = "QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN"
)

// zone is a fake DNS.
type zone struct {
	ips   map[string][]string
	txt   map[string][]string
	any   func(name string) []string // TXT for all other names
	delay time.Duration

	mu      sync.Mutex
	queries []string
	running int
	most    int
}

func (z *zone) ask(ctx context.Context, name string) error {
	z.mu.Lock()
	z.queries = append(z.queries, name)
	z.running++
	z.most = max(z.most, z.running)
	z.mu.Unlock()
	defer func() {
		z.mu.Lock()
		z.running--
		z.mu.Unlock()
	}()
	if z.delay == 0 {
		return nil
	}
	select {
	case <-time.After(z.delay):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (z *zone) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	if err := z.ask(ctx, host); err != nil {
		return nil, err
	}
	var list []net.IPAddr
	for _, ip := range z.ips[host] {
		list = append(list, net.IPAddr{IP: net.ParseIP(ip)})
	}
	if list == nil {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return list, nil
}

func (z *zone) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if err := z.ask(ctx, name); err != nil {
		return nil, err
	}
	if list := z.txt[name]; list != nil {
		return list, nil
	}
	if z.any != nil {
		return z.any(name), nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func addrs(t testing.TB, texts ...string) []ma.Multiaddr {
	t.Helper()
	var list []ma.Multiaddr
	for _, text := range texts {
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, a)
	}
	return list
}

func id(t testing.TB, text string) peer.ID {
	t.Helper()
	if text == "" {
		return ""
	}
	p, err := peer.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func texts(list []ma.Multiaddr) []string {
	out := []string{}
	for _, a := range list {
		out = append(out, a.String())
	}
	return out
}

func TestResolve(t *testing.T) {
	z := &zone{
		ips: map[string][]string{
			"a.example.com":     {"192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "192.0.2.2"},
			"six.example.com":   {"2001:db8::6"},
			"relay.example.com": {"192.0.2.9"},
		},
		txt: map[string][]string{
			"_dnsaddr.example.com": {
				"dnsaddr=/dnsaddr/one.example.com/tcp/4001/p2p/" + alice,
				"dnsaddr=/dnsaddr/two.example.com/tcp/4001/p2p/" + bob,
				"dnsaddr=/ip4/192.0.2.7/tcp/4001",
				"v=spf1 -all", "dnsaddr=", "dnsaddr=/nonsense/1", "dnsaddr=/ip4/1.2.3.4.5",
			},
			"_dnsaddr.one.example.com": {
				"dnsaddr=/ip4/192.0.2.3/tcp/4001/p2p/" + alice,
				"dnsaddr=/ip4/192.0.2.3/udp/4001/quic-v1/p2p/" + alice,
				"dnsaddr=/dns4/a.example.com/tcp/4001/p2p/" + alice,
			},
			"_dnsaddr.two.example.com":   {"dnsaddr=/ip4/192.0.2.4/tcp/4001/p2p/" + bob},
			"_dnsaddr.relay.example.com": {"dnsaddr=/dns4/relay.example.com/tcp/1/p2p/" + bob, "dnsaddr=/ip4/192.0.2.66/tcp/1/p2p/" + alice},
		},
	}
	for _, tt := range []struct {
		name string
		in   []string
		want string
		out  []string
	}{
		{"no DNS", []string{"/ip4/192.0.2.1/tcp/1", "/memory/1", "/ip4/192.0.2.1/tcp/1"}, alice,
			[]string{"/ip4/192.0.2.1/tcp/1", "/memory/1", "/ip4/192.0.2.1/tcp/1"}},
		{"dns", []string{"/dns/a.example.com/tcp/1"}, alice,
			[]string{"/ip4/192.0.2.1/tcp/1", "/ip6/2001:db8::1/tcp/1", "/ip4/192.0.2.2/tcp/1"}},
		{"dns4, order and tail kept", []string{"/memory/1", "/dns4/A.example.com/tcp/443/tls/sni/a.example.com/ws", "/ip4/192.0.2.8/tcp/1"}, alice,
			[]string{"/memory/1", "/ip4/192.0.2.1/tcp/443/tls/sni/a.example.com/ws", "/ip4/192.0.2.2/tcp/443/tls/sni/a.example.com/ws", "/ip4/192.0.2.8/tcp/1"}},
		{"dns6", []string{"/dns6/a.example.com/udp/1/quic-v1"}, alice, []string{"/ip6/2001:db8::1/udp/1/quic-v1"}},
		{"the name stays where it is proven", []string{"/dns4/A.example.com/tcp/443/wss", "/dns6/a.example.com/tcp/1/tls/ws/http-path/%2Fp", "/dns6/a.example.com/tcp/1/ws", "/dns6/a.example.com/tcp/1/tls"}, alice,
			[]string{"/ip4/192.0.2.1/tcp/443/tls/sni/a.example.com/ws", "/ip4/192.0.2.2/tcp/443/tls/sni/a.example.com/ws",
				"/ip6/2001:db8::1/tcp/1/tls/sni/a.example.com/ws/http-path/%2Fp", "/ip6/2001:db8::1/tcp/1/ws", "/ip6/2001:db8::1/tcp/1/tls"}},
		{"the name stays for WebTransport without hashes", []string{"/dns6/a.example.com/udp/1/quic-v1/webtransport", "/dns6/a.example.com/udp/1/quic-v1/webtransport/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g"}, alice,
			[]string{"/ip6/2001:db8::1/udp/1/quic-v1/sni/a.example.com/webtransport", "/ip6/2001:db8::1/udp/1/quic-v1/webtransport/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g"}},
		{"wrong family", []string{"/dns4/six.example.com/tcp/1"}, alice, []string{}},
		{"twice the same", []string{"/dns4/relay.example.com/tcp/1", "/dns/relay.example.com/tcp/1"}, alice, []string{"/ip4/192.0.2.9/tcp/1"}},
		{"own ID", []string{"/dns4/relay.example.com/tcp/1/p2p/" + alice}, alice, []string{"/ip4/192.0.2.9/tcp/1"}},
		{"another ID", []string{"/dns4/relay.example.com/tcp/1/p2p/" + bob}, alice, []string{}},
		{"dnsaddr", []string{"/dnsaddr/example.com"}, alice,
			[]string{"/ip4/192.0.2.3/tcp/4001", "/ip4/192.0.2.1/tcp/4001", "/ip4/192.0.2.2/tcp/4001", "/ip4/192.0.2.7/tcp/4001"}},
		{"dnsaddr of bob", []string{"/dnsaddr/example.com/p2p/" + bob}, bob,
			[]string{"/ip4/192.0.2.4/tcp/4001", "/ip4/192.0.2.7/tcp/4001"}},
		{"dnsaddr with a suffix", []string{"/dnsaddr/one.example.com/udp/4001/quic-v1"}, alice,
			[]string{"/ip4/192.0.2.3/udp/4001/quic-v1"}},
		{"dnsaddr of anyone, with the suffix of a peer", []string{"/dnsaddr/example.com/p2p/" + bob}, "",
			[]string{"/ip4/192.0.2.4/tcp/4001/p2p/" + bob}},
		{"dnsaddr of anyone", []string{"/dnsaddr/two.example.com"}, "", []string{"/ip4/192.0.2.4/tcp/4001/p2p/" + bob}},
		{"relay", []string{"/dns4/relay.example.com/tcp/1/p2p/" + bob + "/p2p-circuit"}, alice,
			[]string{"/ip4/192.0.2.9/tcp/1/p2p/" + bob + "/p2p-circuit"}},
		{"relay by dnsaddr", []string{"/dnsaddr/relay.example.com/p2p/" + bob + "/p2p-circuit/p2p/" + alice}, alice,
			[]string{"/ip4/192.0.2.9/tcp/1/p2p/" + bob + "/p2p-circuit"}},
		{"unknown name", []string{"/dns4/nowhere.example.com/tcp/1", "/memory/2"}, alice, []string{"/memory/2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := New(z).Resolve(t.Context(), addrs(t, tt.in...), id(t, tt.want), nil)
			if diff := cmp.Diff(tt.out, texts(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRecord(t *testing.T) {
	z := &zone{
		ips: map[string][]string{"a.example.com": {"192.0.2.1"}},
		txt: map[string][]string{"_dnsaddr.example.com": {"dnsaddr=/dns4/a.example.com/tcp/1", "dnsaddr=/dns4/b.example.com/tcp/1"}},
	}
	var got []string
	New(z).Resolve(t.Context(), addrs(t, "/dnsaddr/example.com", "/dns/spa ce/tcp/1", "/dns4/v6.example.com/tcp/1"), id(t, alice), func(r core.DialResolution) {
		got = append(got, fmt.Sprintf("%s %v %v", r.Addr, texts(r.Found), r.Err))
	})
	want := []string{
		"/dnsaddr/example.com [/dns4/a.example.com/tcp/1 /dns4/b.example.com/tcp/1] <nil>",
		"/dns/spa ce/tcp/1 [] byte 0x20: not a DNS name",
		"/dns4/v6.example.com/tcp/1 [] lookup v6.example.com: no such host",
		"/dns4/a.example.com/tcp/1 [/ip4/192.0.2.1/tcp/1] <nil>",
		"/dns4/b.example.com/tcp/1 [] lookup b.example.com: no such host",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNoDNSCostsNothing(t *testing.T) {
	list := addrs(t, "/ip4/192.0.2.1/tcp/1", "/memory/1")
	r := New(&zone{})
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { r.Resolve(ctx, list, "", nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestNames(t *testing.T) {
	long := strings.Repeat(strings.Repeat("a", 63)+".", 4)[:253]
	for name, ok := range map[string]bool{
		"example.com": true, "example.com.": true, "_x.a-b.c9": true, "localhost": true, long: true, long + ".": true,
		"": false, ".": false, "a..b": false, ".a": false, long + "a": false, strings.Repeat("a", 64): false,
		"a b": false, "a\nb": false, "a\x00": false, "ä.de": false, "fe80::1%eth0": false, "\x7f": false,
	} {
		if err := checkName(name); (err == nil) != ok || err != nil && !errors.Is(err, ErrName) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestEvil_D1_SelfReference(t *testing.T) {
	self := []string{"dnsaddr=/dnsaddr/example.com", "dnsaddr=/ip4/192.0.2.1/tcp/1"}
	for i := range 98 { // the same name, with a suffix that nothing has
		self = append(self, fmt.Sprintf("dnsaddr=/dnsaddr/example.com/tcp/%d", i))
	}
	z := &zone{txt: map[string][]string{"_dnsaddr.example.com": self}}
	got := New(z).Resolve(t.Context(), addrs(t, "/dnsaddr/example.com"), id(t, alice), nil)
	if diff := cmp.Diff([]string{"/ip4/192.0.2.1/tcp/1"}, texts(got)); diff != "" || len(z.queries) != 1 {
		t.Error(diff, z.queries)
	}
}

func TestEvil_D1_Cycle(t *testing.T) {
	z := &zone{txt: map[string][]string{
		"_dnsaddr.a.example.com": {"dnsaddr=/dnsaddr/b.example.com", "dnsaddr=/dnsaddr/B.example.com"},
		"_dnsaddr.b.example.com": {"dnsaddr=/dnsaddr/a.example.com", "dnsaddr=/ip4/192.0.2.1/tcp/1"},
	}}
	got := New(z).Resolve(t.Context(), addrs(t, "/dnsaddr/a.example.com"), id(t, alice), nil)
	if len(got) != 1 || len(z.queries) != 2 {
		t.Error(got, z.queries)
	}
}

func TestEvil_D1_Depth(t *testing.T) {
	z := &zone{any: func(name string) []string {
		return []string{"dnsaddr=/dnsaddr/x." + strings.TrimPrefix(name, txtPrefix)}
	}}
	var last error
	got := New(z).Resolve(t.Context(), addrs(t, "/dnsaddr/example.com"), id(t, alice), func(r core.DialResolution) { last = r.Err })
	if len(got) != 0 || len(z.queries) != 4 || !errors.Is(last, ErrDepth) {
		t.Error(got, z.queries, last)
	}
}

// 100 names that lead to 100 names each, and so on.
func TestEvil_D1_Tree(t *testing.T) {
	z := &zone{any: func(name string) []string {
		var list []string
		for i := range 100 {
			list = append(list, fmt.Sprintf("dnsaddr=/dnsaddr/n%d.%s", i, strings.TrimPrefix(name, txtPrefix)))
		}
		return list
	}}
	reports := 0
	New(z).Resolve(t.Context(), addrs(t, "/dnsaddr/example.com"), id(t, alice), func(core.DialResolution) { reports++ })
	if len(z.queries) != 32 || reports > 40 || z.most > parallel {
		t.Errorf("%d queries, %d at one time, %d reports", len(z.queries), z.most, reports)
	}
}

// One name behind many addresses, with many hosts: few queries, many results.
func TestEvil_D1_Product(t *testing.T) {
	z := &zone{ips: map[string][]string{}, any: func(name string) []string {
		var list []string
		for i := range 200 {
			list = append(list, fmt.Sprintf("dnsaddr=/dns4/many.example.com/tcp/%d", i))
		}
		return list
	}}
	for i := range 1000 {
		z.ips["many.example.com"] = append(z.ips["many.example.com"], fmt.Sprintf("10.0.%d.%d", i/256, i%256))
	}
	var enough bool
	got := New(z).Resolve(t.Context(), addrs(t, "/dnsaddr/a.example.com", "/dnsaddr/b.example.com", "/memory/1"), id(t, alice), func(r core.DialResolution) {
		enough = enough || errors.Is(r.Err, ErrResults)
	})
	if len(got) != 101 || len(z.queries) != 3 || !enough {
		t.Errorf("%d addresses, queries %v", len(got), z.queries)
	}
}

func TestEvil_D1_SlowServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{delay: time.Hour}
		var list []string
		for i := range 100 {
			list = append(list, fmt.Sprintf("/dnsaddr/n%d.example.com", i))
		}
		list = append(list, "/memory/1")
		start := time.Now()
		got := New(z).Resolve(t.Context(), addrs(t, list...), id(t, alice), nil)
		if took := time.Since(start); took != 10*time.Second || len(got) != 1 {
			t.Errorf("took %v, got %v", took, got)
		}
		if z.running != 0 || len(z.queries) > 32 {
			t.Errorf("%d lookups left of %d", z.running, len(z.queries))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		New(z).Resolve(ctx, addrs(t, list...), id(t, alice), nil)
		if took := time.Since(start); took != time.Second {
			t.Errorf("outlived its context: %v", took)
		}
	})
}

func TestEvil_D1_AnotherPeer(t *testing.T) {
	z := &zone{txt: map[string][]string{"_dnsaddr.example.com": {
		"dnsaddr=/ip4/192.0.2.1/tcp/1/p2p/" + bob,
		"dnsaddr=/ip4/192.0.2.2/tcp/1/p2p/" + alice,
		"dnsaddr=/ip4/192.0.2.3/tcp/1/p2p/" + bob + "/p2p-circuit/p2p/" + bob,
		"dnsaddr=/dnsaddr/example.net/p2p/" + bob,
	}}}
	got := New(z).Resolve(t.Context(), addrs(t, "/dnsaddr/example.com"), id(t, alice), nil)
	if diff := cmp.Diff([]string{"/ip4/192.0.2.2/tcp/1"}, texts(got)); diff != "" || len(z.queries) != 1 {
		t.Error(diff, z.queries)
	}
}

func FuzzParseEntry(f *testing.F) {
	for _, seed := range []string{
		"dnsaddr=/ip4/192.0.2.1/tcp/4001/p2p/" + alice, "dnsaddr=/dnsaddr/example.com", "dnsaddr=", "dnsaddr=/", "v=spf1",
		"dnsaddr=/p2p-circuit/p2p-circuit", "dnsaddr=/dns4//tcp/1", "dnsaddr=/ip4/192.0.2.1/tcp/99999", "dnsaddr=/unix/a/b",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		addr, ok := parseEntry(text)
		if !ok {
			return
		}
		if len(addr.Bytes()) > 1024 || len(text) > maxEntry {
			t.Errorf("accepted %d bytes", len(text))
		}
		for _, of := range addrs(t, "/dnsaddr/example.com", "/dnsaddr/example.com/p2p/"+alice+"/p2p-circuit") {
			n, err := newNode(of, "")
			if err != nil {
				t.Fatal(err)
			}
			for _, child := range n.children(&answer{entries: []ma.Multiaddr{addr}}) {
				if _, err := peer.DecodeAddr(child.whole().Bytes()); err != nil {
					t.Error(err)
				}
			}
		}
	})
}
