// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcpport

import (
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

// FuzzEndpoint reads addresses as peers tell them. What is an endpoint must be
// the same address when it is written again.
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
