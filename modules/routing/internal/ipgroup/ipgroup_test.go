// SPDX-License-Identifier: Apache-2.0 OR MIT

package ipgroup

import (
	"net/netip"
	"testing"
)

func TestSameGroup(t *testing.T) {
	cases := []struct {
		a, b         string
		bits4, bits6 int
		same         bool
	}{
		{"192.0.2.1", "192.0.255.9", Bits4, Bits6, true},
		{"192.0.2.1", "192.1.2.1", Bits4, Bits6, false},
		{"192.0.2.1", "::ffff:192.0.7.7", Bits4, Bits6, true},
		{"192.0.2.1", "192.0.3.1", 24, Bits6, false},
		{"192.0.2.1", "192.0.2.2", 32, 64, false},
		{"192.0.2.1", "9.0.0.1", 0, Bits6, true},
		{"2001:db8:1::1", "2001:db8:2::1", Bits4, Bits6, true},
		{"2001:db8::1", "2001:db9::1", Bits4, Bits6, false},
		{"2001:db8:1::1", "2001:db8:2::1", Bits4, 48, false},
		{"2001:db8::1", "2001:db8::2", 32, 64, true},
		{"2001:db8::1", "2001:db8::2", 32, 128, true}, // not finer than 64
		{"192.0.2.1", "2001:db8::1", Bits4, Bits6, false},
	}
	for _, c := range cases {
		a := Of(netip.MustParseAddr(c.a), c.bits4, c.bits6)
		b := Of(netip.MustParseAddr(c.b), c.bits4, c.bits6)
		if (a == b) != c.same || a == 0 || b == 0 {
			t.Errorf("%s and %s with %d and %d bits: %x and %x", c.a, c.b, c.bits4, c.bits6, a, b)
		}
	}
}

func TestLocalAddressesAreInNoGroup(t *testing.T) {
	for _, text := range []string{
		"127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.1.1", "100.64.0.1", "100.127.255.1",
		"::1", "fe80::1", "fd00::1", "0.0.0.0", "::", "255.255.255.255", "224.0.0.1", "::ffff:10.0.0.1",
	} {
		ip := netip.MustParseAddr(text)
		if g := Of(ip, Bits4, Bits6); g != 0 {
			t.Errorf("%s: %x", text, g)
		}
		if Any(ip, Bits4, Bits6) == 0 {
			t.Errorf("%s is in no group among local addresses", text)
		}
	}
	for _, text := range []string{"100.63.255.1", "100.128.0.1", "172.32.0.1"} {
		if Of(netip.MustParseAddr(text), Bits4, Bits6) == 0 {
			t.Errorf("%s is in no group", text)
		}
	}
	if Of(netip.Addr{}, Bits4, Bits6) != 0 || Any(netip.Addr{}, Bits4, Bits6) != 0 {
		t.Error("no address is in a group")
	}
}
