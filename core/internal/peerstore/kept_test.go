// SPDX-License-Identifier: Apache-2.0 OR MIT

package peerstore

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// metPeer is a book with a peer that was connected and has said who it is: with a
// signed record of tcp(1) and tcp(2), of which tcp(2) was not accepted, an address
// that it was dialled at, tcp(3), and one of the configuration, tcp(4).
func metPeer(t testing.TB) (*Book, peer.ID) {
	t.Helper()
	key := newKey(t, 1)
	p := peer.FromPublicKey(key.Public())
	b := New(Config{}, time.Now)
	b.AddPeerAddrs(p, core.PermanentTTL, tcp(4))
	b.AddPeerAddrs(p, core.TempTTL, tcp(3))
	b.Connected(p)
	if _, _, err := b.SetIdentified(p, Identified{
		Protocols: []string{"/b", "/a"}, Agent: "agent", ProtocolVersion: "v1", SignedRecord: seal(t, key, 7, tcp(1), tcp(2)),
		Accept: func(a ma.Multiaddr) bool { return !a.Equal(tcp(2)) },
	}); err != nil {
		t.Fatal(err)
	}
	b.AddPeerAddrs(p, core.DiscoveredTTL, tcp(3))
	return b, p
}

func TestKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := metPeer(t)
		b.AddPeerAddrs(id(5), core.RecentTTL, tcp(5)) // of whom nothing else is known
		if met := b.Met(); !slices.Equal(met, []peer.ID{p}) {
			t.Errorf("met %v", met)
		}
		if text, _ := b.Kept(id(6)); text != nil {
			t.Errorf("of nobody: %x", text)
		}
		b.Disconnected(p)
		time.Sleep(time.Minute)
		text, until := b.Kept(p)
		if left := time.Until(until); left != core.RecentTTL-time.Minute {
			t.Errorf("good for %v", left)
		}
		time.Sleep(4 * time.Minute) // in which the node does not run
		after := New(Config{}, time.Now)
		if err := after.Restore(p, text); err != nil {
			t.Fatal(err)
		}
		check(t, after)
		expect(t, after, p, tcp(1).String(), tcp(3).String())
		if got := after.PeerProtocols(p); !slices.Equal(got, []string{"/a", "/b"}) || after.PeerAgent(p) != "agent" || after.PeerProtocolVersion(p) != "v1" {
			t.Errorf("%q, %q", got, after.PeerAgent(p))
		}
		if r, was := after.PeerRecord(p), b.PeerRecord(p); r == nil || !bytes.Equal(r.Payload, was.Payload) {
			t.Errorf("record %v", r)
		}
		if first := after.PeerAddrs(p)[0]; !first.Equal(tcp(1)) {
			t.Errorf("%v comes before what is signed", first)
		}
		time.Sleep(5 * time.Minute) // when tcp(3) has ended in the first book too
		expect(t, after, p, tcp(1).String())
		expect(t, b, p, tcp(1).String(), tcp(4).String())
		time.Sleep(5 * time.Minute)
		expect(t, after, p)
		expect(t, b, p, tcp(4).String())
		if after.PeerAgent(p) != "" || after.PeerRecord(p) != nil {
			t.Error("the rest has not ended")
		}
		if err := New(Config{}, time.Now).Restore(p, text); err != nil {
			t.Error(err)
		}
	})
}

// What is kept of a connected peer lasts as if it had just gone, or a bit less, and
// does not change all the time.
func TestKeptOfConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := metPeer(t)
		last, changes := []byte(nil), 0
		for range 20 {
			text, until := b.Kept(p)
			if left := time.Until(until); left > core.RecentTTL || left <= core.RecentTTL-keptStep {
				t.Errorf("good for %v", left)
			}
			if !bytes.Equal(text, last) {
				changes++
			}
			last = text
			time.Sleep(time.Minute)
		}
		if changes > 6 { // one each step, and when tcp(3) is no longer of use by itself
			t.Errorf("%d changes in 20 minutes", changes)
		}
	})
}

// What is known already is known better.
func TestRestoreOfKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := metPeer(t)
		text, _ := b.Kept(p)
		key := newKey(t, 1)
		for range 2 {
			after := New(Config{}, time.Now)
			if err := after.ConsumePeerRecord(seal(t, key, 9, tcp(9)), p, core.DiscoveredTTL); err != nil {
				t.Fatal(err)
			}
			if err := after.Restore(p, text); err != nil {
				t.Fatal(err)
			}
			if first := after.PeerAddrs(p)[0]; !first.Equal(tcp(9)) || after.PeerAgent(p) != "" {
				t.Errorf("%v comes first", first)
			}
			if err := after.ConsumePeerRecord(seal(t, key, 8, tcp(8)), p, core.DiscoveredTTL); err == nil {
				t.Error("the newer record was forgotten")
			}
			check(t, after)
		}
	})
}

// A store that somebody has written to gives nothing more weight than anybody's word.
func TestEvil_A3_ForgedKept(t *testing.T) {
	forge := func(end int64, from source, a ma.Multiaddr) []byte {
		var m []byte
		m = protowire.AppendBytes(protowire.AppendTag(m, keptBytes, protowire.BytesType), a.Bytes())
		m = protowire.AppendVarint(protowire.AppendTag(m, keptEnd, protowire.VarintType), uint64(end))
		m = protowire.AppendVarint(protowire.AppendTag(m, keptSource, protowire.VarintType), uint64(from))
		return protowire.AppendBytes(protowire.AppendTag(nil, keptAddr, protowire.BytesType), m)
	}
	synctest.Test(t, func(t *testing.T) {
		key, other := newKey(t, 1), newKey(t, 2)
		p := peer.FromPublicKey(key.Public())
		b := New(Config{}, time.Now)
		text := forge(time.Now().AddDate(100, 0, 0).Unix(), certified, tcp(1)) // unsigned, for ever
		text = append(text, forge(time.Now().Add(time.Hour).Unix(), told, tcp(2))...)
		record := protowire.AppendBytes(protowire.AppendTag(nil, keptRecord, protowire.BytesType), seal(t, other, 1, tcp(1)))
		if err := b.Restore(p, append(text, record...)); err != nil {
			t.Fatal(err)
		}
		if b.PeerRecord(p) != nil {
			t.Error("another peer's record")
		}
		for _, a := range b.entries[p].addrs {
			if a.source != told {
				t.Errorf("%+v", a)
			}
		}
		time.Sleep(keptAtMost)
		expect(t, b, p)
		for name, text := range map[string][]byte{
			"garbage": []byte("garbage"), "address of another peer": forge(1<<40, told, peer.JoinAddr(tcp(1), id(3))),
			"no address": protowire.AppendBytes(protowire.AppendTag(nil, keptAddr, protowire.BytesType), nil),
		} {
			if err := b.Restore(p, text); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		if err := b.Restore("nobody", nil); err == nil {
			t.Error("no peer: no error")
		}
		check(t, b)
	})
}

func FuzzRestore(f *testing.F) {
	b, p := metPeer(f)
	text, _ := b.Kept(p)
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		after := New(Config{}, time.Now)
		if after.Restore(p, text) == nil {
			after.Kept(p)
		}
		check(t, after)
	})
}
