// SPDX-License-Identifier: Apache-2.0 OR MIT

package multistream

import (
	"errors"
	"io"
	"sync"
	"testing"
)

// errWait is what a script's read returns where a real stream would wait.
var errWait = errors.New("would wait")

// script plays the remote: each read takes the next piece, and each write is
// recorded as it came.
type script struct {
	pieces []string
	end    error // after the last piece; errWait if nil
	writes []string
	reads  int
}

func (s *script) Read(p []byte) (int, error) {
	s.reads++
	if len(s.pieces) == 0 {
		if s.end != nil {
			return 0, s.end
		}
		return 0, errWait
	}
	n := copy(p, s.pieces[0])
	if s.pieces[0] = s.pieces[0][n:]; s.pieces[0] == "" {
		s.pieces = s.pieces[1:]
	}
	return n, nil
}

func (s *script) Write(p []byte) (int, error) {
	s.writes = append(s.writes, string(p))
	return len(p), nil
}

// half is one direction of a pipe: a buffer without bound.
type half struct {
	mu     sync.Mutex
	cond   *sync.Cond
	buf    []byte
	closed bool
}

func newHalf() *half {
	h := new(half)
	h.cond = sync.NewCond(&h.mu)
	return h
}

func (h *half) close() {
	h.mu.Lock()
	h.closed = true
	h.cond.Broadcast()
	h.mu.Unlock()
}

// end is one end of a pipe whose reads bring at most chunk bytes.
type end struct {
	in, out *half
	chunk   int
	mu      sync.Mutex
	writes  int
}

func newPipe(chunk int) (a, b *end) {
	x, y := newHalf(), newHalf()
	return &end{in: x, out: y, chunk: chunk}, &end{in: y, out: x, chunk: chunk}
}

func (e *end) Read(p []byte) (int, error) {
	e.in.mu.Lock()
	defer e.in.mu.Unlock()
	for len(e.in.buf) == 0 {
		if e.in.closed {
			return 0, io.EOF
		}
		e.in.cond.Wait()
	}
	n := copy(p[:min(len(p), e.chunk)], e.in.buf)
	e.in.buf = e.in.buf[n:]
	return n, nil
}

func (e *end) Write(p []byte) (int, error) {
	e.mu.Lock()
	e.writes++
	e.mu.Unlock()
	e.out.mu.Lock()
	defer e.out.mu.Unlock()
	e.out.buf = append(e.out.buf, p...)
	e.out.cond.Broadcast()
	return len(p), nil
}

func serve(names ...string) func(string) bool {
	return func(p string) bool {
		for _, n := range names {
			if n == p {
				return true
			}
		}
		return false
	}
}

func line(text string) string { return string(appendLine(nil, text)) }

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
