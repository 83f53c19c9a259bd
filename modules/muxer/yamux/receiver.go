// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"errors"
	"io"
	"os"

	"github.com/xnode-p2p/xnode/core"
)

// violation is a breach of the protocol, after which the connection ends.
type violation struct{ error }

// receive reads frames until the connection ends.
func (s *session) receive() {
	for {
		if err := s.receiveFrame(); err != nil {
			s.fail(err)
			return
		}
	}
}

// fail ends the session for what went wrong with reading.
func (s *session) fail(err error) {
	var breach violation
	if errors.As(err, &breach) {
		// The connection ends either way.
		_ = s.part(&core.ConnError{Code: core.ConnProtocolViolation, Cause: breach.error}, goAwayProtocolError)
		return
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		// There are no deadlines but that of breakOff.
		s.mu.Lock()
		if s.broken != nil {
			err = s.broken
		}
		s.mu.Unlock()
	}
	s.finish(s.explainEnd(err))
}

// receiveFrame reads a frame, and has it take effect.
func (s *session) receiveFrame() error {
	if err := s.readFull(s.head[:]); err != nil {
		return err
	}
	in, err := s.judge(&s.head)
	if err != nil {
		return err
	}
	if err := s.readBody(in); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if in.fin || in.fresh {
		s.completed(in)
	}
	return nil
}

// judge applies a frame before its body is read.
func (s *session) judge(h *header) (in arrival, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		return in, s.end
	}
	if in, err = s.received(h); err != nil {
		return in, err
	}
	s.flushLater()
	for s.flooded() {
		s.drained.Wait()
	}
	return in, nil
}

// completed applies what takes effect behind the body.
func (s *session) completed(in arrival) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in.fin {
		in.stream.in.finish(io.EOF, false)
	}
	if in.fresh && s.end == nil && in.stream.reset == 0 {
		s.backlog.push(in.stream)
		s.incoming.Signal()
	}
}

// readBody reads a body to where it belongs.
func (s *session) readBody(in arrival) error {
	left := in.body
	for left > 0 && in.stream != nil {
		room := in.stream.in.room(left)
		if room == nil {
			break
		}
		err := s.readFull(room)
		if err != nil {
			room = nil
		}
		in.stream.in.put(len(room))
		if err != nil {
			return err
		}
		left -= len(room)
	}
	return s.discard(left)
}

// discard reads a body that nobody wants.
func (s *session) discard(n int) error {
	if n == 0 {
		return nil
	}
	c := s.muxer.pool.chunk(min(n, 4<<10))
	defer s.muxer.pool.putChunk(c)
	for n > 0 {
		part := c.b[:min(n, len(c.b))]
		if err := s.readFull(part); err != nil {
			return err
		}
		n -= len(part)
	}
	return nil
}

// readFull reads all of p. Whatever comes is a sign of life.
func (s *session) readFull(p []byte) error {
	for n := 0; n < len(p); {
		m, err := s.conn.Read(p[n:])
		if n += m; m > 0 {
			s.heard.Store(int64(s.now()))
		}
		if err != nil && n < len(p) {
			if err == io.EOF && n > 0 {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

var _ error = violation{}
