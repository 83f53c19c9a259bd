// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]struct {
		multiaddr, host, target, serverName string // multiaddr is empty if it is that of text
	}{
		"/ip4/192.0.2.1/tcp/1234/ws":                             {host: "192.0.2.1:1234", target: "/"},
		"/ip4/192.0.2.1/tcp/80/ws":                               {host: "192.0.2.1", target: "/"},
		"/ip4/192.0.2.1/ws":                                      {multiaddr: "/ip4/192.0.2.1/tcp/80/ws", host: "192.0.2.1", target: "/"},
		"/ip6/2001:db8::1/tcp/80/ws":                             {host: "[2001:db8::1]", target: "/"},
		"/ip6/2001:db8::1/tcp/81/ws":                             {host: "[2001:db8::1]:81", target: "/"},
		"/ip6zone/eth0/ip6/fe80::1/tcp/81/ws":                    {host: "[fe80::1]:81", target: "/"},
		"/ip4/192.0.2.1/tcp/443/wss":                             {multiaddr: "/ip4/192.0.2.1/tcp/443/tls/ws", host: "192.0.2.1", target: "/", serverName: "192.0.2.1"},
		"/ip4/192.0.2.1/wss":                                     {multiaddr: "/ip4/192.0.2.1/tcp/443/tls/ws", host: "192.0.2.1", target: "/", serverName: "192.0.2.1"},
		"/ip4/192.0.2.1/tcp/80/tls/ws":                           {host: "192.0.2.1:80", target: "/", serverName: "192.0.2.1"},
		"/ip6/2001:db8::1/tcp/443/tls/sni/example.com/ws":        {host: "example.com", target: "/", serverName: "example.com"},
		"/ip4/192.0.2.1/tcp/4001/tls/sni/1-2.x.libp2p.direct/ws": {host: "1-2.x.libp2p.direct:4001", target: "/", serverName: "1-2.x.libp2p.direct"},
		"/ip4/192.0.2.1/tcp/80/ws/http-path/%2Fx":                {host: "192.0.2.1", target: "/x"},
		"/ip4/192.0.2.1/tcp/80/ws/http-path/a%2Fb":               {multiaddr: "/ip4/192.0.2.1/tcp/80/ws/http-path/%2Fa%2Fb", host: "192.0.2.1", target: "/a/b"},
		"/ip4/192.0.2.1/tcp/80/ws/http-path/%2Fa%3Fb+c%23d%25":   {host: "192.0.2.1", target: "/a%3Fb%20c%23d%25"},
	} {
		a := ma.StringCast(text)
		got, err := parse(a)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if want.multiaddr == "" {
			want.multiaddr = text
		}
		if m, err := got.multiaddr(got.at); err != nil || m.String() != want.multiaddr {
			t.Errorf("%s is %v (%v), want %s", text, m, err, want.multiaddr)
		}
		if got.host() != want.host || got.target() != want.target {
			t.Errorf("%s asks %s for %s, want %s and %s", text, got.host(), got.target(), want.host, want.target)
		}
		if got.secure && got.serverName() != want.serverName || got.secure != (want.serverName != "") {
			t.Errorf("%s wants a certificate for %s, want %s", text, got.serverName(), want.serverName)
		}
		if !new(Transport).Match(a) {
			t.Errorf("%s does not match", text)
		}
	}
}

func TestNoMatch(t *testing.T) {
	for _, text := range []string{
		"/ip4/192.0.2.1/tcp/1",
		"/ip4/192.0.2.1/tcp/1/tls",
		"/ip4/192.0.2.1/udp/1/ws",
		"/ip4/192.0.2.1/udp/1/quic-v1/webtransport",
		"/ip4/192.0.2.1/tcp/1/ws/ws",
		"/ip4/192.0.2.1/tcp/1/tls/tls/ws",
		"/ip4/192.0.2.1/tcp/1/tls/wss",
		"/ip4/192.0.2.1/tcp/1/sni/example.com/ws",
		"/ip4/192.0.2.1/tcp/1/wss/sni/example.com",
		"/ip4/192.0.2.1/tcp/1/tls/http/ws",
		"/ip4/192.0.2.1/tcp/1/http-path/x",
		"/ip4/192.0.2.1/tcp/1/http-path/x/ws",
		"/ip4/192.0.2.1/tcp/1/ws/http-path/x/http-path/y",
		"/ip4/192.0.2.1/tcp/1/ws/http-path/a%0D%0Ab",
		"/ip4/192.0.2.1/tcp/1/tls/sni/exa%20mple/ws",
		"/ip4/192.0.2.1/tcp/1/tcp/2/ws",
		"/ip4/192.0.2.1/ip4/192.0.2.1/tcp/1/ws",
		"/tcp/1/ws", "/ws", "/tls/ws",
		"/dns/exa mple/tcp/1/ws", "/dnsaddr/example.com/tcp/1/ws",
		"/memory/1/ws", "/unix/ws",
		"/ip4/192.0.2.1/tcp/1/ws/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA",
		"/ip4/192.0.2.1/tcp/1/ws/p2p-circuit",
	} {
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			t.Errorf("%s is no address: %v", text, err)
			continue
		}
		if new(Transport).Match(a) {
			t.Errorf("%s matches", text)
		}
	}
}

// FuzzAddress reads addresses as peers tell them. What matches is the same when
// it is written again, and can stand in a request.
func FuzzAddress(f *testing.F) {
	for _, text := range []string{
		"/ip4/192.0.2.1/tcp/1/ws", "/ip6/::1/tcp/1/wss", "/ip4/192.0.2.1/tcp/1/tls/sni/example.com/ws/http-path/%2Fx",
		"/dns/example.com/tcp/443/tls/ws", "/ip4/192.0.2.1/wss", "/ip4/192.0.2.1/tcp/1/ws/http-path/a%0D%0Ab",
	} {
		f.Add(ma.StringCast(text).Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ma.NewMultiaddrBytes(b)
		if err != nil {
			return
		}
		got, err := parse(a)
		if err != nil || got.name != "" {
			return
		}
		if got.at.Addr().Zone() == "" {
			written, err := got.multiaddr(got.at)
			if err != nil {
				t.Fatalf("%s: %v", a, err)
			}
			if again, err := parse(written); err != nil || again != got {
				t.Errorf("%s is %v, but %s is %v (%v)", a, got, written, again, err)
			}
		}
		if strings.ContainsAny(got.host()+got.target(), " \r\n") || !strings.HasPrefix(got.target(), "/") {
			t.Errorf("%s asks %q for %q", a, got.host(), got.target())
		}
	})
}
