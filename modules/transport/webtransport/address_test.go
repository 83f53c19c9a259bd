// SPDX-License-Identifier: Apache-2.0 OR MIT

package webtransport

import (
	"bytes"
	"net"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

const (
	hash1 = "/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g"
	hash2 = "/certhash/uEiBjM_0iECUNFYVyvSGfKNmPEg2rF5mBKkNCl0ClRs8bIw"
	// sha1Hash is a multihash of another function.
	sha1Hash = "/certhash/uERQLlAkHqKHNHzrlWKF40nvcJ7ex1w"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		addr   string
		at     string // empty if it is no address of the transport
		name   string
		hashes int
		url    string
	}{
		{"/ip4/192.0.2.1/udp/4001/quic-v1/webtransport", "192.0.2.1:4001", "", 0, "https://192.0.2.1:4001/.well-known/libp2p-webtransport?type=noise"},
		{"/ip4/192.0.2.1/udp/4001/quic-v1/webtransport" + hash1, "192.0.2.1:4001", "", 1, "https://192.0.2.1:4001/.well-known/libp2p-webtransport?type=noise"},
		{"/ip6/2001:db8::1/udp/443/quic-v1/webtransport" + hash1 + hash2, "[2001:db8::1]:443", "", 2, "https://[2001:db8::1]:443/.well-known/libp2p-webtransport?type=noise"},
		{"/ip6zone/eth0/ip6/fe80::1/udp/1/quic-v1/webtransport", "[fe80::1%eth0]:1", "", 0, "https://[fe80::1]:1/.well-known/libp2p-webtransport?type=noise"},
		{"/ip4/192.0.2.1/udp/443/quic-v1/sni/example.com/webtransport", "192.0.2.1:443", "example.com", 0, "https://example.com:443/.well-known/libp2p-webtransport?type=noise"},
		{"/ip4/192.0.2.1/udp/443/quic-v1/sni/example.com/webtransport" + hash1, "192.0.2.1:443", "example.com", 1, "https://example.com:443/.well-known/libp2p-webtransport?type=noise"},
		{"/ip4/192.0.2.1/udp/4001/quic-v1/webtransport" + strings.Repeat(hash1, maxCertHashes), "192.0.2.1:4001", "", maxCertHashes, "https://192.0.2.1:4001/.well-known/libp2p-webtransport?type=noise"},
		{"/ip4/192.0.2.1/udp/4001/quic-v1/webtransport" + strings.Repeat(hash1, maxCertHashes+1), "", "", 0, ""},
		{"/ip4/192.0.2.1/udp/4001/quic-v1", "", "", 0, ""},
		{"/ip4/192.0.2.1/udp/4001/quic-v1/sni/example.com", "", "", 0, ""},
		{"/ip4/192.0.2.1/udp/4001/quic/webtransport", "", "", 0, ""},
		{"/ip4/192.0.2.1/udp/4001/webtransport", "", "", 0, ""},
		{"/ip4/192.0.2.1/tcp/4001/quic-v1/webtransport", "", "", 0, ""},
		{"/ip4/192.0.2.1/udp/4001/quic-v1" + hash1, "", "", 0, ""},
		{"/ip4/192.0.2.1/udp/4001/quic-v1/webtransport/sni/example.com", "", "", 0, ""},
		{"/ip4/192.0.2.1/udp/4001/quic-v1/webtransport" + hash1 + "/webtransport", "", "", 0, ""},
		{"/ip4/192.0.2.1/udp/4001/quic-v1/webtransport/p2p-circuit", "", "", 0, ""},
		{"/ip4/192.0.2.1/udp/4001/webrtc-direct" + hash1, "", "", 0, ""},
		{"/dns4/example.com/udp/4001/quic-v1/webtransport", "", "", 0, ""},
		{"/memory/1", "", "", 0, ""},
	} {
		a := ma.StringCast(c.addr)
		if got := new(Transport).Match(a); got != (c.at != "") {
			t.Errorf("%s: matches: %v", a, got)
		}
		e, err := parse(a)
		if c.at == "" {
			if err == nil {
				t.Errorf("%s is read as %+v", a, e)
			}
			continue
		}
		if err != nil || e.at.String() != c.at || e.name != c.name || len(e.hashes) != c.hashes || e.url() != c.url {
			t.Errorf("%s is read as %+v (%v), with the URL %s", a, e, err, e.url())
		}
	}
}

// FuzzParse reads addresses as peers tell them. What is an endpoint must be the
// same when it is written again.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"/ip4/192.0.2.1/udp/4001/quic-v1/webtransport" + hash1 + hash2,
		"/ip6/2001:db8::1/udp/65535/quic-v1/webtransport",
		"/ip4/192.0.2.1/udp/4001/quic-v1/sni/example.com/webtransport" + sha1Hash,
		"/ip6zone/eth0/ip6/fe80::1/udp/1/quic-v1/webtransport",
		"/ip6/::ffff:192.0.2.1/udp/1/quic-v1/webtransport",
		"/ip4/192.0.2.1/udp/1/quic-v1",
		"/memory/1",
	} {
		f.Add(ma.StringCast(text).Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ma.NewMultiaddrBytes(b)
		if err != nil {
			return
		}
		e, err := parse(a)
		if err != nil {
			return
		}
		if len(e.hashes) > maxCertHashes || len(e.sha256Hashes()) > len(e.hashes) {
			t.Errorf("%s: %d hashes", a, len(e.hashes))
		}
		_ = e.url()
		_, _ = e.clientTLS(nil)
		written, err := multiaddr(net.UDPAddrFromAddrPort(e.at))
		if err != nil {
			t.Fatalf("%s: %v", a, err)
		}
		suffix, err := certHashes(e.hashes...)
		if err != nil {
			t.Fatalf("%s: %v", a, err)
		}
		again, err := parse(written.Encapsulate(suffix))
		if err != nil || again.at != e.at || !bytes.Equal(bytes.Join(again.hashes, nil), bytes.Join(e.hashes, nil)) {
			t.Errorf("%s is %+v, but %s is %+v (%v)", a, e, written, again, err)
		}
	})
}
