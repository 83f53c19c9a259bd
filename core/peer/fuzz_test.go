// SPDX-License-Identifier: Apache-2.0 OR MIT

package peer

import (
	"bytes"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

func FuzzDecodeID(f *testing.F) {
	for _, s := range []string{"", idA, idB, "bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe", "k51qzi5uqu5dgf513x", "1", "Qm", "z1", "\x00\x01\x72"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := Decode(s)
		if err != nil {
			return
		}
		for _, text := range []string{id.String(), id.CID()} {
			if again, err := Decode(text); err != nil || again != id {
				t.Fatalf("%q decodes to %x, whose text %s decodes to %x, %v", s, string(id), text, string(again), err)
			}
		}
		if again, err := FromBytes(id.Bytes()); err != nil || again != id {
			t.Fatalf("FromBytes(%x) = %x, %v", string(id), string(again), err)
		}
		if k, err := id.PublicKey(); err == nil && !id.Matches(k) {
			t.Fatalf("%v does not match its own key", id)
		}
	})
}

func FuzzUnmarshalPublicKey(f *testing.F) {
	v := loadVectors(f)
	for _, kind := range allTypes {
		f.Add(v.public[kind], []byte("sig"))
		k := vectorKey(f, kind)
		sig, err := k.Sign(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(v.public[kind], sig)
	}
	f.Fuzz(func(t *testing.T, b, sig []byte) {
		k, err := UnmarshalPublicKey(b)
		if err != nil {
			return
		}
		if got := MarshalPublicKey(k); !bytes.Equal(got, b) {
			t.Fatalf("%x encodes to %x", b, got)
		}
		k.Verify([]byte("some other data"), sig)
		if id := FromPublicKey(k); id.Validate() != nil || !id.Matches(k) {
			t.Fatalf("%x has the ID %x", b, string(id))
		}
	})
}

func FuzzUnmarshalPrivateKey(f *testing.F) {
	v := loadVectors(f)
	for _, kind := range allTypes {
		f.Add(v.private[kind])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := UnmarshalPrivateKey(b)
		if err != nil {
			return
		}
		again, err := UnmarshalPrivateKey(MarshalPrivateKey(k))
		if err != nil || !again.Public().Equal(k.Public()) {
			t.Fatalf("another key after a round trip: %v", err)
		}
		sig, err := k.Sign(b)
		if err != nil || !k.Public().Verify(b, sig) {
			t.Fatalf("signature does not verify: %v", err)
		}
	})
}

func FuzzDecodeAddr(f *testing.F) {
	for _, text := range []string{
		"/ip4/192.0.2.1/tcp/4001/p2p/" + idA,
		"/ip6/::ffff:127.0.0.1/udp/1/quic-v1/p2p/" + idA + "/p2p-circuit/p2p/" + idB,
		"/dns4/example.net/tcp/443/tls/sni/example.net/ws",
		"/unix/run/x.sock", "/unix/run/x.sock/p2p/" + idA, "/unix/a/p2p/" + idA + "/p2p/" + idB, "/unix/a/p2p/" + mustID(f, idA).CID(),
		"/p2p/" + idA + "/p2p/" + idA, "/memory/7", "/p2p/" + idB, "/ip6zone/a/ip6/fe80::1",
		"/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234",
		"/ip4/192.0.2.1/ipcidr/24", "/http-path/a%2fb",
	} {
		f.Add(mustAddr(f, text).Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		addr, err := DecodeAddr(b)
		if err != nil {
			return
		}
		if !bytes.Equal(addr.Bytes(), b) {
			t.Fatalf("%x encodes to %x", b, addr.Bytes())
		}
		_ = addr.String()
		checkParts(t, addr)
		scopes := 0
		for _, is := range []bool{IsPublic(addr), IsPrivate(addr), IsLoopback(addr)} {
			if is {
				scopes++
			}
		}
		if scopes > 1 {
			t.Fatalf("%v has %d scopes", addr, scopes)
		}
	})
}

// checkParts parts an address and puts it together again.
func checkParts(t *testing.T, addr ma.Multiaddr) {
	t.Helper()
	transport, id := SplitAddr(addr)
	if id != "" && id.Validate() != nil {
		t.Fatalf("%v leads to %x", addr, string(id))
	}
	if _, twice := SplitAddr(transport); twice != "" && twice == id {
		return // it stands there once more, and is enough
	}
	joined := JoinAddr(transport, id)
	// In a path an ID may be written in other ways.
	other := addr[len(addr)-1].Code() == ma.P_UNIX && !strings.HasSuffix(addr.String(), id.String())
	if !joined.Equal(addr) && !other {
		t.Fatalf("%v parts into %v and %v, which join to %v", addr, transport, id, joined)
	}
	if again, who := SplitAddr(joined); !again.Equal(transport) || who != id {
		t.Fatalf("%v parts into %v and %v, joined into %v and %v", addr, transport, id, again, who)
	}
	if id == "" {
		return
	}
	if again, err := ma.NewMultiaddrBytes(joined.Bytes()); err != nil || !again.Equal(joined) {
		t.Fatalf("%v is read as %v, %v", joined, again, err)
	}
}

func FuzzParseAddrInfo(f *testing.F) {
	for _, text := range []string{
		idA, "/p2p/" + idB, "/ip4/192.0.2.1/tcp/4001/p2p/" + idA, "/dnsaddr/example.net/p2p/" + idB,
		"/unix/run/a.sock/p2p/" + idA, "/unix/run/a.sock/p2p/" + mustID(f, idB).CID(), "/unix//p2p/" + idA,
		"/ip4/192.0.2.1/tcp/1/p2p/" + idA + "/p2p-circuit/p2p/" + idB,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		info, err := ParseAddrInfo(text)
		if err != nil {
			return
		}
		if info.ID.Validate() != nil || len(info.Addrs) > 1 {
			t.Fatalf("%q is %v", text, info)
		}
		for _, addr := range info.Addrs {
			joined := JoinAddr(addr, info.ID)
			checkParts(t, joined)
			again, err := ParseAddrInfo(joined.String())
			if err != nil || again.ID != info.ID || len(again.Addrs) != 1 || !again.Addrs[0].Equal(addr) {
				if _, twice := SplitAddr(addr); twice != info.ID {
					t.Fatalf("%q is %v, written %s and read %v, %v", text, info, joined, again, err)
				}
			}
		}
	})
}
