// SPDX-License-Identifier: Apache-2.0 OR MIT

package peerstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
)

// tcp makes an address out of a number.
func tcp(n int) ma.Multiaddr {
	b := binary.BigEndian.AppendUint32([]byte{0x04}, 0x0b000000+uint32(n)) // ip4 11.0.0.0 and on
	a, err := ma.NewMultiaddrBytes(append(b, 0x06, 0x0f, 0xa1))
	if err != nil {
		panic(err)
	}
	return a
}

func heapBytes() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Three times what fits; more of the same changes nothing.
func TestEvil_D3_AddressFlood(t *testing.T) {
	inserts := 300_000
	if testing.Short() {
		inserts = 150_000
	}
	b := New(Config{}, nil)
	b.AddPeerAddrs(id(-1), core.PermanentTTL, tcp(1))
	b.Connected(id(-2))
	b.AddPeerAddrs(id(-2), core.ConnectedTTL, tcp(1))
	before := heapBytes()
	for i := range inserts {
		b.AddPeerAddrs(id(i), core.DiscoveredTTL, tcp(i))
	}
	after := heapBytes()
	if b.addrs != 100_000 || len(b.expiry) != 100_000 || len(b.entries) != 100_002 {
		t.Errorf("%d addresses, %d in the heap, %d entries", b.addrs, len(b.expiry), len(b.entries))
	}
	if grown := int64(after) - int64(before); grown > 64<<20 {
		t.Errorf("heap grew by %d MiB", grown>>20)
	} else {
		t.Logf("%d bytes an address", grown/100_000)
	}
	expect(t, b, id(-1), tcp(1).String())
	expect(t, b, id(-2), tcp(1).String())
	expect(t, b, id(inserts-1), tcp(inserts-1).String())
	check(t, b)
}

// Peers that connect, say as much as they can, and leave.
func TestEvil_D3_FactsFlood(t *testing.T) {
	b := New(Config{Records: 100, RecordBytes: 1 << 20}, nil)
	said := Identified{Agent: strings.Repeat("a", 1000)}
	for i := range 2000 {
		said.Protocols = append(said.Protocols, fmt.Sprintf("/%d/%s", i, strings.Repeat("p", 240)))
	}
	said.Protocols = append(said.Protocols, strings.Repeat("p", 257), "", "/\x1b[2J", "/\u202e")
	for i := range 300 {
		said := said
		if i%2 == 0 {
			said.Protocols = nil
		}
		b.Connected(id(i))
		b.SetIdentified(id(i), said)
		if n := len(b.PeerProtocols(id(i))); n != min(len(said.Protocols), 1024) {
			t.Fatalf("%d protocols", n)
		}
		b.AddPeerAddrs(id(i), core.ConnectedTTL, tcp(i))
		b.Disconnected(id(i))
	}
	check(t, b)
	if n := len(b.KnownPeers()); n != 300 {
		t.Errorf("%d peers with addresses", n)
	}
	if len(b.PeerAgent(id(299))) != 256 || b.PeerAgent(id(0)) != "" {
		t.Error("the oldest had to go, not the newest")
	}
	for i := range 300 {
		b.Forget(id(i))
	}
	if b.facts.bytes != 0 || b.facts.count != 0 {
		t.Error("accounts do not return to zero")
	}
}

func TestEvil_D2_AddrsPerPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{}, time.Now)
		b.AddPeerAddrs(id(1), core.RecentTTL, tcp(1))
		b.AddPeerAddrs(id(1), core.PermanentTTL, tcp(2))
		var list []ma.Multiaddr
		for i := range 10_000 {
			list = append(list, tcp(100+i))
		}
		b.AddPeerAddrs(id(1), core.DiscoveredTTL, list...)
		known := have(b, id(1))
		if len(known) != 64 {
			t.Errorf("%d addresses of an unconnected peer", len(known))
		}
		if all := strings.Join(known, " "); !strings.Contains(all, tcp(1).String()+" ") || !strings.Contains(all, tcp(2).String()+" ") {
			t.Error("better addresses were given up")
		}
		b.Connected(id(1))
		b.SetIdentified(id(1), Identified{Addrs: list})
		if n := len(b.PeerAddrs(id(1))); n != 500 {
			t.Errorf("%d addresses of a connected peer", n)
		}
		b.Disconnected(id(1))
		if n := len(b.PeerAddrs(id(1))); n != 64 {
			t.Errorf("%d addresses after the connection", n)
		}
		check(t, b)
		time.Sleep(core.RecentTTL)
		expect(t, b, id(1), tcp(2).String())
	})
}

func newKey(t testing.TB, seed byte) peer.PrivateKey {
	t.Helper()
	key, err := peer.GenerateKey(peer.Ed25519, bytes.NewReader(bytes.Repeat([]byte{seed}, 64)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

type signer struct{ peer.PrivateKey }

func (s signer) PublicKey() peer.PublicKey { return s.Public() }

func seal(t testing.TB, key peer.PrivateKey, seq uint64, list ...ma.Multiaddr) []byte {
	t.Helper()
	env, err := record.SealPeerRecord(signer{key}, &record.PeerRecord{ID: peer.FromPublicKey(key.Public()), Seq: seq, Addrs: list})
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func TestRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newKey(t, 1)
		p := peer.FromPublicKey(key.Public())
		b := New(Config{}, time.Now)
		b.AddPeerAddrs(p, core.DiscoveredTTL, tcp(1), tcp(2))
		b.AddPeerAddrs(p, core.PermanentTTL, tcp(3))
		first := seal(t, key, 7, tcp(2), tcp(4))
		if err := b.ConsumePeerRecord(first, p, core.DiscoveredTTL); err != nil {
			t.Fatal(err)
		}
		expect(t, b, p, tcp(2).String(), tcp(3).String(), tcp(4).String())
		if got := b.PeerRecord(p); got == nil || !bytes.Equal(got.Marshal(), first) {
			t.Error("not the record that was given")
		}
		time.Sleep(time.Minute)
		if err := b.ConsumePeerRecord(first, p, core.DiscoveredTTL); err != nil { // again: prolonged
			t.Error(err)
		}
		time.Sleep(core.DiscoveredTTL - 1)
		expect(t, b, p, tcp(2).String(), tcp(3).String(), tcp(4).String())
		b.Connected(p)
		b.AddPeerAddrs(p, core.ConnectedTTL, tcp(5))
		b.SetIdentified(p, Identified{Addrs: []ma.Multiaddr{tcp(6)}})
		if err := b.ConsumePeerRecord(seal(t, key, 8, tcp(7)), p, core.ConnectedTTL); err != nil {
			t.Error(err)
		}
		expect(t, b, p, tcp(3).String(), tcp(5).String(), tcp(7).String())
		if got := b.PeerAddrs(p)[0]; !got.Equal(tcp(7)) {
			t.Errorf("the signed address comes behind %s", got)
		}
		check(t, b)
		if _, _, err := b.SetIdentified(p, Identified{SignedRecord: seal(t, key, 9, tcp(8)), Addrs: []ma.Multiaddr{tcp(9)}}); err != nil {
			t.Error(err)
		}
		expect(t, b, p, tcp(3).String(), tcp(5).String(), tcp(8).String())
		b.Disconnected(p)
		if _, _, err := b.SetIdentified(p, Identified{SignedRecord: seal(t, key, 10, tcp(9))}); err != nil {
			t.Error(err)
		}
		expect(t, b, p, tcp(3).String(), tcp(5).String(), tcp(8).String())
	})
}

func TestEvil_A3_Records(t *testing.T) {
	key, mallory := newKey(t, 1), newKey(t, 2)
	p := peer.FromPublicKey(key.Public())
	m := peer.FromPublicKey(mallory.Public())
	good := seal(t, key, 10, tcp(1))

	// A record that names the victim, signed by another.
	lie, err := (&record.PeerRecord{ID: p, Seq: 99, Addrs: []ma.Multiaddr{tcp(66)}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	forged, err := record.Seal(signer{mallory}, "libp2p-peer-record", []byte{3, 1}, lie)
	if err != nil {
		t.Fatal(err)
	}
	otherDomain, err := record.Seal(signer{key}, "libp2p-relay-rsvp", []byte{3, 1}, lie)
	if err != nil {
		t.Fatal(err)
	}
	broken := bytes.Clone(seal(t, key, 11, tcp(66)))
	broken[len(broken)-1] ^= 1

	for _, tt := range []struct {
		name   string
		env    []byte
		expect peer.ID
		err    error
	}{
		{"valid record of a third peer", seal(t, mallory, 11, tcp(66)), p, record.ErrWrongPeer},
		{"names the victim, signed by another", forged.Marshal(), p, record.ErrWrongPeer},
		{"names the victim, given as the signer's", forged.Marshal(), m, record.ErrWrongPeer},
		{"older", seal(t, key, 9, tcp(66)), p, ErrOldRecord},
		{"same number, other addresses", seal(t, key, 10, tcp(66)), p, ErrOldRecord},
		{"other domain", otherDomain.Marshal(), p, record.ErrSignature},
		{"broken signature", broken, p, record.ErrSignature},
		{"no peer", good, "", record.ErrWrongPeer},
		{"nothing", nil, p, record.ErrInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := New(Config{}, nil)
			if err := b.ConsumePeerRecord(good, p, core.DiscoveredTTL); err != nil {
				t.Fatal(err)
			}
			if err := b.ConsumePeerRecord(tt.env, tt.expect, core.PermanentTTL); !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			expect(t, b, p, tcp(1).String())
			if len(b.entries) != 1 || !bytes.Equal(b.PeerRecord(p).Marshal(), good) {
				t.Error("something was stored")
			}
			check(t, b)

			// The same by identify: the record is refused, what was said
			// without a signature stays unsigned.
			b.Connected(p)
			if _, _, err := b.SetIdentified(p, Identified{SignedRecord: tt.env, Addrs: []ma.Multiaddr{tcp(2)}}); tt.expect == p && len(tt.env) > 0 && !errors.Is(err, tt.err) {
				t.Errorf("identify: error %v, want %v", err, tt.err)
			}
			if tt.expect == p {
				expect(t, b, p, tcp(1).String(), tcp(2).String())
			}
		})
	}
}

// The greatest number there is locks out the records of the peer that used it,
// until it is forgotten; nothing wraps around, and nothing else is disturbed.
func TestEvil_A3_LastNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newKey(t, 1)
		p := peer.FromPublicKey(key.Public())
		b := New(Config{}, time.Now)
		if err := b.ConsumePeerRecord(seal(t, key, math.MaxUint64, tcp(1)), p, core.TempTTL); err != nil {
			t.Fatal(err)
		}
		for _, seq := range []uint64{0, 1, math.MaxUint64 - 1} {
			if err := b.ConsumePeerRecord(seal(t, key, seq, tcp(2)), p, core.TempTTL); !errors.Is(err, ErrOldRecord) {
				t.Errorf("number %d: %v", seq, err)
			}
		}
		b.AddPeerAddrs(p, core.TempTTL, tcp(3))
		expect(t, b, p, tcp(1).String(), tcp(3).String())
		time.Sleep(core.TempTTL)
		b.AddPeerAddrs(id(1), core.TempTTL, tcp(1)) // any write sweeps
		if err := b.ConsumePeerRecord(seal(t, key, 0, tcp(2)), p, core.TempTTL); err != nil {
			t.Errorf("after everything expired: %v", err)
		}
		expect(t, b, p, tcp(2).String())
	})
}

func TestEvil_A3_RandomRecords(t *testing.T) {
	key := newKey(t, 1)
	p := peer.FromPublicKey(key.Public())
	good := seal(t, key, 1, tcp(1), tcp(2))
	b := New(Config{}, nil)
	r := rand.New(rand.NewPCG(1, 2))
	rounds := 30_000
	if testing.Short() {
		rounds = 10_000
	}
	before := heapBytes()
	for i := range rounds {
		env := make([]byte, r.IntN(200))
		for j := range env {
			env[j] = byte(r.Uint32())
		}
		if i%20 == 0 { // nearly right
			env = bytes.Clone(good)
			env[r.IntN(len(env))] ^= byte(1 + r.IntN(255))
		}
		if err := b.ConsumePeerRecord(env, p, core.DiscoveredTTL); err == nil {
			t.Fatalf("accepted %x", env)
		}
	}
	if grown := int64(heapBytes()) - int64(before); grown > 1<<20 || len(b.entries) != 0 {
		t.Errorf("heap grew by %d bytes, %d entries", grown, len(b.entries))
	}
}
