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
