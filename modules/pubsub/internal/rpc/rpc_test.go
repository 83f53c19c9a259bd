// SPDX-License-Identifier: Apache-2.0 OR MIT

package rpc

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core/wire"
)

// encode is a whole RPC.
func encode(m *RPC) []byte {
	var b, entries []byte
	for _, s := range m.Subscriptions {
		b = AppendSubscription(b, s)
	}
	for i := range m.Publish {
		m.Publish[i].Encode()
		b = AppendPublish(b, m.Publish[i].Raw)
	}
	for entry := range m.Control.Entries {
		entries = append(entries, entry...)
	}
	b = AppendControl(b, entries)
	if m.Partial != nil {
		b = AppendPartial(b, m.Partial)
	}
	return b
}

func sample() *RPC {
	return &RPC{
		Subscriptions: []Subscription{{Topic: "a", Subscribe: true}, {Topic: "b"}, {Topic: "c", Subscribe: true, RequestsPartial: true, SendsPartial: true}},
		Publish: []Message{
			{From: []byte{1}, Data: []byte("x"), Seqno: []byte{0, 0, 0, 0, 0, 0, 0, 9}, Topic: "a", HasTopic: true, Signature: []byte{5}, Key: []byte{6}},
			{Data: []byte{}, Topic: "", HasTopic: true},
		},
		Control: Control{
			IHave:      []IHave{{Topic: "a", IDs: [][]byte{{0x7f}, {2}}}},
			IWant:      [][]byte{{3}},
			Graft:      []string{"a"},
			Prune:      []Prune{{Topic: "b", Backoff: 60 * time.Second, Peers: []PeerInfo{{ID: []byte{7}, Record: []byte{8}}, {ID: []byte{9}}}}},
			IDontWant:  [][]byte{{4}, {5}},
			Extensions: &Extensions{PartialMessages: true},
			IWants:     1, IDontWants: 1,
		},
		Partial: &Partial{Topic: "a", Group: []byte{1}, Message: []byte{2}, Metadata: []byte{3}},
	}
}

// golden is the sample as go-libp2p-pubsub encodes it, which has the control
// entries in the order of their numbers.
const golden = "0a0508011201610a0508001201620a0908011201631801200112190a01011201781a0800000000000000092201612a0105320106" +
	"12041200220" + "01a350a090a016112017f12010212030a01031a030a016122120a016212060a010712010812030a0109183c2a060a01040a01" +
	"0532025001520c0a01611201011a0102220103"

func TestGolden(t *testing.T) {
	theirs, err := hex.DecodeString(golden)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(theirs, &DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	want := sample()
	ours := encode(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(ours) != len(theirs) {
		t.Errorf("encoded to %d bytes, want %d", len(ours), len(theirs))
	}
	for entry := range want.Control.Entries {
		if !bytes.Contains(theirs, entry) {
			t.Errorf("they have no entry %x", entry)
		}
	}
	for _, m := range want.Publish {
		if !bytes.Contains(theirs, AppendPublish(nil, m.Raw)) {
			t.Errorf("they have no message %x", m.Raw)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	want := sample()
	b := encode(want)
	got, err := Decode(b, &DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A message that is encoded in another way means the same, and is passed on in
// the usual one.
func TestUnusualEncoding(t *testing.T) {
	want := sample().Publish[0]
	want.Encode()
	field := func(b []byte, num protowire.Number, v []byte) []byte { return appendBytes(b, num, v) }
	reversed := field(nil, messageKey, want.Key)
	reversed = field(reversed, messageSignature, want.Signature)
	reversed = field(reversed, messageTopic, []byte(want.Topic))
	reversed = field(reversed, messageSeqno, want.Seqno)
	reversed = field(reversed, messageData, want.Data)
	reversed = field(reversed, messageFrom, want.From)
	unknown := field(append([]byte{}, want.Raw...), 99, []byte("z"))
	longLength := append([]byte{want.Raw[0], 0x81, 0}, want.Raw[2:]...)
	repeated := field(append([]byte{}, want.Raw...), messageKey, want.Key)
	for name, b := range map[string][]byte{
		"reversed": reversed, "unknown field": unknown, "long varint": longLength, "repeated": repeated,
	} {
		got, err := DecodeMessage(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// A back-off of any number of seconds is at most an hour, and never negative.
func TestEvil_G1_Backoff(t *testing.T) {
	for _, seconds := range []uint64{
		0, 1, 60, 3599, 3600, 3601, 1<<31 - 1, 1 << 31, 1<<63/1_000_000_000 - 1, 1<<63/1_000_000_000 + 1, 1<<63 - 1, 1<<64 - 1,
	} {
		b := appendString(nil, pruneTopic, "a")
		b = protowire.AppendTag(b, pruneBackoff, protowire.VarintType)
		b = protowire.AppendVarint(b, seconds)
		m, err := Decode(AppendControl(nil, appendBytes(nil, controlPrune, b)), &DefaultLimits)
		if err != nil {
			t.Fatal(err)
		}
		want := time.Hour
		if seconds < 3600 {
			want = time.Duration(seconds) * time.Second
		}
		if got := m.Control.Prune[0].Backoff; got != want {
			t.Errorf("%d s: got %v, want %v", seconds, got, want)
		}
	}
}

// Entries beyond the limits are left out and counted.
func TestEvil_G2_Subscriptions(t *testing.T) {
	var b []byte
	for range 349_525 {
		b = AppendSubscription(b, Subscription{})
	}
	m, err := Decode(b, &DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Subscriptions) != DefaultLimits.Subscriptions || m.Excess != 349_525-DefaultLimits.Subscriptions {
		t.Errorf("%d subscriptions taken, %d left out", len(m.Subscriptions), m.Excess)
	}
	long := strings.Repeat("x", DefaultLimits.Topic+1)
	if m, err := Decode(AppendSubscription(nil, Subscription{Topic: long}), &DefaultLimits); err != nil || len(m.Subscriptions) != 0 || m.Excess != 1 {
		t.Errorf("a long topic: %+v, %v", m, err)
	}
}

func TestEvil_G3_Control(t *testing.T) {
	repeat := func(num protowire.Number, entry []byte, n int) []byte {
		var entries []byte
		for range n {
			entries = appendBytes(entries, num, entry)
		}
		return AppendControl(nil, entries)
	}
	id := func(n int) []byte { return appendBytes(nil, idsIDs, make([]byte, n)) }
	for _, tc := range []struct {
		name     string
		b        []byte
		ids      int // taken
		tooLarge bool
	}{
		{"empty IHAVE", repeat(controlIHave, nil, 100_000), 0, false},
		{"empty GRAFT", repeat(controlGraft, nil, 100_000), 0, false},
		{"empty PRUNE", repeat(controlPrune, nil, 100_000), 0, false},
		{"empty IDONTWANT", repeat(controlIDontWant, nil, 100_000), 0, false},
		{"many IDs", repeat(controlIWant, id(20), 20_000), DefaultLimits.IDs, false},
		{"long ID", repeat(controlIWant, id(DefaultLimits.ID+1), 1), 0, false},
		{"huge ID", repeat(controlIWant, id(1<<20), 1), 0, true},
		{"too many bytes", append(repeat(controlIWant, id(20), 12_000), repeat(controlIWant, id(20), 12_000)...), 0, true},
	} {
		m, err := Decode(tc.b, &DefaultLimits)
		if tc.tooLarge {
			if !errors.Is(err, wire.ErrTooLarge) {
				t.Errorf("%s: got %v", tc.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if n := len(m.Control.IWant) + len(m.Control.IDontWant); n != tc.ids {
			t.Errorf("%s: %d IDs taken, want %d", tc.name, n, tc.ids)
		}
		if n := len(m.Control.IHave) + len(m.Control.Graft) + len(m.Control.Prune); n != 0 {
			t.Errorf("%s: %d entries without a topic taken", tc.name, n)
		}
	}
}

// What decoding takes is in proportion to what arrived.
func TestEvil_B3_Memory(t *testing.T) {
	var entries []byte
	for range 60_000 {
		entries = appendBytes(entries, controlGraft, appendString(nil, graftTopic, ""))
	}
	b := AppendControl(nil, entries)
	for range 1000 {
		b = AppendPublish(b, nil)
	}
	got := testing.Benchmark(func(bench *testing.B) {
		for bench.Loop() {
			if _, err := Decode(b, &DefaultLimits); err != nil {
				bench.Fatal(err)
			}
		}
	}).AllocedBytesPerOp()
	if most := int64(4 * len(b)); got > most {
		t.Errorf("%d bytes for a frame of %d", got, len(b))
	}
}

// Long lists of IDs are spread over entries that fit into small frames.
func TestEntriesAreSmall(t *testing.T) {
	ids := make([][]byte, 5000)
	for i := range ids {
		ids[i] = protowire.AppendFixed64(make([]byte, 12), uint64(i))
	}
	c := Control{IHave: []IHave{{Topic: "news", IDs: ids}}, IWant: ids}
	var joined []byte
	for entry := range c.Entries {
		if len(entry) > maxEntry+16 {
			t.Errorf("an entry has %d bytes", len(entry))
		}
		joined = append(joined, entry...)
	}
	m, err := Decode(AppendControl(nil, joined), &DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	var got [][]byte
	for _, h := range m.Control.IHave {
		if h.Topic != "news" {
			t.Errorf("topic %q", h.Topic)
		}
		got = append(got, h.IDs...)
	}
	if diff := cmp.Diff(ids, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(ids, m.Control.IWant); diff != "" {
		t.Error(diff)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(sample()))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b, &DefaultLimits)
		if err != nil {
			return
		}
		for i := range m.Publish {
			again, err := DecodeMessage(m.Publish[i].Raw)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(m.Publish[i], again); diff != "" {
				t.Fatal(diff)
			}
		}
		again, err := Decode(encode(m), &DefaultLimits)
		if err != nil {
			t.Fatal(err)
		}
		m.Excess, again.Excess = 0, 0
		m.Control.IWants, m.Control.IDontWants = again.Control.IWants, again.Control.IDontWants
		if len(m.Control.IHave) > 0 { // an entry is split, or has no IDs and is left out
			m.Control.IHave, again.Control.IHave = nil, nil
		}
		if diff := cmp.Diff(m, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	message := Message{
		From: make([]byte, 38), Data: make([]byte, 256), Seqno: make([]byte, 8), Topic: "news", HasTopic: true, Signature: make([]byte, 64),
	}
	var ids [][]byte
	for range 100 {
		ids = append(ids, make([]byte, 20))
	}
	var topics []Subscription
	for i := range 100 {
		topics = append(topics, Subscription{Topic: fmt.Sprint("/a/topic/", i), Subscribe: true})
	}
	for _, tc := range []struct {
		name string
		rpc  RPC
	}{
		{"message", RPC{Publish: []Message{message}}},
		{"16 messages", RPC{Publish: slices.Repeat([]Message{message}, 16)}},
		{"gossip", RPC{Control: Control{IHave: []IHave{{Topic: "news", IDs: ids}}}}},
		{"unwanted", RPC{Control: Control{IDontWant: ids[:1]}}},
		{"subscriptions", RPC{Subscriptions: topics}},
	} {
		b.Run(tc.name, func(b *testing.B) {
			frame := encode(&tc.rpc)
			var m RPC
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				if err := m.Decode(frame, &DefaultLimits); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
