// SPDX-License-Identifier: Apache-2.0 OR MIT

package wire

import (
	"bytes"
	"io"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// allocatedBytes tells how many bytes f allocates.
func allocatedBytes(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func FuzzUvarint(f *testing.F) {
	for _, s := range []string{"", "\x00", "\x7f", "\x80\x01", "\x80\x00", "\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, n, err := Uvarint(b)
		r := bytes.NewReader(b)
		rv, rerr := ReadUvarint(r)
		if (err == nil) != (rerr == nil) || v != rv && err == nil {
			t.Fatalf("Uvarint: %d, %v; ReadUvarint: %d, %v", v, err, rv, rerr)
		}
		if err == nil && !bytes.Equal(AppendUvarint(nil, v), b[:n]) {
			t.Fatalf("%x decodes to %d, which does not encode to it", b[:n], v)
		}
	})
}

func FuzzReadMessage(f *testing.F) {
	f.Add([]byte("\x05hello!"), 10)
	f.Add([]byte("\x80\x80\x04"), 1<<20)
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), 1<<30)
	f.Fuzz(func(t *testing.T, b []byte, max int) {
		r := bytes.NewReader(b)
		msg, err := ReadMessage(r, max)
		if err != nil {
			return
		}
		if len(msg) > max {
			t.Fatalf("message of %d bytes, limit %d", len(msg), max)
		}
		var w bytes.Buffer
		if err := WriteMessage(&w, msg); err != nil {
			t.Fatal(err)
		}
		if used := b[:len(b)-r.Len()]; !bytes.Equal(w.Bytes(), used) {
			t.Fatalf("read %x, wrote %x", used, w.Bytes())
		}
	})
}

func FuzzFields(f *testing.F) {
	f.Add([]byte("\x08\x01\x12\x04name\x1d\x01\x02\x03\x04\x21\x01\x02\x03\x04\x05\x06\x07\x08"))
	f.Add([]byte("\x0b\x0c"))
	f.Add([]byte("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		size := 0
		for f, err := range Fields(b) {
			if err != nil {
				return
			}
			data, _ := f.Bytes()
			size += protowire.SizeTag(f.Num) + len(data)
		}
		if size > len(b) {
			t.Fatalf("fields of %d bytes in %d", size, len(b))
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add("xnode/1.0", 256)
	f.Add("\x1b[31m\xff\u202e", 10)
	f.Fuzz(func(t *testing.T, s string, max int) {
		if max < 0 || max > 1<<16 {
			return
		}
		out := Text(s, max)
		checkText(t, s, out, max)
		if again := Text(out, max); again != out {
			t.Fatalf("Text(%q) = %q, again %q", s, out, again)
		}
	})
}

func BenchmarkReadMessage(b *testing.B) {
	var in bytes.Buffer
	if err := WriteMessage(&in, make([]byte, 1000)); err != nil {
		b.Fatal(err)
	}
	r := bytes.NewReader(in.Bytes())
	plain := struct{ io.Reader }{r}
	b.Run("ByteReader", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Reset(in.Bytes())
			if _, err := ReadMessage(r, 1<<16); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Reader", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Reset(in.Bytes())
			if _, err := ReadMessage(plain, 1<<16); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkWriteMessage(b *testing.B) {
	msg := make([]byte, 1000)
	b.ReportAllocs()
	for b.Loop() {
		if err := WriteMessage(io.Discard, msg); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFields(b *testing.B) {
	var msg []byte
	for range 10 {
		msg = protowire.AppendTag(msg, 1, protowire.BytesType)
		msg = protowire.AppendString(msg, "twenty bytes of text")
		msg = protowire.AppendTag(msg, 2, protowire.VarintType)
		msg = protowire.AppendVarint(msg, 1<<40)
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range Fields(msg) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != 20 {
			b.Fatal(n)
		}
	}
}

func BenchmarkText(b *testing.B) {
	plain, odd := "go-libp2p/0.51.0 plain text", strings.Repeat("\x1bé", 20)
	b.ReportAllocs()
	for b.Loop() {
		Text(plain, 256)
		Text(odd, 256)
	}
}
