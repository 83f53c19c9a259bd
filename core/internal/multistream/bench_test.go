// SPDX-License-Identifier: Apache-2.0 OR MIT

package multistream

import (
	"testing"
)

// loop reads the same bytes again after each rewind and drops what is written.
type loop struct {
	sent string
	at   int
}

func (l *loop) Read(p []byte) (int, error) {
	n := copy(p, l.sent[l.at:])
	l.at += n
	return n, nil
}

func (l *loop) Write(p []byte) (int, error) { return len(p), nil }

func exchange(t testing.TB, s *Stream, p []byte) {
	if n, err := s.Write(p); err != nil || n != len(p) {
		t.Fatal(n, err)
	}
	if n, err := s.Read(p); err != nil || n != len(p) {
		t.Fatal(n, err)
	}
}

func dialOnce(t testing.TB, rw *loop, propose []string, p []byte) {
	rw.at = 0
	var s struct{ Stream } // as a stream of the swarm embeds it
	if _, err := s.Dial(rw, propose); err != nil {
		t.Fatal(err)
	}
	exchange(t, &s.Stream, p)
}

func acceptOnce(t testing.TB, rw *loop, find func(string) bool, p []byte) {
	rw.at = 0
	var s struct{ Stream }
	if _, err := s.Accept(rw, find); err != nil {
		t.Fatal(err)
	}
	exchange(t, &s.Stream, p)
}

func BenchmarkDial(b *testing.B) {
	rw, p := &loop{sent: header + line("/echo/1.0.0") + string(make([]byte, 32))}, make([]byte, 32)
	propose := []string{"/echo/1.0.0"}
	b.ReportAllocs()
	for b.Loop() {
		dialOnce(b, rw, propose, p)
	}
}

func BenchmarkAccept(b *testing.B) {
	rw, p := &loop{sent: header + line("/echo/1.0.0") + string(make([]byte, 32))}, make([]byte, 32)
	find := serve("/echo/1.0.0")
	b.ReportAllocs()
	for b.Loop() {
		acceptOnce(b, rw, find, p)
	}
}

// BenchmarkSettled is the price of a read and a write after negotiation.
func BenchmarkSettled(b *testing.B) {
	rw, p := &loop{sent: header + line("/a") + string(make([]byte, 32))}, make([]byte, 32)
	var s Stream
	if _, err := s.Dial(rw, []string{"/a"}); err != nil {
		b.Fatal(err)
	}
	exchange(b, &s, p)
	b.ReportAllocs()
	for b.Loop() {
		rw.at = 0
		exchange(b, &s, p)
	}
}

// TestAllocations bounds what a stream costs: the stream itself, and on the
// accepting side the protocol's name.
func TestAllocations(t *testing.T) {
	rw, p := &loop{sent: header + line("/echo/1.0.0") + string(make([]byte, 32))}, make([]byte, 32)
	propose, find := []string{"/echo/1.0.0"}, serve("/echo/1.0.0")
	if n := testing.AllocsPerRun(200, func() { dialOnce(t, rw, propose, p) }); n > 2 {
		t.Errorf("dial: %v allocations", n)
	}
	if n := testing.AllocsPerRun(200, func() { acceptOnce(t, rw, find, p) }); n > 3 {
		t.Errorf("accept: %v allocations", n)
	}
}
