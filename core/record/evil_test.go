// SPDX-License-Identifier: Apache-2.0 OR MIT

package record

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

// seal signs any record for any domain, without the checks of SealPeerRecord.
func seal(t testing.TB, s Signer, domain, payloadType string, r *PeerRecord) []byte {
	t.Helper()
	payload, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	e, err := Seal(s, domain, []byte(payloadType), payload)
	if err != nil {
		t.Fatal(err)
	}
	return e.Marshal()
}

func TestEvil_A3_RecordOfAnother(t *testing.T) {
	victim, attacker, third := newSigner(1), newSigner(2), newSigner(3)
	ofVictim := &PeerRecord{ID: victim.id(), Seq: 9, Addrs: addrs(t, "/ip4/192.0.2.1/tcp/1")}
	ofThird := &PeerRecord{ID: third.id(), Seq: 9}
	ofAttacker := &PeerRecord{ID: attacker.id(), Seq: 9}

	swapped := func(env []byte, s keySigner) []byte { // the key of s over somebody's signature
		e, err := Unmarshal(env)
		if err != nil {
			t.Fatal(err)
		}
		e.PublicKey = s.PublicKey()
		return e.Marshal()
	}
	for name, tt := range map[string]struct {
		env    []byte
		expect peer.ID
		want   error
	}{
		"valid record of a third peer": {
			seal(t, third, peerRecordDomain, peerRecordType, ofThird), victim.id(), ErrWrongPeer},
		"valid record of the sender, another expected": {
			seal(t, attacker, peerRecordDomain, peerRecordType, ofAttacker), victim.id(), ErrWrongPeer},
		"names the victim, signed by the attacker": {
			seal(t, attacker, peerRecordDomain, peerRecordType, ofVictim), victim.id(), ErrWrongPeer},
		"names the victim, signed by and expected from the attacker": {
			seal(t, attacker, peerRecordDomain, peerRecordType, ofVictim), attacker.id(), ErrWrongPeer},
		"signed by the attacker, key of the victim": {
			swapped(seal(t, attacker, peerRecordDomain, peerRecordType, ofVictim), victim), victim.id(), ErrSignature},
		"record of the victim, key of the attacker": {
			swapped(seal(t, victim, peerRecordDomain, peerRecordType, ofVictim), attacker), victim.id(), ErrWrongPeer},
		"nobody expected": {
			seal(t, victim, peerRecordDomain, peerRecordType, ofVictim), "", ErrWrongPeer},
		"other domain": {
			seal(t, victim, "libp2p-relay-rsvp", peerRecordType, ofVictim), victim.id(), ErrSignature},
		"legacy domain, new type": {
			seal(t, victim, legacyRecordDomain, peerRecordType, ofVictim), victim.id(), ErrSignature},
		"new domain, legacy type": {
			seal(t, victim, peerRecordDomain, legacyRecordType, ofVictim), victim.id(), ErrSignature},
		"other type": {
			seal(t, victim, peerRecordDomain, "\x03\x02", ofVictim), victim.id(), ErrPayloadType},
		"no type": {
			seal(t, victim, peerRecordDomain, "", ofVictim), victim.id(), ErrPayloadType},
	} {
		if r, err := ConsumePeerRecord(tt.env, tt.expect); !errors.Is(err, tt.want) || r != nil {
			t.Errorf("%s: %v, error %v, want %v", name, r, err, tt.want)
		}
	}
	for _, s := range []func(Signer, *PeerRecord) ([]byte, error){SealPeerRecord, SealLegacyPeerRecord} {
		if _, err := s(attacker, ofVictim); !errors.Is(err, ErrWrongPeer) {
			t.Errorf("sealing for another: error %v", err)
		}
	}
}

func TestEvil_A3_FlippedBits(t *testing.T) {
	for _, kind := range []peer.KeyType{peer.Ed25519, peer.Secp256k1, peer.ECDSA} {
		k, err := peer.GenerateKey(kind, nil)
		if err != nil {
			t.Fatal(err)
		}
		s := keySigner{k}
		r := &PeerRecord{ID: s.id(), Seq: 9, Addrs: addrs(t, "/ip4/192.0.2.1/tcp/1")}
		for _, sealRecord := range []func(Signer, *PeerRecord) ([]byte, error){SealPeerRecord, SealLegacyPeerRecord} {
			env, err := sealRecord(s, r)
			if err != nil {
				t.Fatal(err)
			}
			for bit := range 8 * len(env) {
				bad := bytes.Clone(env)
				bad[bit/8] ^= 1 << (bit % 8)
				if _, err := ConsumePeerRecord(bad, s.id()); err == nil {
					t.Errorf("%v: accepted with bit %d flipped", kind, bit)
				}
			}
			for n := range env {
				if _, err := ConsumePeerRecord(env[:n], s.id()); err == nil {
					t.Errorf("%v: accepted cut to %d bytes", kind, n)
				}
			}
		}
	}
}

func TestEvil_B3_Envelope(t *testing.T) {
	s := newSigner(1)
	good := seal(t, s, peerRecordDomain, peerRecordType, &PeerRecord{ID: s.id(), Seq: 9})
	e, err := Unmarshal(good)
	if err != nil {
		t.Fatal(err)
	}
	key := peer.MarshalPublicKey(e.PublicKey)
	join := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
	field := func(num protowire.Number, v []byte) []byte { return appendBytes(nil, num, v) }
	for name, b := range map[string][]byte{
		"empty":               nil,
		"no key":              good[2+len(key):],
		"no signature":        join(field(1, key), field(2, e.PayloadType), field(3, e.Payload)),
		"two keys":            join(good, field(1, key)),
		"two types":           join(good, field(2, e.PayloadType)),
		"two payloads":        join(field(3, e.Payload), good),
		"empty, then payload": join([]byte{0x1a, 0}, good),
		"two signatures":      join(good, field(5, e.Signature)),
		"key is a varint":     join([]byte{0x08, 0x01}, good),
		"key not a key":       join(field(1, []byte("key")), field(5, e.Signature)),
		"group":               join(good, []byte{0x0b, 0x0c}),
		"cut field":           join(good, []byte{0x1a}),
		"length 2^63-1":       join(good, []byte{0x32, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}),
	} {
		if _, err := ConsumePeerRecord(b, s.id()); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: error %v, want %v", name, err, ErrInvalid)
		}
	}
	if _, err := ConsumePeerRecord(make([]byte, MaxEnvelope+1), s.id()); !errors.Is(err, wire.ErrTooLarge) {
		t.Errorf("64 KiB and one byte: error %v", err)
	}
	future := join(good, field(4, []byte("a field of the future")))
	if _, err := ConsumePeerRecord(future, s.id()); err != nil {
		t.Errorf("unknown field: %v", err)
	}
}

func TestEvil_B3_PeerRecord(t *testing.T) {
	s := newSigner(1)
	id := appendBytes(nil, recordPeerID, s.id().Bytes())
	addr := []byte{0x1a, 0x0a, 0x0a, 0x08, 0x04, 0xc0, 0x00, 0x02, 0x01, 0x06, 0x00, 0x50}
	for name, tt := range map[string]struct {
		b    []byte
		want error
	}{
		"500 addresses":       {slices.Concat(id, bytes.Repeat(addr, maxAddrs)), nil},
		"501 addresses":       {slices.Concat(id, bytes.Repeat(addr, maxAddrs+1)), wire.ErrTooMany},
		"30000 empty ones":    {slices.Concat(id, bytes.Repeat([]byte{0x1a, 0x00}, 30000)), wire.ErrTooMany},
		"no peer":             {addr, ErrInvalid},
		"two peers":           {slices.Concat(id, id), ErrInvalid},
		"peer is no ID":       {appendBytes(nil, recordPeerID, []byte("peer")), ErrInvalid},
		"seq is bytes":        {slices.Concat(id, []byte{0x12, 0x01, 0x05}), ErrInvalid},
		"address is a varint": {slices.Concat(id, []byte{0x18, 0x01}), ErrInvalid},
		"address is cut":      {slices.Concat(id, []byte{0x1a, 0x02, 0x0a, 0x05}), ErrInvalid},
		"two in one":          {slices.Concat(id, []byte{0x1a, 0x04, 0x0a, 0x00, 0x0a, 0x00}), ErrInvalid},
	} {
		var r PeerRecord
		if err := r.Unmarshal(tt.b); !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", name, err, tt.want)
		}
	}
}

// Records that are refused leave nothing behind.
func TestEvil_A3_Heap(t *testing.T) {
	victim := newSigner(1)
	env := seal(t, newSigner(2), peerRecordDomain, peerRecordType, &PeerRecord{ID: victim.id(), Seq: 9})
	consume := func(n int) {
		for range n {
			if _, err := ConsumePeerRecord(env, victim.id()); !errors.Is(err, ErrWrongPeer) {
				t.Fatal(err)
			}
		}
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	consume(100)
	before := heap()
	consume(20_000)
	if after := heap(); after > before+256<<10 {
		t.Errorf("heap grew from %d to %d bytes", before, after)
	}
}

func FuzzConsumePeerRecord(f *testing.F) {
	s, env := loadVector(f)
	f.Add(env)
	own := newSigner(1)
	r := &PeerRecord{ID: own.id(), Seq: 9, Addrs: addrs(f, "/ip4/192.0.2.1/tcp/1")}
	f.Add(seal(f, own, legacyRecordDomain, legacyRecordType, r))
	f.Add(seal(f, newSigner(2), peerRecordDomain, peerRecordType, r))
	f.Add([]byte{0x0a, 0x00, 0x2a, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, id := range []peer.ID{s.id(), own.id()} {
			if r, err := ConsumePeerRecord(b, id); err == nil && (r.ID != id || len(r.Addrs) > maxAddrs) {
				t.Fatalf("record of %v with %d addresses, want %v", r.ID, len(r.Addrs), id)
			}
		}
		e, err := Unmarshal(b)
		if err != nil {
			return
		}
		again, err := Unmarshal(e.Marshal())
		if err != nil || !bytes.Equal(again.Marshal(), e.Marshal()) {
			t.Fatalf("%x does not survive a round trip: %v", b, err)
		}
	})
}

func FuzzUnmarshalPeerRecord(f *testing.F) {
	s := newSigner(1)
	b, err := (&PeerRecord{ID: s.id(), Seq: 9, Addrs: addrs(f, "/ip4/192.0.2.1/tcp/1", "/memory/7")}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{0x1a, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again PeerRecord
		if r.Unmarshal(b) != nil {
			return
		}
		enc, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Unmarshal(enc); err != nil || again.ID != r.ID || again.Seq != r.Seq || len(again.Addrs) != len(r.Addrs) {
			t.Fatalf("%v becomes %v, %v", r, again, err)
		}
	})
}
