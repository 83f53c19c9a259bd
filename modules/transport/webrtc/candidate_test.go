// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtc

import (
	"net/netip"
	"strings"
	"testing"
)

func TestDecodeCandidate(t *testing.T) {
	for data, want := range map[string]string{
		`null`: "", `""`: "", ``: "", `{}`: "", `{"candidate":""}`: "", " null\n": "",
		`{"candidate":"candidate:1","sdpMid":"0","sdpMLineIndex":0}`:             "candidate:1",
		`{"candidate":"candidate:1","usernameFragment":null,"foundation":"1"}`:   "candidate:1",
		`{"candidate":"candidate:2","sdpMid":null,"sdpMLineIndex":null,"x":[1]}`: "candidate:2",
	} {
		if got, err := decodeCandidate(data); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", data, got, err, want)
		}
	}
	for _, data := range []string{`[]`, `"x"`, `1`, `candidate:1`, `{"candidate":1}`, `{"candidate":"` + strings.Repeat("x", maxCandidate)} {
		if got, err := decodeCandidate(data); err == nil {
			t.Errorf("%.50s: %q", data, got)
		}
	}
}

// Candidates are addresses that somebody else chooses: the node sends datagrams to
// those alone that lie on the Internet or in its own network.
func TestEvil_D2_Candidates(t *testing.T) {
	at := func(ip string) string { return "1 1 udp 2130706431 " + ip + " 40000 typ host" }
	none := reach{}
	home := reach{own: []netip.Addr{netip.MustParseAddr("192.168.1.2"), netip.MustParseAddr("fd00:1::2")}}
	here := reach{loopback: true, own: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
	for _, c := range []struct {
		name, candidate  string
		none, home, here bool
	}{
		{"public", at("8.8.8.8"), true, true, true},
		{"public, IPv6", at("2606:4700::1111"), true, true, true},
		{"with a prefix", "candidate:" + at("8.8.8.8"), true, true, true},
		{"as an attribute", "a=candidate:" + at("8.8.8.8"), true, true, true},
		{"reflexive", "1 1 UDP 1 8.8.8.8 40000 typ srflx raddr 10.0.0.1 rport 1 generation 0 ufrag x network-cost 999", true, true, true},
		{"loopback", at("127.0.0.1"), false, false, true},
		{"loopback, mapped", at("::ffff:127.0.0.1"), false, false, true},
		{"loopback, IPv6", at("::1"), false, false, true},
		{"the network at home", at("192.168.77.1"), false, true, false},
		{"mapped, at home", at("::ffff:192.168.77.1"), false, true, false},
		{"the site at home", at("fd00:1::9"), false, true, false},
		{"another site", at("fd00:2::9"), false, false, false},
		{"10/8", at("10.0.0.1"), false, false, false},
		{"172.16/12", at("172.20.0.1"), false, false, false},
		{"shared by a provider", at("100.64.0.1"), false, false, false},
		{"link-local", at("169.254.169.254"), false, false, false},
		{"link-local, IPv6", at("fe80::1"), false, false, false},
		{"unspecified", at("0.0.0.0"), false, false, false},
		{"this network", at("0.1.2.3"), false, false, false},
		{"multicast", at("224.0.0.251"), false, false, false},
		{"broadcast", at("255.255.255.255"), false, false, false},
		{"multicast, IPv6", at("ff02::1"), false, false, false},
		{"unspecified, IPv6", at("::"), false, false, false},
		{"documentation", at("192.0.2.1"), false, false, false},
		{"benchmarks", at("198.18.0.1"), false, false, false},
		{"NAT64 of a private one", at("64:ff9b::a00:1"), false, false, false},
		{"6to4 of a private one", at("2002:a00:1::1"), false, false, false},
		{"mDNS", at("9b36eaac-bb2e-49bb-bb78-21c41c499900.local"), false, false, false},
		{"name", at("intranet.example.org"), false, false, false},
		{"zone", at("fe80::1%eth0"), false, false, false},
		{"TCP", "1 1 tcp 1 8.8.8.8 9 typ host tcptype active", false, false, false},
		{"TCP, passive", "1 1 tcp 1 8.8.8.8 40000 typ host tcptype passive", false, false, false},
		{"another component", "1 2 udp 1 8.8.8.8 40000 typ host", false, false, false},
		{"DNS server", "1 1 udp 1 8.8.8.8 53 typ host", false, false, false},
		{"no port", "1 1 udp 1 8.8.8.8 0 typ host", false, false, false},
		{"port beyond", "1 1 udp 1 8.8.8.8 70000 typ host", false, false, false},
		{"short", "1 1 udp 1 8.8.8.8", false, false, false},
		{"nothing", "", false, false, false},
	} {
		for i, r := range []reach{none, home, here} {
			want := []bool{c.none, c.home, c.here}[i]
			if got, err := r.parse(c.candidate); (err == nil) != want {
				t.Errorf("%s, %d: %v, %v", c.name, i, got, err)
			}
		}
	}
}

func FuzzCandidate(f *testing.F) {
	f.Add(encodeCandidate(hostCandidate, "0", "abcd"))
	f.Add(`{"candidate":"candidate:1 1 udp 1 ::1 40000 typ srflx raddr 1.1.1.1 rport 1 x y","sdpMid":null}`)
	f.Add(`""`)
	f.Fuzz(func(t *testing.T, data string) {
		text, err := decodeCandidate(data)
		if err != nil || text == "" {
			return
		}
		c, err := reach{}.parse(text)
		if err != nil {
			return
		}
		if ip, err := netip.ParseAddr(c.Address()); err != nil || ip.IsLoopback() || ip.IsPrivate() || c.Port() < minPort {
			t.Fatalf("%q is used", text)
		}
	})
}
