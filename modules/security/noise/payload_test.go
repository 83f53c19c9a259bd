// SPDX-License-Identifier: Apache-2.0 OR MIT

package noise

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

// The bytes of a payload, written by hand after the specification.
func TestPayloadBytes(t *testing.T) {
	got := appendIdentity(nil, []byte("key"), []byte("signed"))
	got = appendExtensions(got, [][]byte{{1, 2}}, []string{"/yamux/1.0.0", "/m"})
	want := "0a036b6579" + // 1: "key"
		"12067369676e6564" + // 2: "signed"
		"2216" + // 4:
		"0a020102" + //   1: 0102
		"120c2f79616d75782f312e302e30" + //   2: "/yamux/1.0.0"
		"12022f6d" //   2: "/m"
	if diff := cmp.Diff(want, hex.EncodeToString(got)); diff != "" {
		t.Error(diff)
	}
	p, err := decodePayload(got)
	if err != nil {
		t.Fatal(err)
	}
	wantPayload := payload{
		identity:   []byte("key"),
		signature:  []byte("signed"),
		certHashes: [][]byte{{1, 2}},
		muxers:     []string{"/yamux/1.0.0", "/m"},
	}
	if diff := cmp.Diff(wantPayload, p, cmp.AllowUnexported(payload{})); diff != "" {
		t.Error(diff)
	}
	if b := appendExtensions([]byte("x"), nil, nil); string(b) != "x" {
		t.Errorf("no extensions make %q", b)
	}
}

func TestPayloadOddities(t *testing.T) {
	old := protowire.AppendTag(nil, 3, protowire.BytesType) // the early data of the first drafts
	old = protowire.AppendBytes(old, []byte("data"))
	twice := appendIdentity(appendIdentity(old, []byte("a"), []byte("b")), []byte("key"), []byte("signed"))
	twice = appendExtensions(appendExtensions(twice, nil, []string{"/a"}), nil, []string{"/b"})
	p, err := decodePayload(twice)
	if err != nil {
		t.Fatal(err)
	}
	want := payload{identity: []byte("key"), signature: []byte("signed"), muxers: []string{"/a", "/b"}}
	if diff := cmp.Diff(want, p, cmp.AllowUnexported(payload{})); diff != "" {
		t.Error(diff)
	}
	for name, bad := range map[string]struct {
		bytes []byte
		want  error
	}{
		"text":             {[]byte("hello"), wire.ErrProtobuf},
		"key as number":    {protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 7), wire.ErrProtobuf},
		"extensions empty": {protowire.AppendVarint(protowire.AppendTag(nil, 4, protowire.VarintType), 7), wire.ErrProtobuf},
		"cut off":          {[]byte{0x0a, 5, 1}, wire.ErrProtobuf},
	} {
		if _, err := decodePayload(bad.bytes); !errors.Is(err, bad.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEvil_B2_HandshakeLength(t *testing.T) {
	for _, size := range []int{maxHandshakeMessage + 1, maxFrame} {
		for _, initiates := range []bool{true, false} {
			err := facing(t, initiates, func(s *stranger) {
				if !initiates {
					_, _ = readFrame(s.conn)
				}
				_, _ = s.conn.Write([]byte{byte(size >> 8), byte(size)})
			})
			if !errors.Is(err, wire.ErrTooLarge) {
				t.Errorf("message of %d bytes: %v", size, err)
			}
		}
	}
}

// Whoever has not proved who it is makes no buffer grow beyond the largest
// message of a handshake: neither by a length nor by sending much at once.
func TestEvil_B2_HandshakeHoldsNoLargeBuffer(t *testing.T) {
	flood := make([]byte, 1<<20)
	binary.BigEndian.PutUint16(flood, maxHandshakeMessage)
	for name, src := range map[string]io.Reader{
		"length alone": bytes.NewReader(flood[:headerSize]),
		"flood":        bytes.NewReader(flood),
		"all but one":  bytes.NewReader(flood[:headerSize+maxHandshakeMessage-1]),
	} {
		var in inbound
		in.init(src, new(buffers), maxHandshakeMessage)
		frame, err := in.frame()
		if (err == nil) != (name == "flood") || err == nil && len(frame) != maxHandshakeMessage {
			t.Errorf("%s: frame of %d bytes, %v", name, len(frame), err)
		}
		if most := headerSize + maxHandshakeMessage; len(in.buf) > most {
			t.Errorf("%s: buffer of %d bytes, want at most %d", name, len(in.buf), most)
		}
	}
}

func TestEvil_B3_PayloadFull(t *testing.T) {
	many := func(number protowire.Number, n, size int) []byte {
		var inner []byte
		for range n {
			inner = protowire.AppendTag(inner, number, protowire.BytesType)
			inner = protowire.AppendBytes(inner, make([]byte, size))
		}
		b := protowire.AppendTag(nil, fieldExtensions, protowire.BytesType)
		return protowire.AppendBytes(b, inner)
	}
	for name, test := range map[string]struct {
		payload []byte
		want    error
	}{
		"empty muxers":     {many(fieldMuxers, 4000, 0), wire.ErrTooMany},
		"empty hashes":     {many(fieldCertHashes, 4000, 0), wire.ErrTooMany},
		"spread over many": {bytes.Repeat(many(fieldMuxers, 1, 1), maxMuxers+1), wire.ErrTooMany},
		"long muxer":       {many(fieldMuxers, 1, maxExtension+1), wire.ErrTooLarge},
		"long hash":        {many(fieldCertHashes, 1, maxExtension+1), wire.ErrTooLarge},
		"as many as may":   {many(fieldMuxers, maxMuxers, maxExtension), nil},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := decodePayload(test.payload); !errors.Is(err, test.want) {
				t.Fatalf("decode: %v, want %v", err, test.want)
			}
			if test.want == nil {
				return
			}
			err := facing(t, true, func(s *stranger) {
				_, _, _ = s.run(true, append(s.claim(t, newSelf(t, peer.Ed25519)), test.payload...))
			})
			if !errors.Is(err, test.want) {
				t.Errorf("handshake: %v, want %v", err, test.want)
			}
		})
	}
	// Unknown fields as far as a message goes are no reason to fail.
	unknown := bytes.Repeat(protowire.AppendVarint(protowire.AppendTag(nil, 100, protowire.VarintType), 1), 1500)
	a, b := net.Pipe()
	s := newStranger(t, a, true)
	payload := append(s.claim(t, newSelf(t, peer.Ed25519)), unknown...)
	var wg sync.WaitGroup
	wg.Go(func() { _, _, _ = s.run(true, payload) })
	if _, err := (side{h: core.Handshake{Identity: newSelf(t, peer.Ed25519)}}).run(context.Background(), b); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// What we would send must fit as well.
func TestOwnPayloadTooLarge(t *testing.T) {
	var long []string
	for range 100 {
		long = append(long, strings.Repeat("m", 100))
	}
	a, b := net.Pipe()
	_, _, ierr, rerr := meet(t, a, b,
		side{h: core.Handshake{Identity: newSelf(t, peer.Ed25519)}},
		side{h: core.Handshake{Identity: newSelf(t, peer.Ed25519), Muxers: long}})
	if ierr == nil || rerr == nil {
		t.Errorf("initiator: %v; responder: %v", ierr, rerr)
	}
}

func FuzzPayload(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendExtensions(appendIdentity(nil, []byte("key"), []byte("sig")), [][]byte{{1}}, []string{"/y"}))
	f.Add(appendExtensions(nil, nil, make([]string, maxMuxers+1)))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodePayload(b)
		if err != nil {
			return
		}
		if len(p.muxers) > maxMuxers || len(p.certHashes) > maxCertHashes {
			t.Fatalf("%d muxers, %d hashes", len(p.muxers), len(p.certHashes))
		}
		again, err := decodePayload(appendExtensions(appendIdentity(nil, p.identity, p.signature), p.certHashes, p.muxers))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again.identity, p.identity) || !bytes.Equal(again.signature, p.signature) || !cmp.Equal(again.muxers, p.muxers) {
			t.Fatal("not the same when encoded again")
		}
	})
}
