// SPDX-License-Identifier: Apache-2.0 OR MIT

package subnet

import (
	"net/netip"
	"testing"
)

func TestGroups(t *testing.T) {
	cases := []struct{ ip, narrow, wide string }{
		{"192.0.2.7", "192.0.2.7/32", ""},
		{"::ffff:192.0.2.7", "192.0.2.7/32", ""},
		{"2001:db8:1:2345::1", "2001:db8:1:2300::/56", "2001:db8:1::/48"},
		{"fe80::1%eth0", "fe80::/56", "fe80::/48"},
	}
	for _, c := range cases {
		ip := netip.MustParseAddr(c.ip)
		if got := Narrow(ip).String(); got != c.narrow {
			t.Errorf("narrow %s: %s", c.ip, got)
		}
		wide, ok := Wide(ip)
		if ok != (c.wide != "") || ok && wide.String() != c.wide {
			t.Errorf("wide %s: %s", c.ip, wide)
		}
	}
}

func TestParse(t *testing.T) {
	good := map[string]string{
		"192.0.2.7":            "192.0.2.7/32",
		"::ffff:192.0.2.7":     "192.0.2.7/32",
		"10.1.2.3/8":           "10.0.0.0/8",
		"::ffff:10.0.0.0/104":  "10.0.0.0/8",
		"2001:db8::1":          "2001:db8::1/128",
		"2001:db8:ffff::/33":   "2001:db8:8000::/33",
		"0.0.0.0/0":            "0.0.0.0/0",
		"::/0":                 "::/0",
		"::ffff:192.0.2.7/128": "192.0.2.7/32",
	}
	for text, want := range good {
		if p, err := Parse(text); err != nil || p.String() != want {
			t.Errorf("%s: %v, %v", text, p, err)
		}
	}
	for _, text := range []string{"", "10.0.0.0/33", "10.0.0", "::/129", "fe80::1%eth0", "example.org", "10.0.0.0/-1", "10.0.0.0/08"} {
		if p, err := Parse(text); err == nil {
			t.Errorf("%q: %v", text, p)
		}
	}
}
