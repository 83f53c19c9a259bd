// SPDX-License-Identifier: Apache-2.0 OR MIT

package record

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

// keySigner signs with a private key.
type keySigner struct{ peer.PrivateKey }

func (s keySigner) PublicKey() peer.PublicKey { return s.Public() }

func (s keySigner) id() peer.ID { return peer.FromPublicKey(s.Public()) }

// newSigner returns the signer that belongs to a seed.
func newSigner(seed byte) keySigner {
	return keySigner{peer.Ed25519FromSeed([32]byte{seed})}
}

func addrs(t testing.TB, texts ...string) []ma.Multiaddr {
	t.Helper()
	var out []ma.Multiaddr
	for _, text := range texts {
		addr, err := ma.NewMultiaddr(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, addr)
	}
	return out
}

// loadVector returns the key and the envelope of testdata/go-libp2p.txt.
func loadVector(t testing.TB) (keySigner, []byte) {
	t.Helper()
	text, err := os.ReadFile("testdata/go-libp2p.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, lines, _ := strings.Cut(string(text), "\n") // behind the comment
	word := strings.Fields(lines)
	key, err := hex.DecodeString(word[1])
	if err != nil {
		t.Fatal(err)
	}
	env, err := hex.DecodeString(word[3])
	if err != nil {
		t.Fatal(err)
	}
	priv, err := peer.UnmarshalPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return keySigner{priv}, env
}

func TestVector(t *testing.T) {
	s, env := loadVector(t)
	r, err := ConsumePeerRecord(env, s.id())
	if err != nil {
		t.Fatal(err)
	}
	want := &PeerRecord{ID: s.id(), Seq: 1598453001624231000, Addrs: addrs(t,
		"/ip4/1.2.3.4/tcp/0", "/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.4/tcp/2", "/ip4/1.2.3.4/tcp/3", "/ip4/1.2.3.4/tcp/4",
		"/ip4/1.2.3.4/tcp/5", "/ip4/1.2.3.4/tcp/6", "/ip4/1.2.3.4/tcp/7", "/ip4/1.2.3.4/tcp/8", "/ip4/1.2.3.4/tcp/9")}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
	// Ed25519 signatures are deterministic: sealing it anew yields the same.
	sealed, err := SealPeerRecord(s, r)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sealed, env) {
		t.Errorf("sealed anew:\n%x, want\n%x", sealed, env)
	}
	e, err := Unmarshal(env)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(e.Marshal(), env) {
		t.Errorf("envelope encodes to\n%x, want\n%x", e.Marshal(), env)
	}
}

func TestPeerRecord(t *testing.T) {
	for _, kind := range []peer.KeyType{peer.RSA, peer.Ed25519, peer.Secp256k1, peer.ECDSA} {
		k, err := peer.GenerateKey(kind, nil)
		if err != nil {
			t.Fatal(err)
		}
		s := keySigner{k}
		for name, seal := range map[string]func(Signer, *PeerRecord) ([]byte, error){
			"new": SealPeerRecord, "legacy": SealLegacyPeerRecord,
		} {
			for _, want := range []*PeerRecord{
				{ID: s.id()},
				{ID: s.id(), Seq: 1<<64 - 1},
				{ID: s.id(), Seq: 7, Addrs: addrs(t, "/ip4/192.0.2.1/tcp/1", "/dns4/example.net/udp/1/quic-v1")},
			} {
				env, err := seal(s, want)
				if err != nil {
					t.Fatal(err)
				}
				got, err := ConsumePeerRecord(env, s.id())
				if err != nil {
					t.Errorf("%v, %s: %v", kind, name, err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%v, %s: %s", kind, name, diff)
				}
			}
		}
	}
}

// The encoding of each field, by hand from the RFCs.
func TestGolden(t *testing.T) {
	s := newSigner(1)
	r := &PeerRecord{ID: s.id(), Seq: 300, Addrs: addrs(t, "/ip4/192.0.2.1/tcp/80", "/memory/1")}
	id := hex.EncodeToString(s.id().Bytes())
	key := hex.EncodeToString(peer.MarshalPublicKey(s.PublicKey()))

	record := "0a26" + id + "10ac02" + "1a0a" + "0a08" + "04c0000201060050" + "1a0c" + "0a0a" + "89060000000000000001"
	payload, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(payload); got != record {
		t.Errorf("record\n%s, want\n%s", got, record)
	}

	for _, tt := range []struct {
		seal            func(Signer, *PeerRecord) ([]byte, error)
		domain, payload string
	}{
		{SealPeerRecord, "libp2p-peer-record", "\x03\x01"},
		{SealLegacyPeerRecord, "libp2p-routing-state", "/libp2p/routing-state-record"},
	} {
		signed := string(rune(len(tt.domain))) + tt.domain + string(rune(len(tt.payload))) + tt.payload +
			string(rune(len(payload))) + string(payload)
		sig, err := s.Sign([]byte(signed))
		if err != nil {
			t.Fatal(err)
		}
		want := "0a24" + key +
			hex.EncodeToString([]byte{0x12, byte(len(tt.payload))}) + hex.EncodeToString([]byte(tt.payload)) +
			hex.EncodeToString([]byte{0x1a, byte(len(payload))}) + record +
			"2a40" + hex.EncodeToString(sig)
		env, err := tt.seal(s, r)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(env); got != want {
			t.Errorf("%s: envelope\n%s, want\n%s", tt.domain, got, want)
		}
	}
}

func TestSeal(t *testing.T) {
	s := newSigner(1)
	e, err := Seal(s, "test", []byte("type"), []byte("payload"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := Unmarshal(e.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []*Envelope{e, again} {
		if err := e.Verify("test", []byte("type")); err != nil {
			t.Error(err)
		}
		if err := e.Verify("test", []byte("typ")); !errors.Is(err, ErrPayloadType) {
			t.Errorf("other type: error %v", err)
		}
		for _, domain := range []string{"", "tes", "testt", "\x04test"} {
			if err := e.Verify(domain, []byte("type")); !errors.Is(err, ErrSignature) {
				t.Errorf("domain %q: error %v", domain, err)
			}
		}
	}
	// Type and payload may be empty, as the RFC has it.
	e, err = Seal(s, "test", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if again, err = Unmarshal(e.Marshal()); err != nil || again.Verify("test", nil) != nil {
		t.Errorf("empty payload: %v", err)
	}
	if _, err := Seal(s, "", nil, nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("empty domain: error %v", err)
	}
	boom := errors.New("boom")
	if _, err := Seal(failingSigner{s, boom}, "test", nil, nil); !errors.Is(err, boom) {
		t.Errorf("failing signer: error %v", err)
	}
	if _, err := SealPeerRecord(s, &PeerRecord{ID: newSigner(2).id()}); !errors.Is(err, ErrWrongPeer) {
		t.Errorf("record of another: error %v", err)
	}
	many := make([]ma.Multiaddr, maxAddrs+1)
	for i := range many {
		many[i] = addrs(t, "/memory/1")[0]
	}
	if _, err := SealPeerRecord(s, &PeerRecord{ID: s.id(), Addrs: many}); !errors.Is(err, wire.ErrTooMany) {
		t.Errorf("501 addresses: error %v", err)
	}
	long := addrs(t, "/dns4/"+strings.Repeat("a", 900))[0]
	for i := range many {
		many[i] = long
	}
	if _, err := SealPeerRecord(s, &PeerRecord{ID: s.id(), Addrs: many[1:]}); !errors.Is(err, wire.ErrTooLarge) {
		t.Errorf("450 KB of addresses: error %v", err)
	}
}

type failingSigner struct {
	keySigner
	err error
}

func (s failingSigner) Sign([]byte) ([]byte, error) { return nil, s.err }

func TestPeerRecordAddrs(t *testing.T) {
	s, other := newSigner(1), newSigner(2)
	own, foreign := s.id(), other.id()
	var b []byte
	b = appendBytes(b, recordPeerID, own.Bytes())
	add := func(addr []byte) {
		b = protowire.AppendTag(b, recordAddresses, protowire.BytesType)
		b = protowire.AppendBytes(b, appendBytes(nil, addressMultiaddr, addr))
	}
	tcp := addrs(t, "/ip4/192.0.2.1/tcp/1")[0]
	add(tcp.Bytes())
	add(peer.JoinAddr(tcp, own).Bytes())
	add(peer.JoinAddr(tcp, foreign).Bytes())
	add(peer.JoinAddr(nil, own).Bytes())
	add([]byte{0xff, 0x7f}) // a protocol nobody knows
	add(nil)
	add(bytes.Repeat([]byte{0xdd, 0x03}, 33))
	relayed := addrs(t, "/ip4/192.0.2.1/tcp/1/p2p/"+foreign.String()+"/p2p-circuit")[0]
	add(relayed.Bytes())
	b = protowire.AppendTag(b, 99, protowire.BytesType) // a field of the future
	b = protowire.AppendString(b, "new")

	var r PeerRecord
	if err := r.Unmarshal(b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]ma.Multiaddr{tcp, tcp, relayed}, r.Addrs); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkConsumePeerRecord(b *testing.B) {
	s, env := loadVector(b)
	id := s.id()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ConsumePeerRecord(env, id); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSealPeerRecord(b *testing.B) {
	s, env := loadVector(b)
	r, err := ConsumePeerRecord(env, s.id())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := SealPeerRecord(s, r); err != nil {
			b.Fatal(err)
		}
	}
}
