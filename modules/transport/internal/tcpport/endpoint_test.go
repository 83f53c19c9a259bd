// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcpport

import (
	"net/netip"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

func TestEndpoint(t *testing.T) {
	for text, want := range map[string]string{
		"/ip4/192.0.2.1/tcp/4001":                "192.0.2.1:4001",
		"/ip6/2001:db8::1/tcp/65535/ws":          "[2001:db8::1]:65535 /ws",
		"/ip6zone/eth0/ip6/fe80::1/tcp/1/tls/ws": "[fe80::1%eth0]:1 /tls/ws",
		"/ip6/::ffff:192.0.2.1/tcp/1":            "192.0.2.1:1",
		"/ip4/192.0.2.1/udp/1":                   "",
		"/ip4/192.0.2.1":                         "",
		"/tcp/1":                                 "",
		"/dns/example.com/tcp/1":                 "",
		"/ip6zone/eth0/ip4/192.0.2.1/tcp/1":      "",
		"/ip4/192.0.2.1/ipcidr/24":               "",
		"/ip6zone/eth0/ip6/fe80::1":              "",
	} {
		at, rest, err := Endpoint(ma.StringCast(text))
		got := at.String()
		if len(rest) > 0 {
			got += " " + rest.String()
		}
		switch {
		case want == "" && err == nil:
			t.Errorf("%s: %v, want an error", text, got)
		case want != "" && (err != nil || got != want):
			t.Errorf("%s: %v, %v; want %s", text, got, err, want)
		}
	}
	if _, _, err := Endpoint(nil); err == nil {
		t.Error("nil is no endpoint")
	}
}

func TestMultiaddr(t *testing.T) {
	for at, want := range map[string]string{
		"192.0.2.1:4001":   "/ip4/192.0.2.1/tcp/4001",
		"[2001:db8::1]:80": "/ip6/2001:db8::1/tcp/80",
		"[fe80::1%eth0]:1": "/ip6zone/eth0/ip6/fe80::1/tcp/1",
		"[::]:65535":       "/ip6/::/tcp/65535",
	} {
		got, err := Multiaddr(netip.MustParseAddrPort(at))
		if err != nil || got.String() != want {
			t.Errorf("%s: %v, %v; want %s", at, got, err, want)
		}
	}
	if a, err := Multiaddr(netip.AddrPort{}); err == nil {
		t.Errorf("the address of a socket without one: %v", a)
	}
}

// FuzzEndpoint reads addresses as peers tell them. What is an endpoint must be
// the same when it is written again.
func FuzzEndpoint(f *testing.F) {
	for _, text := range []string{
		"/ip4/192.0.2.1/tcp/4001",
		"/ip6/2001:db8::1/tcp/65535",
		"/ip6zone/eth0/ip6/fe80::1/tcp/1",
		"/ip6/::ffff:192.0.2.1/tcp/1",
		"/ip4/192.0.2.1/tcp/1/ws",
		"/dns/example.com/tcp/1",
		"/memory/1",
	} {
		f.Add(ma.StringCast(text).Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ma.NewMultiaddrBytes(b)
		if err != nil {
			return
		}
		at, rest, err := Endpoint(a)
		if err != nil || a[0].Code() == ma.P_IP6ZONE {
			return
		}
		written, err := Multiaddr(at)
		if err != nil {
			t.Fatalf("%s: %v", a, err)
		}
		again, rest2, err := Endpoint(append(written, rest...))
		if err != nil || again != at || len(rest2) != len(rest) {
			t.Errorf("%s is %v, but %s is %v (%v)", a, at, written, again, err)
		}
	})
}
