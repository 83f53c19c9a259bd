// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

// wire is one direction of a connection, all of it in memory.
type wire struct{ bytes.Buffer }

func (*wire) CloseWrite() error { return nil }

// sealedWire returns the bytes a client sends for the given writes, the seed first.
func sealedWire(t testing.TB, writes ...[]byte) []byte {
	t.Helper()
	w := &wire{}
	c, err := sealClient(w)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range writes {
		if n, err := c.Write(p); n != len(p) || err != nil {
			t.Fatalf("write of %d: %d, %v", len(p), n, err)
		}
	}
	return w.Bytes()
}

func openWire(raw []byte) (*sealedConn, error) {
	w := &wire{}
	w.Write(raw)
	return sealServer(w)
}

func TestRecordsCarryEveryByte(t *testing.T) {
	for _, size := range []int{0, 1, 100, maxPlain - 1, maxPlain, maxPlain + 1, 64 << 10, 300_000} {
		for _, room := range []int{1000, maxPlain, 64 << 10, 400_000} {
			plain := bytes.Repeat([]byte("0123456789a"), size/11+1)[:size]
			raw := sealedWire(t, plain)
			records := (size + maxPlain - 1) / maxPlain
			if want := seedSize + size + records*(2+chacha20poly1305.Overhead); len(raw) != want {
				t.Errorf("%d bytes took %d on the wire, want %d", size, len(raw), want)
			}
			c, err := openWire(raw)
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			for buf := make([]byte, room); err == nil; {
				var n int
				n, err = c.Read(buf)
				got = append(got, buf[:n]...)
			}
			if err != io.EOF || !bytes.Equal(got, plain) {
				t.Errorf("%d bytes, %d at a time: %d came, equal %t, %v", size, room, len(got), bytes.Equal(got, plain), err)
			}
		}
	}
}

func TestBadRecordsAreRefused(t *testing.T) {
	good := sealedWire(t, []byte("hello"))
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	short := append(bytes.Clone(good[:seedSize]), 0, 3, 1, 2, 3)
	for _, c := range []struct {
		name string
		raw  []byte
		want error // nil for any
	}{
		{"a byte changed", flipped, nil},
		{"shorter than a tag", short, errShortRecord},
		{"half a length", good[:seedSize+1], io.ErrUnexpectedEOF},
		{"a length alone", good[:seedSize+2], io.ErrUnexpectedEOF},
		{"half a record", good[:len(good)-1], io.ErrUnexpectedEOF},
	} {
		conn, err := openWire(c.raw)
		if err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(make([]byte, 64))
		if n != 0 || err == nil || err == io.EOF || (c.want != nil && !errors.Is(err, c.want)) {
			t.Errorf("%s: read %d, %v; want error %v", c.name, n, err, c.want)
		}
	}
}

func FuzzSealedConnRead(f *testing.F) {
	f.Add(sealedWire(f, []byte("hello"), bytes.Repeat([]byte{1}, 70_000)), 100)
	f.Add(sealedWire(f, []byte("hello")), 3)
	f.Add(make([]byte, seedSize+2), 1)
	f.Add([]byte{}, 1)
	f.Fuzz(func(t *testing.T, raw []byte, room int) {
		c, err := openWire(raw)
		if err != nil {
			return
		}
		got := 0
		for buf := make([]byte, min(max(room, 1), 1<<17)); err == nil; {
			var n int
			n, err = c.Read(buf)
			got += n
		}
		if got > len(raw) {
			t.Errorf("%d bytes read from %d", got, len(raw))
		}
	})
}
