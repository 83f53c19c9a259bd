// SPDX-License-Identifier: Apache-2.0 OR MIT

package udpport

import (
	"net/netip"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

func TestEndpoint(t *testing.T) {
	for text, want := range map[string]string{
		"/ip4/192.0.2.1/udp/4001/quic-v1":               "192.0.2.1:4001 /quic-v1",
		"/ip6/2001:db8::1/udp/65535":                    "[2001:db8::1]:65535 ",
		"/ip6zone/eth0/ip6/fe80::1/udp/1/quic-v1":       "[fe80::1%eth0]:1 /quic-v1",
		"/ip6/::ffff:192.0.2.1/udp/1/webrtc-direct":     "192.0.2.1:1 /webrtc-direct",
		"/ip4/192.0.2.1/udp/1/quic-v1/webtransport":     "192.0.2.1:1 /quic-v1/webtransport",
		"/ip4/192.0.2.1/tcp/1":                          "",
		"/ip4/192.0.2.1":                                "",
		"/dns4/example.com/udp/1/quic-v1":               "",
		"/ip6zone/eth0/ip4/192.0.2.1/udp/1":             "",
		"/p2p-circuit/ip4/192.0.2.1/udp/4001/quic-v1":   "",
		"/ip6zone/eth0":                                 "",
		"/ip6zone/eth0/ip6/fe80::1":                     "",
		"/ip4/192.0.2.1/ip4/192.0.2.1/udp/4001/quic-v1": "",
	} {
		at, rest, err := Endpoint(ma.StringCast(text))
		got := ""
		if err == nil {
			got = at.String() + " " + rest.String()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	if _, _, err := Endpoint(nil); err == nil {
		t.Error("nothing is an endpoint")
	}
}

// FuzzEndpoint reads addresses as peers tell them. What is an endpoint must be
// the same address when it is written again.
func FuzzEndpoint(f *testing.F) {
	for _, text := range []string{
		"/ip4/192.0.2.1/udp/4001/quic-v1",
		"/ip6/2001:db8::1/udp/65535/quic-v1/webtransport",
		"/ip6zone/eth0/ip6/fe80::1/udp/1/webrtc-direct",
		"/ip6/::ffff:192.0.2.1/udp/1",
		"/ip4/192.0.2.1/tcp/1",
	} {
		f.Add(ma.StringCast(text).Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ma.NewMultiaddrBytes(b)
		if err != nil {
			return
		}
		at, _, err := Endpoint(a)
		if err != nil {
			return
		}
		for _, write := range []func(netip.AddrPort) (ma.Multiaddr, error){Multiaddr, QUICMultiaddr} {
			written, err := write(at)
			if err != nil {
				if at.Addr().Zone() != "" {
					return // one that no interface can have
				}
				t.Fatalf("%s: %v", a, err)
			}
			if again, _, err := Endpoint(written); err != nil || again != at {
				t.Errorf("%s is %v, but %s is %v (%v)", a, at, written, again, err)
			}
		}
	})
}
