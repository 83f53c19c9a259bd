// SPDX-License-Identifier: Apache-2.0 OR MIT

package host

import (
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

func TestWithPort(t *testing.T) {
	for _, tc := range []struct{ addr, bound, want string }{
		{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/tcp/4001"},
		{"/ip4/127.0.0.1/tcp/0/ws", "/ip4/127.0.0.1/tcp/4001/ws", "/ip4/127.0.0.1/tcp/4001/ws"},
		{"/ip4/127.0.0.1/tcp/5", "/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/tcp/5"},
		{"/ip6/::/udp/0/quic-v1", "/ip6/::/udp/4001/quic-v1", "/ip6/::/udp/4001/quic-v1"},
		{"/memory/0", "/memory/7", "/memory/7"},
		{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1", "/ip4/127.0.0.1/tcp/0"},
		{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/4001", "/ip4/127.0.0.1/tcp/0"},
		{"/ip4/127.0.0.1/udp/0/quic-v1/webtransport", "/ip4/127.0.0.1/udp/9/quic-v1/webtransport/certhash/uEiAsGPzpiPGQzSlVHRXrUCT5EkTV7YFrV4VZ3hpEKTd_zg",
			"/ip4/127.0.0.1/udp/9/quic-v1/webtransport"},
	} {
		addr := ma.StringCast(tc.addr)
		if got := withPort(addr, ma.StringCast(tc.bound)); got.String() != tc.want || addr.String() != tc.addr {
			t.Errorf("%s bound to %s: %s, want %s", tc.addr, tc.bound, got, tc.want)
		}
	}
}
