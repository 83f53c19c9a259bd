// SPDX-License-Identifier: Apache-2.0 OR MIT

package kadwire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

func id(n byte) peer.ID { return peer.ID(append([]byte{0x12, 0x20}, bytes.Repeat([]byte{n}, 32)...)) }

func tcp(n int) ma.Multiaddr {
	return ma.StringCast("/ip4/192.0.2.1/tcp/" + string('1'+rune(n%9)))
}

func decode(t *testing.T, frame []byte) *Message {
	t.Helper()
	b, err := NewReader(bytes.NewReader(frame)).Next()
	if err != nil {
		t.Fatal(err)
	}
	m := new(Message)
	if err := m.Decode(b); err != nil {
		t.Fatal(err)
	}
	return m
}

// The bytes were worked out by hand from the specification.
func TestGolden(t *testing.T) {
	id1 := hex.EncodeToString([]byte(id(1)))
	for name, tc := range map[string]struct {
		build func() *Buffer
		want  string
	}{
		"put value": {func() *Buffer {
			w := NewBuffer(PutValue, []byte("/v/a"), 1)
			w.Record([]byte{0x0a, 0x04, '/', 'v', '/', 'a', 0x12, 0x01, 'x'})
			return w
		}, "13" + "12042f762f61" + "5001" + "1a090a042f762f61120178"},
		"find node": {func() *Buffer { return NewBuffer(FindNode, []byte(id(1)), 0) },
			"26" + "0804" + "1222" + id1},
		"closer and provider": {func() *Buffer {
			w := NewBuffer(GetProviders, []byte("k"), 0)
			w.Closer(AppendConnection(AppendPeer(nil, id(1), []ma.Multiaddr{tcp(3)}), Connected))
			w.Provider(AppendPeer(nil, id(1), nil))
			return w
		}, "5d" + "0803" + "12016b" + "4230" + "0a22" + id1 + "1208" + "04c0000201060004" + "1801" + "4a24" + "0a22" + id1},
		"ping": {func() *Buffer { return NewBuffer(Ping, nil, 0) }, "020805"},
	} {
		t.Run(name, func(t *testing.T) {
			w := tc.build()
			if got := hex.EncodeToString(w.Frame()); got != tc.want {
				t.Errorf("got\n%s, want\n%s", got, tc.want)
			}
			w.Free()
		})
	}
}

func TestRoundTrip(t *testing.T) {
	w := NewBuffer(GetValue, []byte("key"), 7)
	w.Record([]byte("record"))
	addrs := []ma.Multiaddr{tcp(0), tcp(1)}
	for i := range 20 {
		if !w.Closer(AppendPeer(nil, id(byte(i+1)), addrs)) {
			t.Fatal("does not fit")
		}
	}
	w.Provider(AppendPeer(nil, id(99), addrs[:1]))
	m := decode(t, w.Frame())
	if m.Type != GetValue || string(m.Key) != "key" || string(m.Record) != "record" || m.Cluster != 7 {
		t.Errorf("got %+v", m)
	}
	if len(m.Closer) != 20 || m.Closer[19].ID != id(20) || len(m.Providers) != 1 {
		t.Errorf("got %d closer peers and %d providers", len(m.Closer), len(m.Providers))
	}
	if got := slices.Collect(m.Closer[5].Addrs()); !slices.EqualFunc(got, addrs, func(a, b ma.Multiaddr) bool { return a.Equal(b) }) {
		t.Errorf("addresses %v", got)
	}
}

func TestAddrsOfOthersAreLeftOut(t *testing.T) {
	own := ma.StringCast("/ip4/192.0.2.1/tcp/1")
	b := AppendPeer(nil, id(1), []ma.Multiaddr{
		peer.JoinAddr(own, id(2)), peer.JoinAddr(own, id(1)), ma.StringCast("/p2p/" + id(1).String()),
	})
	b = protowire.AppendTag(b, peerAddrs, protowire.BytesType)
	b = protowire.AppendBytes(b, []byte{0xff, 0xff, 0xff, 0x7f, 1})
	p, err := DecodePeer(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Collect(p.Addrs()); len(got) != 1 || !got[0].Equal(own) {
		t.Errorf("got %v", got)
	}
}

func TestDecodeFails(t *testing.T) {
	for name, tc := range map[string]struct {
		hex  string
		want error
	}{
		"type 6":               {"0806", ErrType},
		"type of another kind": {"0a0106", wire.ErrProtobuf},
		"key of another kind":  {"1001", wire.ErrProtobuf},
		"peer that is none":    {"4201ff", wire.ErrProtobuf},
		"cut off":              {"120561", wire.ErrProtobuf},
	} {
		b, _ := hex.DecodeString(tc.hex)
		if err := new(Message).Decode(b); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

func TestReader(t *testing.T) {
	sizes := []int{0, 1, 300, readAhead, readPiece, readPiece + 1, 100 << 10, 5}
	var in bytes.Buffer
	for i, n := range sizes {
		wire.WriteMessage(&in, bytes.Repeat([]byte{byte(i)}, n))
	}
	r := NewReader(iotest.HalfReader(&in))
	for i, n := range sizes {
		b, err := r.Next()
		if err != nil || !bytes.Equal(b, bytes.Repeat([]byte{byte(i)}, n)) {
			t.Fatalf("message %d of %d bytes: %d bytes, %v", i, n, len(b), err)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if _, err := NewReader(strings.NewReader("\x05abc")).Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut off: %v", err)
	}
}

// TestEvil_K5_LongResponse decodes what no honest peer sends.
func TestEvil_K5_LongResponse(t *testing.T) {
	addrs := make([]ma.Multiaddr, 1000)
	for i := range addrs {
		addrs[i] = tcp(i)
	}
	var p []byte
	p = protowire.AppendTag(p, peerID, protowire.BytesType)
	p = protowire.AppendString(p, string(id(1)))
	for _, a := range addrs {
		p = protowire.AppendTag(p, peerAddrs, protowire.BytesType)
		p = protowire.AppendBytes(p, a.Bytes())
	}
	var b []byte
	for range 400 {
		b = protowire.AppendTag(b, fieldCloser, protowire.BytesType)
		b = protowire.AppendBytes(b, p)
	}
	for range 10_000 {
		b = protowire.AppendTag(b, fieldProviders, protowire.BytesType)
		b = protowire.AppendBytes(b, p[:36])
	}
	m := new(Message)
	if err := m.Decode(b); err != nil {
		t.Fatal(err)
	}
	if len(m.Closer) != MaxCloser || len(m.Providers) != MaxProviders {
		t.Errorf("%d closer peers, %d providers", len(m.Closer), len(m.Providers))
	}
	n := 0
	for range m.Closer[0].Addrs() {
		n++
	}
	if n != MaxAddrs {
		t.Errorf("%d addresses", n)
	}
}

func TestEvil_K5_LongMessage(t *testing.T) {
	if _, err := NewReader(bytes.NewReader(wire.AppendUvarint(nil, MaxMessage+1))).Next(); !errors.Is(err, wire.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	// A length alone takes little memory.
	r := NewReader(bytes.NewReader(wire.AppendUvarint(nil, MaxMessage)))
	if _, err := r.Next(); err == nil || cap(r.buf) > readPiece {
		t.Errorf("%v, %d bytes", err, cap(r.buf))
	}
}

func TestEvil_K5_RepliesAreBounded(t *testing.T) {
	p := AppendPeer(nil, id(1), slices.Repeat([]ma.Multiaddr{tcp(1)}, 1000))
	if len(p) > 1000 {
		t.Errorf("a peer of %d bytes", len(p))
	}
	w := NewBuffer(GetProviders, []byte("k"), 0)
	n := 0
	for w.Provider(p) {
		n++
	}
	if got := len(w.Frame()); got > MaxReply || got < MaxReply-1000 {
		t.Errorf("a reply of %d bytes", got)
	}
	if m := decode(t, w.Frame()); len(m.Providers) != n {
		t.Errorf("%d providers, want %d", len(m.Providers), n)
	}
}

func FuzzDecode(f *testing.F) {
	w := NewBuffer(GetProviders, []byte("key"), 1)
	w.Record([]byte("record"))
	w.Closer(AppendPeer(nil, id(1), []ma.Multiaddr{tcp(1), tcp(2)}))
	w.Provider(AppendConnection(AppendPeer(nil, id(2), nil), Connected))
	f.Add(w.Frame())
	f.Add([]byte("\x02\x08\x05"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(bytes.NewReader(b))
		var m Message
		for {
			b, err := r.Next()
			if err != nil {
				return
			}
			if m.Decode(b) != nil {
				continue
			}
			if len(m.Closer) > MaxCloser || len(m.Providers) > MaxProviders || m.Type >= Types {
				t.Fatalf("%+v", m)
			}
			again := NewBuffer(m.Type, m.Key, m.Cluster)
			for _, p := range m.Closer {
				n := 0
				var addrs []ma.Multiaddr
				for a := range p.Addrs() {
					addrs = append(addrs, a)
					n++
				}
				if n > MaxAddrs {
					t.Fatalf("%d addresses", n)
				}
				again.Closer(AppendPeer(nil, p.ID, addrs))
			}
			var m2 Message
			b2, err := NewReader(bytes.NewReader(again.Frame())).Next()
			if err != nil || m2.Decode(b2) != nil || m2.Type != m.Type || !bytes.Equal(m2.Key, m.Key) || len(m2.Closer) != len(m.Closer) {
				t.Fatalf("%+v, again %+v", m, m2)
			}
			again.Free()
		}
	})
}

func BenchmarkDecodeFindNode(b *testing.B) {
	frame := NewBuffer(FindNode, []byte(id(1)), 1).Frame()
	var m Message
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Decode(frame[1:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReply(b *testing.B) {
	p := AppendPeer(nil, id(1), []ma.Multiaddr{tcp(1), tcp(2), tcp(3)})
	b.ReportAllocs()
	for b.Loop() {
		w := NewBuffer(FindNode, nil, 1)
		for range 20 {
			w.Closer(p)
		}
		w.Frame()
		w.Free()
	}
}
