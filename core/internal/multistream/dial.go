// SPDX-License-Identifier: Apache-2.0 OR MIT

package multistream

import (
	"errors"
	"fmt"
	"io"

	"github.com/xnode-p2p/xnode/core"
)

// Dial proposes protocols on rw, of which the remote has accepted or dialled
// the other end, and returns the one that is agreed on.
//
// A single protocol is taken for granted: nothing is sent or read yet. The
// proposal goes out in front of the first write, before the first read, or
// with [Stream.Flush]; a refusal is the error of the first read or of
// [Stream.Confirm]. Of several protocols each is proposed in turn, and Dial
// returns when the remote has chosen. If it refuses all the error is a
// [*core.ProtocolError].
func (s *Stream) Dial(rw io.ReadWriter, protocols []string) (string, error) {
	for _, p := range protocols {
		if err := checkName(p); err != nil {
			return "", err
		}
	}
	switch len(protocols) {
	case 0:
		return "", errors.New("no protocol to propose")
	case 1:
		s.rw, s.protocol = rw, protocols[0]
		s.todo.Store(unsent | unanswered)
		return s.protocol, nil
	}
	s.rw = rw
	s.inMu.Lock()
	defer s.inMu.Unlock()
	for i, p := range protocols {
		s.protocol, s.headless, s.sent = p, i > 0, 0
		if _, err := s.send(nil); err != nil {
			s.dropInbox()
			return "", err
		}
		s.todo.Store(unanswered)
		err := s.readAnswer()
		if err == nil {
			return p, nil
		}
		if refused := (*core.ProtocolError)(nil); !errors.As(err, &refused) {
			s.dropInbox()
			return "", err
		}
		s.failed = nil
	}
	s.dropInbox()
	s.failed = &core.ProtocolError{Protocols: protocols}
	return "", s.failed
}

// awaitAnswer is readAnswer for the last or only proposal: a wrong answer ends
// the use of the inbox. The caller holds inMu.
func (s *Stream) awaitAnswer() error {
	err := s.readAnswer()
	if s.failed != nil {
		s.dropInbox()
	}
	return err
}

// readAnswer reads the answer to the proposal if it is outstanding. Where the
// read ends early it can be repeated and goes on; where the answer is wrong
// the error stays. The caller holds inMu.
func (s *Stream) readAnswer() error {
	if s.todo.Load()&unanswered == 0 {
		return nil
	}
	if s.failed != nil {
		return s.failed
	}
	if s.in == nil {
		s.in = newInbox()
	}
	for {
		answered, err := s.checkAnswer()
		if answered {
			s.holdLeftover()
			s.todo.And(^uint32(unanswered))
			return nil
		}
		if err != nil {
			s.failed = err
			return err
		}
		if err := s.flushToWait(); err != nil {
			return err
		}
		if err := s.in.fill(s.rw); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("negotiate %s: %w", s.protocol, err)
		}
	}
}

// checkAnswer looks for the header and the answer in the inbox. Without an
// error, answered is false if more bytes are needed.
func (s *Stream) checkAnswer() (answered bool, err error) {
	if !s.greeted {
		ok, err := s.in.takeHeader()
		if err != nil {
			return false, fmt.Errorf("negotiate %s: %w", s.protocol, err)
		}
		if !ok {
			return false, nil
		}
		s.greeted = true
	}
	text, ok, err := s.in.takeLine()
	switch {
	case err != nil:
		return false, fmt.Errorf("negotiate %s: %w", s.protocol, err)
	case !ok:
		return false, nil
	case string(text) == s.protocol:
		return true, nil
	case string(text) == refusal:
		return false, &core.ProtocolError{Protocols: []string{s.protocol}}
	}
	return false, fmt.Errorf("negotiate %s: %w: answer %s", s.protocol, ErrMalformed, shown(text))
}
