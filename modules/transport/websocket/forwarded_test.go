// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestClient(t *testing.T) {
	const proxy = "10.0.0.1:4000"
	for name, tc := range map[string]struct {
		from   string
		header string // its name
		lines  []string
		want   string
	}{
		"no proxy":               {from: "203.0.113.9:1", lines: []string{"192.0.2.1"}, want: "203.0.113.9:1"},
		"no header":              {from: proxy, want: proxy},
		"one":                    {from: proxy, lines: []string{"192.0.2.1"}, want: "192.0.2.1:0"},
		"with a port":            {from: proxy, lines: []string{"192.0.2.1:77"}, want: "192.0.2.1:77"},
		"IPv6":                   {from: proxy, lines: []string{"2001:db8::1"}, want: "[2001:db8::1]:0"},
		"IPv6 in brackets":       {from: proxy, lines: []string{"[2001:db8::1]"}, want: "[2001:db8::1]:0"},
		"IPv6 with a port":       {from: proxy, lines: []string{"[2001:db8::1]:77"}, want: "[2001:db8::1]:77"},
		"IPv4 in IPv6":           {from: proxy, lines: []string{"::ffff:192.0.2.1"}, want: "192.0.2.1:0"},
		"what the client wrote":  {from: proxy, lines: []string{"198.51.100.1, 127.0.0.1, 192.0.2.1"}, want: "192.0.2.1:0"},
		"in another line":        {from: proxy, lines: []string{"198.51.100.1", "192.0.2.1"}, want: "192.0.2.1:0"},
		"two proxies":            {from: proxy, lines: []string{"198.51.100.1, 192.0.2.1, 10.9.9.9"}, want: "192.0.2.1:0"},
		"proxies alone":          {from: proxy, lines: []string{"10.0.0.3, 10.0.0.2"}, want: "10.0.0.3:0"},
		"garbage at the end":     {from: proxy, lines: []string{"192.0.2.1, garbage"}, want: proxy},
		"garbage behind a proxy": {from: proxy, lines: []string{"192.0.2.1, unknown, 10.0.0.2"}, want: "10.0.0.2:0"},
		"empty":                  {from: proxy, lines: []string{""}, want: proxy},
		"one address":            {from: proxy, header: "X-Real-Ip", lines: []string{"192.0.2.1"}, want: "192.0.2.1:0"},
		"RFC 7239":               {from: proxy, header: forwarded, lines: []string{`for=198.51.100.1, For="[2001:db8::1]:77";proto=https;by=10.0.0.1`}, want: "[2001:db8::1]:77"},
		"RFC 7239, two proxies":  {from: proxy, header: forwarded, lines: []string{`for=192.0.2.1;host=a, for=10.0.0.2`}, want: "192.0.2.1:0"},
		"RFC 7239, hidden":       {from: proxy, header: forwarded, lines: []string{`for=192.0.2.1, for=_hidden`}, want: proxy},
		"RFC 7239, no for":       {from: proxy, header: forwarded, lines: []string{`for=192.0.2.1, proto=https`}, want: proxy},
		"RFC 7239, bare":         {from: proxy, header: forwarded, lines: []string{`192.0.2.1`}, want: proxy},
		"zone":                   {from: proxy, lines: []string{"fe80::1%eth0"}, want: "[fe80::1]:0"},
		"a proxy's IPv4 as IPv6": {from: "[::ffff:10.0.0.1]:4000", lines: []string{"192.0.2.1"}, want: "192.0.2.1:0"},
	} {
		tr := &Transport{header: defaultClientIPHeader, trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
		if tc.header != "" {
			tr.header = tc.header
		}
		h := http.Header{tr.header: tc.lines}
		if tr.header != defaultClientIPHeader {
			h[defaultClientIPHeader] = []string{"203.0.113.66"} // is not looked at
		}
		if got := tr.client(netip.MustParseAddrPort(tc.from), h); got != netip.MustParseAddrPort(tc.want) {
			t.Errorf("%s: %v, want %s", name, got, tc.want)
		}
	}
}

func FuzzClient(f *testing.F) {
	f.Add("198.51.100.1, 192.0.2.1:77, 10.0.0.1", false)
	f.Add(`for=192.0.2.1;proto=https, for="[2001:db8::1]:77"`, true)
	f.Fuzz(func(t *testing.T, line string, named bool) {
		tr := &Transport{header: defaultClientIPHeader, trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
		if named {
			tr.header = forwarded
		}
		from := netip.MustParseAddrPort("10.0.0.1:1")
		got := tr.client(from, http.Header{tr.header: {line}})
		if !got.IsValid() || got.Addr().Zone() != "" || got.Addr().Is4In6() {
			t.Fatalf("%q: %v", line, got)
		}
		// Whatever stands before an entry that is not a proxy's makes no difference.
		honest := "192.0.2.1"
		if named {
			honest = "for=" + honest
		}
		if strings.Contains(line, `"`) {
			return
		}
		if got := tr.client(from, http.Header{tr.header: {line + "," + honest}}); got != netip.MustParseAddrPort("192.0.2.1:0") {
			t.Fatalf("%q before the proxy's entry: %v", line, got)
		}
	})
}
