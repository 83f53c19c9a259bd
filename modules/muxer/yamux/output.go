// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"time"
)

const (
	// maxPending is how many bytes of frames may wait to be written before
	// writers have to wait, too.
	maxPending = 64 << 10
	// maxControl is how many may wait with those that make no writer wait,
	// before the session stops reading from a remote that does not read.
	maxControl = 128 << 10
	// maxPongs is how many answers to pings may wait; the rest is dropped.
	maxPongs = 32
	// maxRounds is how often a writer writes what has come from others before
	// a goroutine does that.
	maxRounds = 8
)

// output is the writing side of a session. Frames gather in a buffer. Who finds
// that nobody writes to the connection takes the turn and writes the buffer, and
// then what has gathered meanwhile. It is guarded by the session's lock.
type output struct {
	pending *buffer // whole frames; nil for none
	pongs   int     // how many of them answer pings
	turn    bool    // somebody writes
	broken  error   // why nothing can be written any more

	waiting int       // writers who wait for the turn
	turns   sync.Cond // what they wait on
	drained sync.Cond // waited on for room in the buffer
}

func (o *output) init(mu *sync.Mutex) { o.turns.L, o.drained.L = mu, mu }

// hasRoom reports whether a writer may add n bytes.
func (o *output) hasRoom(n int) bool {
	return o.pending == nil || len(o.pending.b)+n <= maxPending
}

// flooded reports whether too much waits to be written.
func (o *output) flooded() bool {
	return o.broken == nil && o.pending != nil && len(o.pending.b) > maxControl
}

// flushed reports whether nothing more will be written.
func (o *output) flushed() bool {
	return o.broken != nil || !o.turn && o.pending == nil
}

// awaitFlushed waits until everything is written, but not for longer than patience.
func (o *output) awaitFlushed(patience time.Duration) {
	over := false
	timer := time.AfterFunc(patience, func() {
		o.drained.L.Lock()
		defer o.drained.L.Unlock()
		over = true
		o.drained.Broadcast()
	})
	defer timer.Stop()
	for !o.flushed() && !over {
		o.drained.Wait()
	}
}

// reserve returns the buffer of waiting frames, with room for n bytes more if the
// largest one has that.
func (s *session) reserve(n int) *buffer {
	switch old := s.pending; {
	case old == nil:
		s.pending = getBuffer(n)
	case len(old.b)+n > cap(old.b) && cap(old.b) < largeBuffer:
		s.pending = getBuffer(len(old.b) + n)
		s.pending.b = append(s.pending.b, old.b...)
		putBuffer(old)
	}
	return s.pending
}

// take returns the frames that wait, for who has the turn.
func (s *session) take() *buffer {
	b := s.pending
	s.pending, s.pongs = nil, 0
	s.drained.Broadcast()
	return b
}

// post has a frame without data written with the next flush.
func (s *session) post(h header) {
	if s.broken == nil {
		b := s.reserve(headerSize)
		b.b = append(b.b, h[:]...)
	}
}

// postData is post for a frame with data.
func (s *session) postData(h header, data []byte) {
	if s.broken == nil {
		b := s.reserve(headerSize + len(data))
		b.b = append(append(b.b, h[:]...), data...)
	}
}

// pong answers a ping.
func (s *session) pong(id uint32) {
	if s.pongs < maxPongs {
		s.pongs++
		s.post(newHeader(typePing, flagACK, 0, id))
	}
}

// flush writes what waits, unless somebody else will. It lets others run first
// who may have something to write as well.
func (s *session) flush() {
	if !s.idle() {
		return
	}
	s.turn = true
	s.mu.Unlock()
	runtime.Gosched()
	s.mu.Lock()
	s.drain(maxRounds)
}

// flushLater is flush for who must not wait for the connection.
func (s *session) flushLater() {
	if s.idle() {
		s.turn = true
		s.running.Go(s.drainAll)
	}
}

// idle reports whether there is something to write and nobody to do it.
func (s *session) idle() bool {
	return !s.turn && s.waiting == 0 && s.pending != nil && s.broken == nil
}

func (s *session) drainAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drain(-1)
}

// drain writes what waits and what comes meanwhile, for so many rounds, or until
// somebody waits for the turn. The caller has the turn.
func (s *session) drain(rounds int) {
	for ; s.pending != nil && s.broken == nil && s.waiting == 0; rounds-- {
		if rounds == 0 {
			s.running.Go(s.drainAll)
			return
		}
		b := s.take()
		s.mu.Unlock()
		err := s.send(b)
		s.mu.Lock()
		s.sent(err)
	}
	s.leave()
}

// leave gives the turn back.
func (s *session) leave() {
	s.turn = false
	if s.waiting > 0 {
		s.turns.Signal()
	}
	if s.flushed() {
		s.drained.Broadcast()
	}
}

// pass is for a writer who waited for the turn and may not have used it.
func (s *session) pass() {
	if s.turn {
		return
	}
	if s.waiting > 0 {
		s.turns.Signal()
	} else {
		s.flushLater()
	}
}

// send writes frames to the connection. The caller has the turn and not the lock.
func (s *session) send(b *buffer) error {
	err := s.conn.SetWriteDeadline(time.Now().Add(time.Duration(s.muxer.WriteTimeout)))
	if err == nil {
		_, err = s.conn.Write(b.b)
	}
	putBuffer(b)
	return err
}

// sent takes the outcome of send.
func (s *session) sent(err error) {
	switch {
	case err == nil:
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.breakOff(errNotReading, 0)
	default:
		// The remote has closed the connection. What it sent before, its
		// reason may be the last of that, is still read.
		s.breakOff(err, partingTime)
	}
}

// breakOff has nothing more written, for a reason, with which the receiver ends
// the session after some time unless it finds another.
func (s *session) breakOff(cause error, after time.Duration) {
	if s.broken == nil {
		s.giveUp(cause)
		// If this fails, reading does.
		_ = s.conn.SetReadDeadline(time.Now().Add(after))
	}
}

// giveUp has nothing more written.
func (s *session) giveUp(cause error) {
	if s.broken != nil {
		return
	}
	s.broken = cause
	if s.pending != nil {
		putBuffer(s.take())
	}
	s.drained.Broadcast()
}
