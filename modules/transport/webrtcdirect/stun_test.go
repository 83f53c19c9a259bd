// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcdirect

import (
	"net/netip"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

// The vectors of RFC 5769.
const (
	vectorPassword = "VOkJxbRl1RmTxUk/WvJxBt"
	vectorRequest  = "000100582112a442b7e7a701bc34d686fa87dfae" +
		"802200105354554e207465737420636c69656e74" + "002400046e0001ff" + "80290008932ff9b151263b36" +
		"000600096576746a3a68367659202020" + "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2" + "80280004e57a3bcf"
	vectorResponse = "0101003c2112a442b7e7a701bc34d686fa87dfae" + "8022000b7465737420766563746f7220" +
		"002000080001a147e112a643" + "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7" + "80280004c07d4c96"
)

func TestSTUNVectors(t *testing.T) {
	m, err := parseSTUN(unhex(t, vectorRequest))
	if err != nil || m.kind != bindingRequest || string(m.username) != "evtj:h6vY" {
		t.Fatalf("%+v, %v", m, err)
	}
	if !m.verify([]byte(vectorPassword)) || m.verify([]byte("another password")) {
		t.Error("the request's signature is not told apart")
	}
	// The same answer, but for the name of the software that has made it.
	response, err := parseSTUN(unhex(t, vectorResponse))
	if err != nil || response.kind != bindingResponse || !response.verify([]byte(vectorPassword)) {
		t.Fatalf("%+v, %v", response, err)
	}
	answer := respond(m, netip.MustParseAddrPort("192.0.2.1:32853"), []byte(vectorPassword))
	if want := unhex(t, "002000080001a147e112a643"); string(answer[stunHeader:stunHeader+len(want)]) != string(want) {
		t.Errorf("the answer is %x", answer)
	}
	six := respond(m, netip.MustParseAddrPort("[2001:db8:1234:5678:11:2233:4455:6677]:32853"), []byte(vectorPassword))
	if want := unhex(t, "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"); string(six[stunHeader:stunHeader+len(want)]) != string(want) {
		t.Errorf("the answer for IPv6 is %x", six)
	}
	for _, b := range [][]byte{answer, six} {
		if got, err := parseSTUN(b); err != nil || got.transaction != m.transaction || !got.verify([]byte(vectorPassword)) {
			t.Errorf("%x: %+v, %v", b, got, err)
		}
	}
}

func TestSTUNRequest(t *testing.T) {
	b, transaction := request("name:other", []byte(vectorPassword), 7)
	m, err := parseSTUN(b)
	if err != nil || m.kind != bindingRequest || m.transaction != transaction || !m.nominated || string(m.username) != "name:other" {
		t.Errorf("%+v, %v", m, err)
	}
	if !m.verify([]byte(vectorPassword)) {
		t.Error("it is not signed")
	}
	for i := range b { // the fingerprint finds every change
		b[i] ^= 4
		if m, err := parseSTUN(b); err == nil && m.verify([]byte(vectorPassword)) && i < len(b)-fingerprint {
			t.Errorf("byte %d may be changed", i)
		}
		b[i] ^= 4
	}
}

// checkRequest makes a binding request with the least that is needed.
func checkRequest(t testing.TB, username, password string) []byte {
	t.Helper()
	return beginSTUN(bindingRequest, [12]byte{1, 2, 3}).add(attrUsername, []byte(username)).end([]byte(password))
}

func TestUsernames(t *testing.T) {
	long := strings.Repeat("a", 256)
	for _, c := range []struct {
		username, password string
		ok                 bool
	}{
		{prefixV1 + "abc:" + prefixV1 + "abc", prefixV1 + "abc", true},
		{prefixV1 + "abc:efgh", "efgh", true},
		{prefixV2 + "0123456789012345678901:efgh", "0123456789012345678901", true},
		{prefixV2 + "012345678901234567890:efgh", "", false}, // a password of 21
		{prefixV1 + long + ":efgh", "", false},
		{prefixV1 + "abc:" + long, long, true},
		{prefixV1 + "abc:" + long + "a", "", false},
		{prefixV1 + "abc:efg", "", false},
		{prefixV1 + "abc", "", false},
		{prefixV1 + "abc:efgh:ijkl", "", false},
		{prefixV1 + "a c:efgh", "", false},
		{"libp2p+webrtc+v3/abc:efgh", "", false},
		{"abcd:efgh", "", false},
		{":", "", false},
		{"", "", false},
	} {
		got, ok := parseUsername([]byte(c.username))
		if ok != c.ok || ok && string(got.password) != c.password {
			t.Errorf("%.60s: %q, %v", c.username, got.password, ok)
		}
	}
}

func FuzzSTUN(f *testing.F) {
	f.Add(checkRequest(f, prefixV1+"abcd:efgh", prefixV1+"abcd"))
	f.Add(make([]byte, stunHeader))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseSTUN(b)
		if err != nil {
			return
		}
		_ = m.verify([]byte("password"))
		if len(m.username) > len(b) || m.signed > len(b)-integrity {
			t.Fatalf("%+v", m)
		}
		if answer := respond(m, netip.MustParseAddrPort("[2001:db8::1]:1"), []byte("password")); len(answer) > 100 {
			t.Fatalf("an answer of %d bytes", len(answer))
		}
	})
}

func FuzzUsername(f *testing.F) {
	f.Add([]byte(prefixV1 + "abcd:efgh"))
	f.Add([]byte(prefixV2 + "0123456789012345678901:efgh"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, ok := parseUsername(b); ok && (len(c.listener) > maxFragment || len(c.dialer) > maxFragment || len(c.password) < minFragment) {
			t.Fatalf("%+v", c)
		}
	})
}

func FuzzAddress(f *testing.F) {
	f.Add(ma.StringCast("/ip4/192.0.2.1/udp/4001/webrtc-direct/certhash/uEiDmRcd1LKt140xWNJ1HAqG-IC3EyA3xmPGETPhlpEbzVQ").Bytes())
	f.Add(ma.StringCast("/ip6zone/lo/ip6/::1/udp/4001/webrtc-direct").Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ma.NewMultiaddrBytes(b)
		if err != nil {
			return
		}
		at, h, hashed, err := parseAddress(a)
		if err != nil {
			return
		}
		again, err := address(at)
		if err == nil && hashed {
			again, err = withHash(again, h)
		}
		if err != nil {
			t.Fatalf("%s: %v", a, err)
		}
		if at2, h2, hashed2, err := parseAddress(again); err != nil || at2 != at || h2 != h || hashed2 != hashed {
			t.Fatalf("%s becomes %s", a, again)
		}
	})
}
