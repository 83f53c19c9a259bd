// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"net/netip"
	"strings"
	"testing"
)

// header2 is a header of version 2.
func header2(command, family byte, body string) string {
	return proxy2 + string([]byte{command, family, byte(len(body) >> 8), byte(len(body))}) + body
}

func TestParseProxy(t *testing.T) {
	four := "\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb" // 192.0.2.1:56324 to 198.51.100.1:443
	six := "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01" + strings.Repeat("\xff", 16) + "\xdc\x04\x01\xbb"
	mapped := strings.Repeat("\x00", 10) + "\xff\xff\xc0\x00\x02\x01" + strings.Repeat("\xff", 16) + "\xdc\x04\x01\xbb"
	for name, tc := range map[string]struct {
		header string
		client string // empty if none is named
		bad    bool
	}{
		"1, IPv4":                    {header: "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", client: "192.0.2.1:56324"},
		"1, IPv6":                    {header: "PROXY TCP6 2001:db8::1 ::1 1 443\r\n", client: "[2001:db8::1]:1"},
		"1, IPv4 in IPv6":            {header: "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 443\r\n", client: "192.0.2.1:1"},
		"1, unknown":                 {header: "PROXY UNKNOWN\r\n"},
		"1, unknown, with addresses": {header: "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"},
		"1, family":                  {header: "PROXY TCP4 ::1 ::1 1 443\r\n", bad: true},
		"1, other family":            {header: "PROXY UDP4 192.0.2.1 192.0.2.1 1 443\r\n", bad: true},
		"1, port":                    {header: "PROXY TCP4 192.0.2.1 192.0.2.1 65536 443\r\n", bad: true},
		"1, negative port":           {header: "PROXY TCP4 192.0.2.1 192.0.2.1 -1 443\r\n", bad: true},
		"1, zone":                    {header: "PROXY TCP6 fe80::1%eth0 ::1 1 443\r\n", bad: true},
		"1, spaces":                  {header: "PROXY TCP4  192.0.2.1 192.0.2.1 1 443\r\n", bad: true},
		"1, few fields":              {header: "PROXY TCP4 192.0.2.1\r\n", bad: true},
		"1, too long":                {header: "PROXY UNKNOWN " + strings.Repeat("x", 100), bad: true},
		"2, IPv4":                    {header: header2(0x21, 0x11, four), client: "192.0.2.1:56324"},
		"2, IPv6":                    {header: header2(0x21, 0x21, six), client: "[2001:db8::1]:56324"},
		"2, IPv4 in IPv6":            {header: header2(0x21, 0x21, mapped), client: "192.0.2.1:56324"},
		"2, more behind":             {header: header2(0x21, 0x11, four+"\x03\x00\x04abcd"), client: "192.0.2.1:56324"},
		"2, local":                   {header: header2(0x20, 0x00, "")},
		"2, local, with addresses":   {header: header2(0x20, 0x11, four)},
		"2, unix":                    {header: header2(0x21, 0x31, strings.Repeat("x", 216))},
		"2, unspecified":             {header: header2(0x21, 0x00, "")},
		"2, short":                   {header: header2(0x21, 0x11, four[:11]), bad: true},
		"2, version":                 {header: header2(0x11, 0x11, four), bad: true},
		"2, command":                 {header: header2(0x22, 0x11, four), bad: true},
		"2, too long":                {header: header2(0x21, 0x11, strings.Repeat("x", maxProxy)), bad: true},
		"none":                       {header: "GET / HTTP/1.1\r\n", bad: true},
		"almost":                     {header: "PROXIMITY", bad: true},
	} {
		client, size, err := parseProxy([]byte(tc.header))
		if tc.bad {
			if err == nil {
				t.Errorf("%s: %v, %d; want an error", name, client, size)
			}
			continue
		}
		want := netip.AddrPort{}
		if tc.client != "" {
			want = netip.MustParseAddrPort(tc.client)
		}
		if err != nil || client != want || size != len(tc.header) {
			t.Errorf("%s: %v, %d, %v; want %v, %d", name, client, size, err, want, len(tc.header))
		}
		if _, size, err := parseProxy([]byte(tc.header + "GET")); err != nil || size != len(tc.header) {
			t.Errorf("%s, with more behind it: %d, %v", name, size, err)
		}
		for i := range len(tc.header) {
			if _, size, err := parseProxy([]byte(tc.header[:i])); err != nil || size != 0 {
				t.Errorf("%s, the first %d bytes: %d, %v", name, i, size, err)
			}
		}
	}
}

func FuzzProxy(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\nGET"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte(header2(0x21, 0x11, "\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb") + "GET"))
	f.Add([]byte(header2(0x20, 0x00, "")))
	f.Fuzz(func(t *testing.T, b []byte) {
		client, size, err := parseProxy(b)
		if size > len(b) || size > maxProxy || err != nil && size != 0 {
			t.Fatalf("size %d of %d bytes, %v", size, len(b), err)
		}
		if err == nil && size == 0 && len(b) > maxProxy {
			t.Fatalf("%d bytes are not enough", len(b))
		}
		if size == 0 {
			return
		}
		if again, n, err := parseProxy(b[:size]); again != client || n != size || err != nil {
			t.Fatalf("without what is behind: %v, %d, %v; with it: %v, %d", again, n, err, client, size)
		}
	})
}
