// SPDX-License-Identifier: Apache-2.0 OR MIT

package peer

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

const (
	idA = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
	idB = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
)

func mustAddr(t testing.TB, text string) ma.Multiaddr {
	t.Helper()
	addr, err := ma.NewMultiaddr(text)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

func mustID(t testing.TB, text string) ID {
	t.Helper()
	id, err := Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestSplitJoin(t *testing.T) {
	for _, tt := range []struct{ addr, transport, id string }{
		{"/ip4/192.0.2.1/tcp/4001/p2p/" + idA, "/ip4/192.0.2.1/tcp/4001", idA},
		{"/ip4/192.0.2.1/tcp/4001", "/ip4/192.0.2.1/tcp/4001", ""},
		{"/p2p/" + idB, "", idB},
		{"/ip4/192.0.2.1/tcp/1/p2p/" + idA + "/p2p-circuit/p2p/" + idB, "/ip4/192.0.2.1/tcp/1/p2p/" + idA + "/p2p-circuit", idB},
		{"/ip4/192.0.2.1/tcp/1/p2p/" + idA + "/p2p-circuit", "/ip4/192.0.2.1/tcp/1/p2p/" + idA + "/p2p-circuit", ""},
		{"/memory/7/p2p/" + idA, "/memory/7", idA},
		{"/unix/run/a.sock/p2p/" + idA, "/unix/run/a.sock", idA},
		{"/unix/run/a.sock", "/unix/run/a.sock", ""},
		{"/unix/run/p2p/" + idA + "/a", "/unix/run/p2p/" + idA + "/a", ""},
		{"/unix/run/p2p/" + idA + "/p2p/" + idB, "/unix/run/p2p/" + idA, idB},
		{"/unix/run/p2p/somebody", "/unix/run/p2p/somebody", ""},
		{"/unix/run/p2p/" + idA + "x", "/unix/run/p2p/" + idA + "x", ""},
		{"/unix/run/xp2p/" + idA, "/unix/run/xp2p/" + idA, ""},
		{"/unix/p2p/" + idA, "/unix/p2p/" + idA, ""}, // no path would be left
		{"/unix//p2p/" + idA, "/unix//p2p/" + idA, ""},
		{"/unix/a//p2p/" + idA, "/unix/a//p2p/" + idA, ""},
		{"/ip4/192.0.2.1/unix/a/p2p/" + idA, "/ip4/192.0.2.1/unix/a", idA},
	} {
		addr := mustAddr(t, tt.addr)
		transport, id := SplitAddr(addr)
		if transport.String() != tt.transport || id.String() != tt.id {
			t.Errorf("SplitAddr(%s) = %v, %v", tt.addr, transport, id)
		}
		if (transport == nil) != (tt.transport == "") {
			t.Errorf("SplitAddr(%s): transport nil: %v", tt.addr, transport == nil)
		}
		if joined := JoinAddr(transport, id); !joined.Equal(addr) {
			t.Errorf("JoinAddr(%v, %v) = %v, want %v", transport, id, joined, addr)
		}
		if joined := JoinAddr(addr, id); !joined.Equal(addr) {
			t.Errorf("JoinAddr(%v, %v) = %v, want it unchanged", addr, id, joined)
		}
	}
	if transport, id := SplitAddr(nil); transport != nil || id != "" {
		t.Errorf("SplitAddr(nil) = %v, %v", transport, id)
	}
	if joined := JoinAddr(mustAddr(t, "/memory/7"), "bad"); joined != nil {
		t.Errorf("JoinAddr with a bad ID = %v", joined)
	}

	// Two addresses made from one do not share memory.
	for _, text := range []string{"/ip4/192.0.2.1/tcp/1/p2p/" + idA, "/ip4/192.0.2.1/unix/a/p2p/" + idA} {
		addr := mustAddr(t, text)
		base, _ := SplitAddr(addr)
		a, b := JoinAddr(base, mustID(t, idA)), JoinAddr(base, mustID(t, idB))
		_ = append(base, b[len(b)-1])
		if !strings.HasSuffix(a.String(), idA) || !strings.HasSuffix(b.String(), idB) || addr.String() != text {
			t.Errorf("joined %v and %v, from %v", a, b, addr)
		}
	}
}

// An address of a socket is the same bytes, whether it was put together or read.
func TestUnixAddrIsOneComponent(t *testing.T) {
	addr := JoinAddr(mustAddr(t, "/unix/run/a.sock"), mustID(t, idA))
	if text := "/unix/run/a.sock/p2p/" + idA; len(addr) != 1 || addr.String() != text || !addr.Equal(mustAddr(t, text)) {
		t.Errorf("joined %v of %d components", addr, len(addr))
	}
	if again, err := DecodeAddr(addr.Bytes()); err != nil || !again.Equal(addr) {
		t.Errorf("decoded %v, %v", again, err)
	}
}

func TestParseAddrInfo(t *testing.T) {
	cid := mustID(t, idA).CID()
	for _, tt := range []struct{ text, id, addr string }{
		{idA, idA, ""},
		{cid, idA, ""},
		{"/p2p/" + idB, idB, ""},
		{"/ipfs/" + idB, idB, ""},
		{"/ip4/192.0.2.1/tcp/4001/p2p/" + idA, idA, "/ip4/192.0.2.1/tcp/4001"},
		{"/ip4/192.0.2.1/tcp/4001/p2p/" + cid, idA, "/ip4/192.0.2.1/tcp/4001"},
		{"/unix/run/a.sock/p2p/" + idA, idA, "/unix/run/a.sock"},
		{"/unix/run/a.sock/p2p/" + cid + "/", idA, "/unix/run/a.sock"},
		{"/unix/p2p/p2p/" + idA, idA, "/unix/p2p"},
		{"/dnsaddr/example.net/p2p/" + idB, idB, "/dnsaddr/example.net"},
		{"/ip6/2001:db8::1/tcp/1/p2p/" + idA + "/p2p-circuit/p2p/" + idB, idB, "/ip6/2001:db8::1/tcp/1/p2p/" + idA + "/p2p-circuit"},
	} {
		info, err := ParseAddrInfo(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		var addr string
		if len(info.Addrs) > 0 {
			addr = info.Addrs[0].String()
		}
		if info.ID.String() != tt.id || addr != tt.addr || len(info.Addrs) > 1 {
			t.Errorf("%s: %v", tt.text, info)
		}
	}
	for _, text := range []string{
		"", "/", "peer", "/ip4/192.0.2.1/tcp/4001", "/ip4/192.0.2.1/p2p", "/p2p/", "/nosuch/1/p2p/" + idA,
		"/ip4/192.0.2.1/tcp/1/p2p/" + idA + "/p2p-circuit",
		"/unix/run/a.sock", "/unix/p2p/" + idA, "/unix/run/a.sock/p2p/" + idA + "x", "/unix/run/a.sock" + idA,
		"/p2p/" + idA + "/p2p-circuit/p2p/" + idB + "/p2p-circuit/p2p/" + idA,
		"/dns4/" + strings.Repeat("a", 1<<20) + "/p2p/" + idA,
		strings.Repeat("/ws", 40) + "/p2p/" + idA,
	} {
		_, err := ParseAddrInfo(text)
		if !errors.Is(err, ErrInvalidAddr) && !errors.Is(err, ErrInvalidID) {
			t.Errorf("%.80s: error %v", text, err)
		}
	}
	b, err := json.Marshal(AddrInfo{mustID(t, idA), []ma.Multiaddr{mustAddr(t, "/memory/7")}})
	if want := `{"id":"` + idA + `","addrs":["/memory/7"]}`; err != nil || string(b) != want {
		t.Errorf("JSON %s, %v, want %s", b, err, want)
	}
}

func TestDecodeAddr(t *testing.T) {
	for _, text := range []string{
		"/ip4/192.0.2.1/tcp/4001",
		"/ip6/2001:db8::1/udp/4001/quic-v1/p2p/" + idA,
		"/ip4/192.0.2.1/tcp/1/p2p/" + idA + "/p2p-circuit/p2p/" + idB,
		"/dns4/example.net/tcp/443/tls/sni/example.net/ws",
		"/ip4/192.0.2.1/udp/1/quic-v1/webtransport/certhash/uEiAkH5a4DPGKUuOBjYw0CgwjvcJCJMD2K_1aluKR_tpevQ",
		strings.Repeat("/ws", 32),
		"/ip6zone/eth0/ip6/fe80::1/tcp/1",
	} {
		want := mustAddr(t, text)
		got, err := DecodeAddr(want.Bytes())
		if err != nil || !got.Equal(want) || got.String() != text {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

func TestEvil_B5_Addr(t *testing.T) {
	long := append([]byte{0x36, 0xff, 0x07}, bytes.Repeat([]byte{'a'}, 1023)...) // dns4
	ip := "\x04\xc0\x00\x02\x01"
	p2p := func(hash string) string { return "\xa5\x03" + string(rune(len(hash))) + hash }
	for name, b := range map[string]string{
		"empty":                    "",
		"1026 bytes":               string(long),
		"megabyte":                 strings.Repeat("\xdd\x03", 1<<19),
		"33 components":            strings.Repeat("\xdd\x03", 33),
		"512 components":           strings.Repeat("\xdd\x03", 512),
		"two circuits":             ip + "\xa2\x02\xa2\x02",
		"unknown protocol":         "\xff\x7f",
		"protocol 0":               "\x00\x00",
		"endless code":             strings.Repeat("\xff", 20),
		"code not minimal":         "\x84\x00\xc0\x00\x02\x01",
		"cut address":              "\x04\xc0\x00\x02",
		"length 2^63-1":            "\x36\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
		"length too great":         "\x36\x05abcd",
		"length 0":                 "\x36\x00",
		"name with slash":          "\x36\x03a/b",
		"p2p with nothing":         "\xa5\x03\x00",
		"p2p with SHA-1":           p2p("\x11\x14" + strings.Repeat("a", 20)),
		"p2p with long identity":   p2p("\x00\x2b" + strings.Repeat("a", 43)),
		"p2p with trailing":        p2p("\x12\x20" + strings.Repeat("a", 33)),
		"p2p with empty identity":  p2p("\x00\x00"),
		"bad p2p before a circuit": p2p("\x00\x2b"+strings.Repeat("a", 43)) + "\xa2\x02",
	} {
		if addr, err := DecodeAddr([]byte(b)); !errors.Is(err, ErrInvalidAddr) {
			t.Errorf("%s: %v, error %v, want %v", name, addr, err, ErrInvalidAddr)
		}
	}
}
