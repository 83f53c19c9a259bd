// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import "os"

// queuedWrite is how many bytes of data are copied into the buffer of waiting
// frames at a time. Who writes more waits for the turn, and copies it when nobody
// else has to wait for that.
const queuedWrite = 8 << 10

// write sends p on a stream, in as many frames as it takes. Nothing but a frame
// that tells the remote of the stream is sent for an empty p.
func (s *session) write(st *stream, p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for st.writing {
		if err := s.writeErr(st); err != nil {
			return 0, err
		}
		st.limit.wait(&st.room, st)
	}
	st.writing = true
	n, err = s.writeFrames(st, p)
	st.writing = false
	st.room.Broadcast()
	return n, err
}

func (s *session) writeFrames(st *stream, p []byte) (n int, err error) {
	newcomer := true // those who wait for the turn come first
	defer func() {
		if !newcomer {
			s.pass()
		}
	}()
	for {
		if err := s.writeErr(st); err != nil {
			return n, err
		}
		size := min(len(p)-n, int(st.credit), int(s.muxer.MaxMessage)-headerSize)
		switch {
		case s.broken != nil, size == 0 && n < len(p):
			st.limit.wait(&st.room, st)
			continue
		case size <= queuedWrite || !st.limit.at.IsZero():
			if !s.hasRoom(headerSize + size) {
				st.limit.wait(&s.drained, st)
				continue
			}
			if h, ok := s.nextData(st, size); ok {
				s.postData(h, p[n:n+size])
			}
			if st.limit.at.IsZero() {
				s.flush()
			} else {
				s.flushLater()
			}
		case s.turn, newcomer && s.waiting > 0:
			newcomer = false
			s.waiting++
			st.limit.wait(&s.turns, st)
			s.waiting--
			continue
		default:
			s.turn = true
			h, _ := s.nextData(st, size)
			s.sendData(h, p[n:n+size])
			newcomer = true
		}
		if n += size; n == len(p) {
			return n, nil
		}
	}
}

// writeErr says why nothing can be written on a stream now.
func (s *session) writeErr(st *stream) error {
	switch {
	case st.reset != 0:
		return st.resetError()
	case st.sentFIN:
		return errWriteClosed
	case s.end != nil:
		return s.end
	case st.limit.passed():
		return os.ErrDeadlineExceeded
	}
	return nil
}

// nextData returns the header of the next data on a stream; false if there is
// nothing to send.
func (s *session) nextData(st *stream, size int) (header, bool) {
	flags := s.greet(st)
	if size == 0 {
		return newHeader(typeWindowUpdate, flags, st.id, 0), flags != 0
	}
	st.credit -= uint32(size)
	return newHeader(typeData, flags, st.id, uint32(size)), true
}

// sendData writes a frame behind those that wait. The caller has the turn, which
// ends.
func (s *session) sendData(h header, data []byte) {
	b := s.reserve(headerSize + len(data))
	s.take()
	s.mu.Unlock()
	var err error
	if len(b.b)+headerSize+len(data) > cap(b.b) {
		err = s.send(b)
		b = getBuffer(headerSize + len(data))
	}
	b.b = append(append(b.b, h[:]...), data...)
	if err == nil {
		err = s.send(b)
	} else {
		putBuffer(b)
	}
	s.mu.Lock()
	s.sent(err)
	s.leave()
}
