// SPDX-License-Identifier: Apache-2.0 OR MIT

package multistream

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/xnode-p2p/xnode/core/wire"
)

// malformed is what neither side may send, and what the error must name.
var malformed = []struct{ name, sent, names string }{
	{"http", "GET / HTTP/1.1\r\n", `"GET / HTTP/1.1\r\n"`},
	{"tls", "\x16\x03\x01\x02\x00", `"\x16\x03\x01\x02\x00"`},
	{"other version", "\x13/multistream/2.0.0\n", "/multistream/2.0.0"},
	{"header without newline", "\x13/multistream/1.0.0x", "1.0.0x"},
	{"header with long varint", "\x93\x00/multistream/1.0.0\n", `\x93`},
	{"line of 1025", header + "\x81\x08" + strings.Repeat("x", 1024) + "\n", "limit 1024"},
	{"length of 2^62", header + "\x80\x80\x80\x80\x80\x80\x80\x80\x40", "limit 1024"},
	{"varint of ten bytes", header + "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", `\xff`},
	{"varint not minimal", header + "\x83\x00/a\n", `\x83\x00/a`},
	{"empty line", header + "\x00", "empty line"},
	{"no newline", header + "\x03/a\x1b", `"/a\x1b"`},
}

func TestEvil_B4_Malformed(t *testing.T) {
	for _, c := range malformed {
		for _, chunk := range []int{1, 1 << 20} {
			t.Run(fmt.Sprintf("%s/%d", c.name, chunk), func(t *testing.T) {
				var accepted, dialled Stream
				_, err := accepted.Accept(chunked(c.sent, chunk), serve("/a"))
				check(t, "accept", err, c.names, chunk)
				must[string](t)(dialled.Dial(chunked(c.sent, chunk), []string{"/a"}))
				_, err = dialled.Read(make([]byte, 1))
				check(t, "dial", err, c.names, chunk)
				if err2 := dialled.Confirm(); err2 != err {
					t.Errorf("the error does not stay: %v", err2)
				}
				_, err = new(Stream).Dial(chunked(c.sent, chunk), []string{"/a", "/b"})
				check(t, "dial several", err, c.names, chunk)
			})
		}
	}
}

func check(t *testing.T, what string, err error, names string, chunk int) {
	t.Helper()
	if !errors.Is(err, ErrMalformed) {
		t.Fatalf("%s: %v", what, err)
	}
	if text := err.Error(); wire.Text(text, 1000) != text || chunk > 1 && !strings.Contains(text, names) {
		t.Errorf("%s: %s", what, text)
	}
}

func chunked(sent string, chunk int) *script {
	rw := new(script)
	for len(sent) > 0 {
		n := min(chunk, len(sent))
		rw.pieces = append(rw.pieces, sent[:n])
		sent = sent[n:]
	}
	return rw
}

// endless repeats a piece for ever.
type endless struct {
	script
	piece string
	read  int
}

func (e *endless) Read(p []byte) (int, error) {
	if len(e.pieces) == 0 {
		e.pieces = []string{e.piece}
	}
	n, err := e.script.Read(p)
	e.read += n
	return n, err
}

func TestEvil_B4_UnknownNames(t *testing.T) {
	for _, piece := range []string{line("/x"), line("ls"), line(strings.Repeat("x", maxLine-1))} {
		rw := &endless{script: script{pieces: []string{header}}, piece: piece}
		_, err := new(Stream).Accept(rw, serve("/a"))
		if !errors.Is(err, ErrTooManyTries) {
			t.Errorf("error %v", err)
		}
		if len(rw.writes) > maxTries+1 || rw.read > (maxTries+2)*len(piece)+2*smallInbox {
			t.Errorf("%d writes, %d bytes read", len(rw.writes), rw.read)
		}
	}
}

// A dialler hears "na" for ever: it stops with its own last proposal.
func TestEvil_B4_EndlessRefusal(t *testing.T) {
	rw := &endless{script: script{pieces: []string{header}}, piece: line("na")}
	if _, err := new(Stream).Dial(rw, names(20)); err == nil || len(rw.writes) != 20 {
		t.Errorf("%d writes, %v", len(rw.writes), err)
	}
}

// A withheld answer holds up nothing but the reads.
func TestEvil_B4_WithheldAnswer(t *testing.T) {
	rw := new(script)
	var s Stream
	must[string](t)(s.Dial(rw, []string{"/a"}))
	for range 3 {
		must[int](t)(s.Write([]byte("data")))
		must[any](t)(nil, s.Flush())
	}
	if rw.reads != 0 || len(rw.writes) != 3 {
		t.Errorf("%d reads, %d writes", rw.reads, len(rw.writes))
	}
	if err := s.Confirm(); !errors.Is(err, errWait) {
		t.Errorf("confirm: %v", err)
	}
}

// nothing returns no bytes and no error, which a reader may do now and then.
type nothing struct{ script }

func (*nothing) Read([]byte) (int, error) { return 0, nil }

func TestEvil_B4_EmptyReads(t *testing.T) {
	if _, err := new(Stream).Accept(new(nothing), serve("/a")); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("error %v", err)
	}
}

// What was read ahead is given back once it is consumed.
func TestEvil_B4_Memory(t *testing.T) {
	rw := chunked(header+line(strings.Repeat("x", maxLine-1))+line("/a")+strings.Repeat("p", 5000), 1<<20)
	var s Stream
	must[string](t)(s.Accept(rw, serve("/a")))
	if len(s.in.data) > maxLine+2 {
		t.Errorf("holds %d bytes", len(s.in.data))
	}
	if n := must[int](t)(io.ReadFull(&s, make([]byte, 5000))); n != 5000 || s.in != nil {
		t.Errorf("read %d, holds an inbox: %v", n, s.in != nil)
	}
}

func TestBadNames(t *testing.T) {
	for _, name := range []string{"", "na", "ls", "/a\n", strings.Repeat("x", maxLine)} {
		rw := new(script)
		if _, err := new(Stream).Dial(rw, []string{"/a", name}); err == nil || len(rw.writes) > 0 {
			t.Errorf("%.9q: %v", name, err)
		}
	}
	if _, err := new(Stream).Dial(new(script), nil); err == nil {
		t.Error("dialled without a protocol")
	}
}
