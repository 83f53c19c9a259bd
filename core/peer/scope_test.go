// SPDX-License-Identifier: Apache-2.0 OR MIT

package peer

import (
	"net/netip"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

func TestScope(t *testing.T) {
	for _, tt := range []struct {
		addr string
		want scope
	}{
		{"/ip4/8.8.8.8/tcp/1", scopePublic},
		{"/ip4/8.8.8.8/tcp/1/p2p/" + idA + "/p2p-circuit/p2p/" + idB, scopePublic},
		{"/ip6/2606:4700::1111/udp/1/quic-v1", scopePublic},
		{"/dns4/example.net/tcp/1", scopePublic},
		{"/dnsaddr/bootstrap.example.org", scopePublic},
		{"/dns/notlocalhost.net/tcp/1", scopePublic},
		{"/dns/mylocal.net/tcp/1", scopePublic},
		{"/ip4/192.168.1.1/tcp/1", scopePrivate},
		{"/ip6/fd00::1/tcp/1", scopePrivate},
		{"/ip6zone/eth0/ip6/fe80::1/tcp/1", scopePrivate},
		{"/dns/printer.local/tcp/1", scopePrivate},
		{"/dns/nas/tcp/1", scopePrivate},
		{"/dns/router.home.arpa/tcp/1", scopePrivate},
		{"/dns/metadata.google.internal/tcp/1", scopePrivate},
		{"/ip4/127.0.0.1/tcp/1", scopeLoopback},
		{"/ip4/127.255.255.254/tcp/1", scopeLoopback},
		{"/ip6/::1/tcp/1", scopeLoopback},
		{"/dns/localhost/tcp/1", scopeLoopback},
		{"/dns/LocalHost./tcp/1", scopeLoopback},
		{"/dns6/a.localhost/tcp/1", scopeLoopback},
		{"/dns/hidden.onion/tcp/1", scopeNone},
		{"/dns/a.invalid/tcp/1", scopeNone},
		{"/memory/1", scopeNone},
		{"/unix/run/x.sock", scopeNone},
		{"/p2p/" + idA, scopeNone},
		{"/p2p/" + idA + "/p2p-circuit", scopeNone},
	} {
		checkScope(t, tt.addr, mustAddr(t, tt.addr), tt.want)
	}
	checkScope(t, "nil", nil, scopeNone)
}

func checkScope(t *testing.T, name string, addr ma.Multiaddr, want scope) {
	t.Helper()
	if got := scopeOf(addr); got != want {
		t.Errorf("%s: scope %d, want %d", name, got, want)
	}
	if IsPublic(addr) != (want == scopePublic) || IsPrivate(addr) != (want == scopePrivate) || IsLoopback(addr) != (want == scopeLoopback) {
		t.Errorf("%s: public %v, private %v, loopback %v", name, IsPublic(addr), IsPrivate(addr), IsLoopback(addr))
	}
}

// Inside and at both ends of every special range nothing is public.
func TestEvil_D2_SpecialRanges(t *testing.T) {
	rows := append(append([]specialRange(nil), special4...), special6...)
	if len(rows) < 40 {
		t.Errorf("%d special ranges, want 40 at least", len(rows))
	}
	for _, row := range rows {
		if row.prefix != row.prefix.Masked() {
			t.Errorf("%v has bits behind its mask", row.prefix)
		}
		if row.scope == scopePublic {
			t.Errorf("%v is public", row.prefix)
		}
		first, last := row.prefix.Addr(), lastAddr(row.prefix)
		for _, ip := range []netip.Addr{first, first.Next(), last.Prev(), last} {
			if !row.prefix.Contains(ip) || nat64.Contains(ip) || sixToFour.Contains(ip) {
				continue
			}
			for _, form := range mappedForms(ip) {
				if got := scopeOfIP(form); got == scopePublic {
					t.Errorf("%v, as %v, in %v, is public", ip, form, row.prefix)
				}
			}
		}
	}
}

// lastAddr returns the last address of a prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	ip, _ := netip.AddrFromSlice(b)
	return ip
}

// mappedForms returns the ways to write an IPv4 address as IPv6, and itself.
func mappedForms(ip netip.Addr) []netip.Addr {
	if !ip.Is4() {
		return []netip.Addr{ip}
	}
	b := ip.As4()
	six := netip.MustParseAddr("64:ff9b::").As16()
	copy(six[12:], b[:])
	to4 := netip.MustParseAddr("2002::1").As16()
	copy(to4[2:], b[:])
	return []netip.Addr{ip, netip.AddrFrom16(ip.As16()), netip.AddrFrom16(six), netip.AddrFrom16(to4)}
}

func TestEvil_E5_MappedForms(t *testing.T) {
	for text, want := range map[string]scope{
		"::ffff:127.0.0.1":          scopeLoopback,
		"::ffff:10.1.2.3":           scopePrivate,
		"::ffff:169.254.169.254":    scopePrivate,
		"::ffff:0.0.0.0":            scopeNone,
		"::ffff:8.8.8.8":            scopePublic,
		"64:ff9b::127.0.0.1":        scopeLoopback,
		"64:ff9b::192.168.1.1":      scopePrivate,
		"64:ff9b::8.8.8.8":          scopePublic,
		"64:ff9b:1::8.8.8.8":        scopePrivate,
		"2002:7f00:1::1":            scopeLoopback,
		"2002:c0a8:101::1":          scopePrivate,
		"2002:a9fe:a9fe::":          scopePrivate,
		"2002:808:808::1":           scopePublic,
		"::127.0.0.1":               scopeNone,
		"::8.8.8.8":                 scopeNone,
		"::":                        scopeNone,
		"2001:0:4136:e378::1":       scopeNone,
		"100.64.0.1":                scopePrivate,
		"100.127.255.255":           scopePrivate,
		"100.128.0.0":               scopePublic,
		"172.15.255.255":            scopePublic,
		"172.32.0.0":                scopePublic,
		"192.0.0.9":                 scopeNone,
		"198.17.255.255":            scopePublic,
		"198.20.0.0":                scopePublic,
		"223.255.255.255":           scopePublic,
		"255.255.255.255":           scopeNone,
		"1.0.0.0":                   scopePublic,
		"2001:200::1":               scopePublic,
		"2001:4860:4860::8888":      scopePublic,
		"2a00::1":                   scopePublic,
		"3fff:fff:ffff::1":          scopeNone,
		"4000::1":                   scopeNone,
		"fe80::1":                   scopePrivate,
		"ff02::1":                   scopeNone,
		"fdff:ffff:ffff:ffff::ffff": scopePrivate,
	} {
		ip := netip.MustParseAddr(text)
		name := "/ip4/"
		if ip.Is6() {
			name = "/ip6/"
		}
		addr := mustAddr(t, name+text+"/tcp/1")
		checkScope(t, text, addr, want)
		if got, ok := IP(addr); !ok || got != ip.Unmap() {
			t.Errorf("IP(%v) = %v, %v", addr, got, ok)
		}
	}
	for _, text := range []string{"/dns/localhost/tcp/1", "/memory/1", "/p2p/" + idA} {
		if ip, ok := IP(mustAddr(t, text)); ok {
			t.Errorf("IP(%s) = %v", text, ip)
		}
	}
	if ip, ok := IP(nil); ok {
		t.Errorf("IP(nil) = %v", ip)
	}
}

func BenchmarkIsPublic(b *testing.B) {
	addr := mustAddr(b, "/ip6/2a00::1/tcp/1")
	b.ReportAllocs()
	for b.Loop() {
		IsPublic(addr)
	}
}
