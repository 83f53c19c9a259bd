// SPDX-License-Identifier: Apache-2.0 OR MIT

package wire

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
)

func TestUvarint(t *testing.T) {
	for _, tt := range []struct {
		hex string
		v   uint64
	}{
		{"\x00", 0},
		{"\x01", 1},
		{"\x7f", 127},
		{"\x80\x01", 128},
		{"\xff\x01", 255},
		{"\xac\x02", 300},
		{"\x80\x80\x01", 16384},
		{"\xff\xff\xff\xff\xff\xff\xff\xff\x7f", math.MaxInt64},
	} {
		v, n, err := Uvarint([]byte(tt.hex + "\x05\x06"))
		if err != nil || v != tt.v || n != len(tt.hex) {
			t.Errorf("Uvarint(%x…) = %d, %d, %v, want %d, %d", tt.hex, v, n, err, tt.v, len(tt.hex))
		}
		r := strings.NewReader(tt.hex + "\x05")
		if v, err := ReadUvarint(r); err != nil || v != tt.v || r.Len() != 1 {
			t.Errorf("ReadUvarint(%x…) = %d, %v, want %d; %d bytes left, want 1", tt.hex, v, err, tt.v, r.Len())
		}
		if got := AppendUvarint(nil, tt.v); string(got) != tt.hex {
			t.Errorf("AppendUvarint(%d) = %x, want %x", tt.v, got, tt.hex)
		}
	}
}

func TestEvil_B1_Varint(t *testing.T) {
	for name, tt := range map[string]struct {
		in   string
		want error
	}{
		"not minimal zero":   {"\x80\x00", ErrVarint},
		"not minimal":        {"\x81\x80\x00", ErrVarint},
		"nine not minimal":   {"\x80\x80\x80\x80\x80\x80\x80\x80\x00", ErrVarint},
		"2^63":               {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", ErrVarint},
		"2^64-1":             {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", ErrVarint},
		"endless":            {strings.Repeat("\xff", 1<<20), ErrVarint},
		"nine, no end":       {strings.Repeat("\x80", 9), ErrVarint},
		"cut after one byte": {"\x80", io.ErrUnexpectedEOF},
		"cut after eight":    {strings.Repeat("\x80", 8), io.ErrUnexpectedEOF},
	} {
		if _, n, err := Uvarint([]byte(tt.in)); !errors.Is(err, tt.want) || n != 0 {
			t.Errorf("%s: Uvarint: n=%d, error %v, want %v", name, n, err, tt.want)
		}
		r := strings.NewReader(tt.in)
		if _, err := ReadUvarint(r); !errors.Is(err, tt.want) {
			t.Errorf("%s: ReadUvarint: error %v, want %v", name, err, tt.want)
		}
		if read := len(tt.in) - r.Len(); read > 9 {
			t.Errorf("%s: ReadUvarint read %d bytes, want at most 9", name, read)
		}
	}
	if _, n, err := Uvarint(nil); err != io.ErrUnexpectedEOF || n != 0 {
		t.Errorf("Uvarint(nil): n=%d, error %v", n, err)
	}
	if _, err := ReadUvarint(strings.NewReader("")); err != io.EOF {
		t.Errorf("ReadUvarint of nothing: error %v, want io.EOF itself", err)
	}
}

func TestMessage(t *testing.T) {
	for _, size := range []int{0, 1, 127, 128, 300, readPiece - 1, readPiece, readPiece + 1, 3*readPiece + 7} {
		want := bytes.Repeat([]byte{0xa5}, size)
		w := new(callCounter)
		if err := WriteMessage(w, want); err != nil {
			t.Fatal(err)
		}
		if w.calls != 1 {
			t.Errorf("size %d: %d Write calls, want 1", size, w.calls)
		}
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"whole":        func(r io.Reader) io.Reader { return r },
			"one byte":     iotest.OneByteReader,
			"data and err": iotest.DataErrReader,
		} {
			in := bytes.NewReader(append(bytes.Clone(w.Bytes()), "rest"...))
			got, err := ReadMessage(wrap(in), size)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("size %d, %s: got %d bytes, error %v", size, name, len(got), err)
			}
			if name == "whole" && in.Len() != 4 {
				t.Errorf("size %d: %d bytes left behind the message, want 4", size, in.Len())
			}
		}
	}
}

// callCounter counts Write calls.
type callCounter struct {
	bytes.Buffer
	calls int
}

func (c *callCounter) Write(b []byte) (int, error) {
	c.calls++
	return c.Buffer.Write(b)
}

// readCounter hides everything but Read and counts its calls.
type readCounter struct {
	r     io.Reader
	calls int
}

func (c *readCounter) Read(b []byte) (int, error) {
	c.calls++
	return c.r.Read(b)
}

func TestReadMessageCalls(t *testing.T) {
	var in bytes.Buffer
	if err := WriteMessage(&in, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	r := &readCounter{r: &in}
	if _, err := ReadMessage(r, 1000); err != nil {
		t.Fatal(err)
	}
	if r.calls != 3 { // two bytes of length, then the payload
		t.Errorf("%d Read calls, want 3", r.calls)
	}
}

func TestReadMessageErrors(t *testing.T) {
	boom := errors.New("boom")
	for name, tt := range map[string]struct {
		r    io.Reader
		max  int
		want error
	}{
		"nothing":      {strings.NewReader(""), 10, io.EOF},
		"cut length":   {strings.NewReader("\x80"), 1000, io.ErrUnexpectedEOF},
		"no payload":   {strings.NewReader("\x05"), 10, io.ErrUnexpectedEOF},
		"cut payload":  {strings.NewReader("\x05abcd"), 10, io.ErrUnexpectedEOF},
		"too large":    {strings.NewReader("\x0babcdefghijk"), 10, ErrTooLarge},
		"negative max": {strings.NewReader("\x00"), -1, ErrTooLarge},
		"bad varint":   {strings.NewReader("\x80\x00"), 10, ErrVarint},
		"reader fails": {iotest.ErrReader(boom), 10, boom},
		"fails later":  {io.MultiReader(strings.NewReader("\x05ab"), iotest.ErrReader(boom)), 10, boom},
	} {
		if _, err := ReadMessage(tt.r, tt.max); !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", name, err, tt.want)
		}
	}
	if err := WriteMessage(failingWriter{boom}, nil); !errors.Is(err, boom) {
		t.Errorf("WriteMessage: error %v, want %v", err, boom)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestEvil_B2_LengthPrefix(t *testing.T) {
	const max = 64 << 20
	for name, size := range map[string]uint64{
		"2^63-1":  math.MaxInt64,
		"2^31":    1 << 31,
		"max+1":   max + 1,
		"max":     max,
		"max - 1": max - 1,
	} {
		prefix := AppendUvarint(nil, size)
		allocated := allocatedBytes(func() {
			if _, err := ReadMessage(bytes.NewReader(prefix), max); err == nil {
				t.Errorf("%s: no error", name)
			}
		})
		if allocated > 2*readPiece {
			t.Errorf("%s with nothing behind it: %d bytes allocated", name, allocated)
		}
	}
}

func TestEvil_B6_OneByteWrites(t *testing.T) {
	const size = 4 << 20
	r := &readCounter{r: iotest.OneByteReader(io.MultiReader(
		bytes.NewReader(AppendUvarint(nil, size)), zeros{}))}
	allocated := allocatedBytes(func() {
		if b, err := ReadMessage(r, size); err != nil || len(b) != size {
			t.Errorf("%d bytes, error %v", len(b), err)
		}
	})
	if allocated > 3*size {
		t.Errorf("%d bytes allocated for a message of %d", allocated, size)
	}
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func TestFields(t *testing.T) {
	var b []byte
	b = protowire.AppendTag(b, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, math.MaxUint64)
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendString(b, "name")
	b = protowire.AppendTag(b, 3, protowire.Fixed32Type)
	b = protowire.AppendFixed32(b, 32)
	b = protowire.AppendTag(b, 4, protowire.Fixed64Type)
	b = protowire.AppendFixed64(b, 64)

	type seen struct {
		Num   protowire.Number
		Value any
	}
	var got []seen
	for f, err := range Fields(b) {
		if err != nil {
			t.Fatal(err)
		}
		var v any
		switch f.Type {
		case protowire.VarintType:
			v, err = f.Uint64()
		case protowire.BytesType:
			var s []byte
			s, err = f.Bytes()
			v = string(s)
		default:
			v, err = f.Fixed()
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, seen{f.Num, v})
	}
	want := []seen{{1, uint64(math.MaxUint64)}, {2, "name"}, {3, uint64(32)}, {4, uint64(64)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	for f := range Fields(b) { // each field refuses the other types
		_, errB := f.Bytes()
		_, errU := f.Uint64()
		_, errF := f.Fixed()
		refused := 0
		for _, err := range []error{errB, errU, errF} {
			if errors.Is(err, ErrProtobuf) {
				refused++
			}
		}
		if refused != 2 {
			t.Errorf("field %d: %d accessors refuse it, want 2", f.Num, refused)
		}
	}

	n := 0
	for range Fields(b) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d fields after break, want 1", n)
	}
}

func TestEvil_B3_Fields(t *testing.T) {
	for name, b := range map[string]string{
		"start group":     "\x0b\x0c",
		"end group":       "\x0c",
		"wire type 6":     "\x0e",
		"wire type 7":     "\x0f",
		"field number 0":  "\x02\x00",
		"huge number":     "\xf8\xff\xff\xff\xff\x01\x00",
		"tag alone":       "\x08",
		"cut varint":      "\x08\x80",
		"endless varint":  "\x08" + strings.Repeat("\xff", 20),
		"length 2^64-1":   "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"length 2^63-1":   "\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
		"length too long": "\x12\x05abcd",
		"cut fixed32":     "\x0d\x00\x00\x00",
		"cut fixed64":     "\x09\x00\x00\x00",
		"good, then bad":  "\x08\x01\x12\x05abcd",
	} {
		var last error
		for _, err := range Fields([]byte(b)) {
			if last != nil {
				t.Errorf("%s: iteration went on after an error", name)
			}
			last = err
		}
		if !errors.Is(last, ErrProtobuf) {
			t.Errorf("%s: error %v, want %v", name, last, ErrProtobuf)
		}
	}

	flood := bytes.Repeat([]byte{0x12, 0x00}, 1<<20) // a million empty elements
	names := Quota(100)
	var stored [][]byte
	var stopped error
	allocated := allocatedBytes(func() {
		for f, err := range Fields(flood) {
			if err == nil {
				err = names.Take()
			}
			if err != nil {
				stopped = err
				return
			}
			b, _ := f.Bytes()
			stored = append(stored, b)
		}
	})
	if !errors.Is(stopped, ErrTooMany) || len(stored) != 100 {
		t.Errorf("stored %d, error %v, want 100, %v", len(stored), stopped, ErrTooMany)
	}
	if allocated > 64<<10 {
		t.Errorf("%d bytes allocated", allocated)
	}
}

func TestText(t *testing.T) {
	for _, tt := range []struct {
		in   string
		max  int
		want string
	}{
		{"", 10, ""},
		{"xnode/1.0", 256, "xnode/1.0"},
		{"grüße, 世界", 256, "grüße, 世界"},
		{`a\b "c"`, 256, `a\b "c"`},
		{"abcdef", 3, "abc"},
		{"abc", 0, ""},
		{"abc", -1, ""},
		{"aé", 2, "a"},
		{"ab\n", 3, "ab"},
		{"ab\n", 4, `ab\n`},
		{"\x1b[31mred\x1b[0m", 256, `\x1b[31mred\x1b[0m`},
		{"line\r\nline\x00", 256, `line\r\nline\x00`},
		{"\x7f\u0085\u009b2J", 256, `\x7f\u0085\u009b2J`},
		{"\xff\xfe\xc3", 256, `\xff\xfe\xc3`},
		{"user\u202egnp.exe", 256, `user\u202egnp.exe`},
		{"a\u200bb\u2028c\ufeffd\u00a0e", 256, `a\u200bb\u2028c\ufeffd\u00a0e`},
		{"\U000e0041", 256, `\U000e0041`},
		{"\ufffd", 256, "\ufffd"},
	} {
		got := Text(tt.in, tt.max)
		if got != tt.want {
			t.Errorf("Text(%q, %d) = %q, want %q", tt.in, tt.max, got, tt.want)
		}
		if again := Text(got, tt.max); again != got {
			t.Errorf("Text(%q) twice = %q", tt.in, again)
		}
	}
}

func TestEvil_B7_Text(t *testing.T) {
	for _, in := range []string{
		strings.Repeat("\x1b]0;title\x07", 8<<10),
		strings.Repeat("\n", 64<<10),
		strings.Repeat("\xff", 64<<10),
		strings.Repeat("a", 64<<10),
		strings.Repeat("é", 64<<10),
	} {
		checkText(t, in, Text(in, 256), 256)
	}
}

// checkText asserts what holds for every result of Text.
func checkText(t *testing.T, in, out string, max int) {
	t.Helper()
	if len(out) > max {
		t.Errorf("Text(%.40q): %d bytes, limit %d", in, len(out), max)
	}
	if !utf8.ValidString(out) {
		t.Errorf("Text(%.40q) is not UTF-8", in)
	}
	for _, r := range out {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			t.Errorf("Text(%.40q) contains %U", in, r)
		}
	}
}

func TestReadMessageInto(t *testing.T) {
	mem := make([]byte, 3, 4)
	r := strings.NewReader("\x04abcd\x05efghi\x00")
	for i, want := range []string{"abcd", "efghi", ""} {
		got, err := ReadMessageInto(mem, r, 10)
		if err != nil || string(got) != want {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
		if used := cap(got) == cap(mem); used != (i != 1) {
			t.Errorf("%q: in the memory that was given: %v", got, used)
		}
	}
}
