// SPDX-License-Identifier: Apache-2.0 OR MIT

package mplex

import (
	"errors"
	"os"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

// maxControl is how many bytes of frames without data may wait to be sent
// beyond what waits with data. A remote that makes for more does not read.
const maxControl = 64 << 10

// outbox is what a session sends. Writers put frames into a buffer; while there
// are any, a goroutine writes the buffer, and then what was put into the next
// one meanwhile. It is guarded by the session's lock.
type outbox struct {
	pending *[]byte   // whole frames, at most a large buffer and maxControl; nil for none
	sending bool      // the goroutine runs
	waiting int       // writers that wait for room
	room    sync.Cond // waited on by writers, first come first served
	turns   sync.Cond // waited on by writers of a stream on which another one writes
	sent    sync.Cond // signalled when there is nothing more to send
	broken  *core.ConnError
}

func (o *outbox) init(mu *sync.Mutex) { o.room.L, o.turns.L, o.sent.L = mu, mu, mu }

// wakeWriters has all writers look whether they still may write.
func (o *outbox) wakeWriters() {
	o.room.Broadcast()
	o.turns.Broadcast()
}

// write sends p on st, in as many messages as it takes. Writers of one stream
// write one after another; those of different streams take turns.
func (s *session) write(st *stream, p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for st.writing {
		if err := s.writeErr(st); err != nil {
			return 0, err
		}
		wait(&s.turns, st.writeDeadline)
	}
	st.writing = true
	defer func() {
		st.writing = false
		s.turns.Broadcast()
		s.room.Signal() // whoever leaves wakes up the next one
	}()
	for {
		size := min(len(p)-n, int(s.muxer.MaxMessage))
		// Those who wait come first.
		for arrived := true; ; arrived = false {
			if err := s.writeErr(st); err != nil {
				return n, err
			}
			if (!arrived || s.waiting == 0) && s.hasRoom(2*maxHeader+size) {
				break
			}
			s.waiting++
			wait(&s.room, st.writeDeadline)
			s.waiting--
		}
		if size > 0 {
			s.announce(st, size+maxHeader)
			s.put(frame{id: st.key.id, flag: st.flag(flagMessageReceiver), length: size}, p[n:n+size])
			n += size
		}
		if n == len(p) {
			return n, nil
		}
		s.room.Signal()
	}
}

// writeErr says why nothing can be written on st now.
func (s *session) writeErr(st *stream) error {
	switch {
	case st.writeErr != nil:
		return st.writeErr
	case s.end != nil:
		return s.end
	case s.broken != nil:
		return s.broken
	case passed(st.writeDeadline):
		return os.ErrDeadlineExceeded
	}
	return nil
}

// hasRoom reports whether n bytes fit into the buffer.
func (s *session) hasRoom(n int) bool {
	return s.pending == nil || len(*s.pending)+n <= s.muxer.buffers.largeBuffer
}

// announce opens st at the remote, unless it is open there. More bytes are to
// follow in the same buffer.
func (s *session) announce(st *stream, more int) {
	if !st.announced {
		st.announced = true
		s.reserve(maxHeader + more)
		s.put(frame{id: st.key.id, flag: flagNewStream}, nil)
	}
}

// reserve sees to it that n bytes can be put without the buffer growing.
func (s *session) reserve(n int) {
	switch old := s.pending; {
	case old == nil:
		s.pending = s.muxer.buffers.out(n)
	case len(*old)+n > cap(*old) && cap(*old) == smallBuffer:
		s.pending = s.muxer.buffers.out(s.muxer.buffers.largeBuffer)
		*s.pending = append(*s.pending, *old...)
		s.muxer.buffers.putOut(old)
	}
}

// put appends a frame to what is sent, and sees to it that it is.
func (s *session) put(f frame, data []byte) {
	s.reserve(maxHeader + len(data))
	*s.pending = append(appendFrame(*s.pending, f), data...)
	if !s.sending {
		s.sending = true
		s.running.Go(s.send)
	}
}

// control sends a frame without data, which does not wait for room. It reports
// false if too many of them wait.
func (s *session) control(f frame) bool {
	if s.end != nil || s.broken != nil {
		return true // and nobody gets it
	}
	if s.pending != nil && len(*s.pending) > s.muxer.buffers.largeBuffer+maxControl {
		return false
	}
	s.put(f, nil)
	return true
}

// send writes to the connection until there is nothing more to write.
func (s *session) send() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.pending != nil && s.end == nil && s.broken == nil {
		b := s.pending
		s.pending = nil
		s.room.Signal()
		s.mu.Unlock()
		err := s.conn.SetWriteDeadline(time.Now().Add(time.Duration(s.muxer.WriteTimeout)))
		if err == nil {
			_, err = s.conn.Write(*b)
		}
		s.muxer.buffers.putOut(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			_ = s.finish(&core.ConnError{Cause: errNotReading})
		}
		s.mu.Lock()
		if err != nil {
			s.fail(err)
		}
	}
	s.sending = false
	s.sent.Broadcast()
}

// fail notes that nothing can be sent any more. What the remote has sent before
// it closed the connection is still read.
func (s *session) fail(err error) {
	s.broken = explain(err)
	s.wakeWriters()
	// If this fails too, reading fails at once.
	_ = s.conn.SetReadDeadline(time.Now().Add(partingTime))
}

// drain waits until everything is sent, but no longer than patience.
func (s *session) drain(patience time.Duration) {
	deadline := time.Now().Add(patience)
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.sending && s.end == nil && !passed(deadline) {
		wait(&s.sent, deadline)
	}
}
