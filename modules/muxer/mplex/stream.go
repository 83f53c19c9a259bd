// SPDX-License-Identifier: Apache-2.0 OR MIT

package mplex

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

// Errors of operations on a side of a stream that was closed here.
var (
	errReadClosed  = fmt.Errorf("read from a closed stream: %w", net.ErrClosed)
	errWriteClosed = fmt.Errorf("write to a closed stream: %w", net.ErrClosed)
)

// errOverflow is why a stream is reset whose reader does not keep up.
var errOverflow = errors.New("the remote sends more than is read, and the buffer is full")

// What is done with a stream here.
const (
	readDone uint8 = 1 << iota
	writeDone
)

// Data beyond eagerUnread waits for its reader only while the memory of the
// node is less than half full.
const (
	eagerUnread    = 256 << 10
	eagerPriority  = 255
	patientHalfway = 127
)

// stream is one stream.
type stream struct {
	session *session
	key     key
	account core.StreamMemory

	// Guarded by the session's lock.
	done          uint8 // readDone, writeDone
	announced     bool  // the remote knows of it, or need not any more
	writing       bool  // a writer is at work
	sentClose     bool
	sentReset     bool
	writeErr      error // what writes fail with
	writeDeadline time.Time

	mu           sync.Mutex
	changed      sync.Cond // waited on by readers, and by the receiver for room
	first, last  *chunk    // what was received and not read
	held         int       // how much memory the chunks have; bounded by max_unread
	filling      *chunk    // the last chunk while the receiver reads into it
	gotClose     bool      // the remote sends no more
	dropped      error     // what reads fail with at once
	over         error     // what reads fail with after all is read
	readDeadline time.Time
}

func newStream(s *session, k key, account core.StreamMemory) *stream {
	st := &stream{session: s, key: k, account: account, announced: !k.ours}
	st.changed.L = &st.mu
	return st
}

// flag returns the flag for this side of the stream; receiver is that of the
// other one.
func (st *stream) flag(receiver byte) byte {
	if st.key.ours {
		return receiver + 1
	}
	return receiver
}

// Memory implements [core.Accounted].
func (st *stream) Memory() core.StreamMemory { return st.account }

// Read implements [core.MuxedStream].
func (st *stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := st.read(p)
	if err == io.EOF {
		st.session.settle(st, readDone)
	}
	return n, err
}

func (st *stream) read(p []byte) (int, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for announced := false; ; {
		switch {
		case st.dropped != nil:
			return 0, st.dropped
		case passed(st.readDeadline):
			return 0, os.ErrDeadlineExceeded
		}
		if n := st.take(p); n > 0 {
			return n, nil
		}
		switch {
		case st.gotClose:
			return 0, io.EOF
		case st.over != nil:
			return 0, st.over
		case st.key.ours && !announced:
			// Nothing comes on a stream that the remote does not know.
			st.mu.Unlock()
			st.open()
			st.mu.Lock()
			announced = true
			continue
		}
		wait(&st.changed, st.readDeadline)
	}
}

// open tells the remote of the stream.
func (st *stream) open() {
	s := st.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.writeErr == nil && s.end == nil && s.broken == nil {
		s.announce(st, 0)
	}
}

// Write implements [core.MuxedStream].
func (st *stream) Write(p []byte) (int, error) { return st.session.write(st, p) }

// CloseWrite implements [core.MuxedStream].
func (st *stream) CloseWrite() error {
	s := st.session
	s.mu.Lock()
	switch {
	case st.sentClose:
		s.mu.Unlock()
		return nil
	case st.writeErr != nil:
		defer s.mu.Unlock()
		return st.writeErr
	case s.end != nil || s.broken != nil:
		defer s.mu.Unlock()
		return s.writeErr(st)
	}
	st.sentClose, st.writeErr = true, errWriteClosed
	s.announce(st, maxHeader)
	heard := s.control(frame{id: st.key.id, flag: st.flag(flagCloseReceiver)})
	s.wakeWriters()
	s.mu.Unlock()
	if !heard {
		_ = s.finish(&core.ConnError{Cause: errNotReading})
	}
	s.settle(st, writeDone)
	return nil
}

// CloseRead implements [core.MuxedStream]. The remote is not told: mplex cannot.
func (st *stream) CloseRead() error {
	st.drop(errReadClosed)
	st.session.settle(st, readDone)
	return nil
}

// Close implements [core.MuxedStream].
func (st *stream) Close() error {
	return errors.Join(st.CloseRead(), st.CloseWrite())
}

// Reset implements [core.MuxedStream]. The remote does not learn the code.
func (st *stream) Reset(code core.StreamCode) error {
	st.session.reset(st, &core.StreamError{Code: code})
	return nil
}

// reset ends a stream that is not over yet.
func (s *session) reset(st *stream, why *core.StreamError) {
	gotClose := st.closedByRemote()
	s.mu.Lock()
	if st.sentReset || st.done == readDone|writeDone || s.end != nil {
		s.mu.Unlock()
		st.drop(why) // which counts if nothing did before
		s.settle(st, readDone|writeDone)
		return
	}
	st.sentReset, st.writeErr = true, why
	heard := true
	// The remote has forgotten a stream that both sides have closed.
	if st.announced && !why.Remote && !(gotClose && st.sentClose) {
		heard = s.control(frame{id: st.key.id, flag: st.flag(flagResetReceiver)})
	}
	st.announced = true
	s.wakeWriters()
	s.mu.Unlock()
	st.drop(why)
	s.settle(st, readDone|writeDone)
	if !heard {
		_ = s.finish(&core.ConnError{Cause: errNotReading})
	}
}

// isReset reports whether the stream was reset.
func (st *stream) isReset() bool {
	st.session.mu.Lock()
	defer st.session.mu.Unlock()
	return st.sentReset
}

// SetDeadline implements [core.MuxedStream].
func (st *stream) SetDeadline(t time.Time) error {
	return errors.Join(st.SetReadDeadline(t), st.SetWriteDeadline(t))
}

// SetReadDeadline implements [core.MuxedStream].
func (st *stream) SetReadDeadline(t time.Time) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.readDeadline = t
	st.changed.Broadcast()
	return nil
}

// SetWriteDeadline implements [core.MuxedStream].
func (st *stream) SetWriteDeadline(t time.Time) error {
	st.session.mu.Lock()
	defer st.session.mu.Unlock()
	st.writeDeadline = t
	st.session.wakeWriters()
	return nil
}

var (
	_ core.MuxedStream = (*stream)(nil)
	_ core.Accounted   = (*stream)(nil)
)
