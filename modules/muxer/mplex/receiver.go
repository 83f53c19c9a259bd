// SPDX-License-Identifier: Apache-2.0 OR MIT

package mplex

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/xnode-p2p/xnode/core"
)

// maxEmptyReads is how often in a row a connection may return nothing.
const maxEmptyReads = 100

// receive reads frames until the connection ends.
func (s *session) receive() {
	for {
		if err := s.next(); err != nil {
			_ = s.finish(s.explainRead(err)) // the reason is what counts
			return
		}
	}
}

// explainRead puts the reason for which reading had to end soon before the
// deadline that ended it.
func (s *session) explainRead(err error) *core.ConnError {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return s.broken
	}
	return explain(err)
}

// next reads a frame, and does what it says.
func (s *session) next() error {
	f, err := readFrame(s.in)
	if err != nil {
		return err
	}
	if f.flag == flagNewStream {
		if err := s.discard(f.length); err != nil {
			return err
		}
		return s.opened(key{id: f.id})
	}
	k := f.key()
	s.mu.Lock()
	st, never := s.streams[k], k.ours && k.id >= s.nextID
	s.mu.Unlock()
	if never {
		return &violation{fmt.Sprintf("frame for stream %d, which was never opened", k.id)}
	}
	if st == nil {
		// It is over here, and the remote did not know yet when it sent this.
		return s.discard(f.length)
	}
	switch f.flag {
	case flagCloseInitiator, flagCloseReceiver:
		if !st.receivedClose() {
			return s.abuses.add()
		}
		return nil
	case flagResetInitiator, flagResetReceiver:
		s.reset(st, &core.StreamError{Remote: true})
		if !k.ours {
			return s.resets.add()
		}
		return nil
	}
	return s.message(st, f.length)
}

// opened makes the stream that the remote opens, or refuses it.
func (s *session) opened(k key) error {
	s.mu.Lock()
	_, exists := s.streams[k]
	full := s.inbound >= s.muxer.MaxIncomingStreams
	s.mu.Unlock()
	if exists {
		return &violation{fmt.Sprintf("stream %d is opened twice", k.id)}
	}
	if full {
		return s.refuse(k)
	}
	st, err := s.newStream(k)
	if err != nil {
		return s.refuse(k)
	}
	select {
	case s.accepts <- st:
		return nil
	default:
	}
	s.settle(st, readDone|writeDone)
	return s.refuse(k)
}

// refuse resets a stream that was never there.
func (s *session) refuse(k key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.control(frame{id: k.id, flag: flagResetReceiver}) {
		return errNotReading
	}
	return nil
}

// message reads the data of a message into the stream's buffer. A stream that
// does not take it is reset.
func (s *session) message(st *stream, n int) error {
	if n == 0 || !st.mayReceive() {
		// Nobody sends nothing, or sends after the end, but by a slip.
		if err := s.abuses.add(); err != nil {
			return err
		}
	}
	for n > 0 {
		b, err := st.space(n)
		if err != nil {
			s.reset(st, &core.StreamError{Code: core.StreamLimitExceeded, Cause: err})
		}
		if b == nil {
			return s.discard(n)
		}
		got, err := s.readSome(b[:min(n, len(b))])
		st.commit(got)
		if err != nil {
			return err
		}
		n -= got
	}
	return nil
}

// readSome reads at least a byte of a message, or fails.
func (s *session) readSome(b []byte) (int, error) {
	for range maxEmptyReads {
		n, err := s.in.Read(b)
		if n > 0 {
			return n, nil // if there is an error, it comes again
		}
		if err == io.EOF {
			return 0, io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}

// discard skips the data of a frame.
func (s *session) discard(n int) error {
	_, err := s.in.Discard(n)
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
