// SPDX-License-Identifier: Apache-2.0 OR MIT

package multistream

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

// maxFirstWrite bounds how much of the first payload is copied behind the
// negotiation to travel in one write, in bytes. The rest follows in a second.
const maxFirstWrite = 16 << 10

// What is left to do. Nothing left means that reads and writes go straight
// through.
const (
	// unsent: lines are waiting to go out in front of what is written.
	unsent = 1 << iota
	// writing: the lines are out, the rest of the write with them is not.
	writing
	// unanswered: the remote's answer has not been read.
	unanswered
	// leftover: the inbox holds payload.
	leftover
)

// Stream negotiates one protocol on a stream or connection and then carries
// its data. It is made ready by one call of [Stream.Dial] or [Stream.Accept];
// after that Read and Write may be called at the same time. Deadlines are the
// caller's: whatever waits, waits in a call of the stream underneath. A read
// or write that ended by a deadline may be repeated.
//
// It is meant to be embedded by value and must not be copied once in use.
type Stream struct {
	todo atomic.Uint32
	rw   io.ReadWriter
	// protocol is what was proposed (Dial) or is to be confirmed (Accept).
	protocol string

	outMu sync.Mutex
	// headless is true if the header has gone out already; sent counts the
	// bytes of the waiting lines that are out. Both guarded by outMu.
	headless bool
	sent     int

	inMu sync.Mutex
	// in is nil unless bytes are held or awaited. greeted is true once the
	// remote's header is read; failed is the error that ended negotiation.
	// All guarded by inMu.
	in      *inbox
	greeted bool
	failed  error
}

var firstWrites = sync.Pool{New: func() any { return new([maxFirstWrite]byte) }}

// settled tells whether nothing is left to do: the negotiation is over in both
// directions and no payload is held back.
func (s *Stream) settled() bool { return s.todo.Load() == 0 }

// Read reads payload. If the answer of the remote is outstanding it is read
// and checked first; if lines of this side are waiting they are sent before
// the read has to wait.
func (s *Stream) Read(p []byte) (int, error) {
	if s.settled() {
		return s.rw.Read(p)
	}
	return s.readFirst(p)
}

func (s *Stream) readFirst(p []byte) (int, error) {
	if s.todo.Load()&(unanswered|leftover) != 0 {
		n, err := s.readHeld(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
	}
	if err := s.flushToWait(); err != nil {
		return 0, err
	}
	return s.rw.Read(p)
}

// readHeld reads the answer, if it is outstanding, and then takes what the
// inbox holds; that may be nothing.
func (s *Stream) readHeld(p []byte) (int, error) {
	s.inMu.Lock()
	defer s.inMu.Unlock()
	if err := s.awaitAnswer(); err != nil {
		return 0, err
	}
	if s.in == nil {
		return 0, nil
	}
	n := copy(p, s.in.unread())
	s.in.r += n
	s.holdLeftover()
	return n, nil
}

// holdLeftover keeps the inbox if it holds payload, and gives it back if not.
// The caller holds inMu, or the stream is not in use yet.
func (s *Stream) holdLeftover() {
	if len(s.in.unread()) > 0 {
		s.todo.Or(leftover)
		return
	}
	s.dropInbox()
	s.todo.And(^uint32(leftover))
}

func (s *Stream) dropInbox() {
	if s.in != nil {
		s.in.free()
		s.in = nil
	}
}

// Write writes payload, behind the waiting lines if there are any, in one
// write of the stream underneath.
func (s *Stream) Write(p []byte) (int, error) {
	if s.todo.Load()&(unsent|writing) == 0 {
		return s.rw.Write(p)
	}
	return s.writeFirst(p)
}

func (s *Stream) writeFirst(p []byte) (int, error) {
	s.outMu.Lock()
	defer s.outMu.Unlock()
	if s.todo.Load()&unsent == 0 {
		return s.rw.Write(p)
	}
	n, err := s.send(p)
	if err != nil || n == len(p) {
		return n, err
	}
	// No other write may come between the two halves of this one.
	s.todo.Or(writing)
	s.todo.And(^uint32(unsent))
	defer s.todo.And(^uint32(writing))
	m, err := s.rw.Write(p[n:])
	return n + m, err
}

// Flush sends the lines that are waiting.
func (s *Stream) Flush() error {
	if s.todo.Load()&unsent == 0 {
		return nil
	}
	s.outMu.Lock()
	defer s.outMu.Unlock()
	if s.todo.Load()&unsent == 0 {
		return nil
	}
	_, err := s.send(nil)
	return err
}

// flushToWait is Flush for a reader. It does not wait for a writer, which is
// sending the lines itself: that writer may be waiting for this reader.
func (s *Stream) flushToWait() error {
	if s.todo.Load()&unsent == 0 || !s.outMu.TryLock() {
		return nil
	}
	defer s.outMu.Unlock()
	if s.todo.Load()&unsent == 0 {
		return nil
	}
	_, err := s.send(nil)
	return err
}

// send sends the waiting lines and up to maxFirstWrite bytes of p with them in
// one write, and returns how much of p went out. The caller holds outMu. The
// mark unsent is cleared if all that there was to send is out.
func (s *Stream) send(p []byte) (int, error) {
	buf := firstWrites.Get().(*[maxFirstWrite]byte)
	defer firstWrites.Put(buf)
	lines := buf[:0]
	if !s.headless {
		lines = append(lines, header...)
	}
	lines = appendLine(lines, s.protocol)[s.sent:]
	b := lines[:len(lines)+copy(lines[len(lines):cap(lines)], p)]
	n, err := s.rw.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if n < len(lines) {
		s.sent += n
		return 0, fmt.Errorf("negotiate %s: %w", s.protocol, err)
	}
	n -= len(lines)
	s.sent += len(lines)
	if err != nil || n == len(p) {
		s.todo.And(^uint32(unsent))
	}
	return n, err
}

// Confirm sends the waiting lines and reads the outstanding answer, if there
// is one. It may be called at any time and again.
func (s *Stream) Confirm() error {
	if err := s.Flush(); err != nil {
		return err
	}
	if s.todo.Load()&unanswered == 0 {
		return nil
	}
	s.inMu.Lock()
	defer s.inMu.Unlock()
	return s.awaitAnswer()
}
