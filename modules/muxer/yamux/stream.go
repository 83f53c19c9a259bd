// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-yamux/v4"

	"github.com/xnode-p2p/xnode/core"
)

// Which side reset a stream.
const (
	byLocal uint8 = iota + 1
	byRemote
)

// Errors of operations on a side of a stream that was closed here.
var (
	errReadClosed  = fmt.Errorf("read from a closed stream: %w", net.ErrClosed)
	errWriteClosed = fmt.Errorf("write to a closed stream: %w", net.ErrClosed)
)

// stream is one stream: what the ledger knows of it, and the library's stream.
type stream struct {
	id uint32

	// Guarded by the ledger's lock.
	window    uint32        // what the remote may send
	size      uint32        // what it may send ahead of the reader
	credit    uint32        // what may be sent to it
	smalls    uint32        // small frames since mark
	mark      uint64        // what had come when smalls was last 0
	arrived   uint64        // how much data came
	epoch     time.Duration // when the window was full at last, in the time of the session
	paid      uint32        // how many blocks of small frames there is memory for
	code      core.StreamCode
	reset     uint8 // byLocal, byRemote, or 0
	handed    bool  // the node has it
	announced bool  // the remote knows that this side has it
	acked     bool  // the remote has accepted it
	gotFIN    bool  // the remote sends no more
	sentFIN   bool  // this side sends no more
	sentRST   bool  // this side has reset it, and said so
	readDone  bool  // nobody will read from it any more
	lingers   bool  // it is over here and the remote may still send

	read atomic.Uint64 // how much data was read
	due  atomic.Uint64 // when it is as much, the remote may get credit

	account core.StreamMemory // nil if there is nothing to charge

	// Set when the stream is handed out.
	library *yamux.Stream
	session *session

	// The library mistakes two writers at once for less data than it is, and
	// wakes one of several readers when there is something for all of them.
	writing, reading turn
}

// newStream returns the record of a stream, which from then on has the account.
func newStream(id uint32, account core.StreamMemory) *stream {
	st := &stream{id: id, window: initialWindow, size: initialWindow, credit: initialWindow, account: account}
	st.due.Store(initialWindow / 2)
	return st
}

// refuse resets a stream for which there is no memory.
func (s *stream) refuse() {
	s.reset, s.code, s.sentRST = byLocal, core.StreamLimitExceeded, true
}

// release gives back the memory that is charged to the stream.
func (s *stream) release() {
	if s.account != nil {
		s.account.Done()
	}
}

// localDone reports whether this side neither reads nor writes any more.
func (s *stream) localDone() bool { return s.sentFIN && s.readDone }

// Read implements [core.MuxedStream].
func (s *stream) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		s.reading.take()
		n, err := s.library.Read(b)
		s.reading.give()
		if n > 0 {
			// An error that comes with data is about credit, which is not
			// the library's concern. The next Read finds what it was.
			if s.read.Add(uint64(n)) >= s.due.Load() {
				s.session.guard.refill(s)
			}
			return n, nil
		}
		switch err {
		case nil:
		case io.EOF:
			s.session.guard.finishRead(s)
			return 0, io.EOF
		default:
			return 0, s.explain(err, errReadClosed)
		}
	}
}

// Write implements [core.MuxedStream].
func (s *stream) Write(b []byte) (int, error) {
	s.writing.take()
	defer s.writing.give()
	n, err := s.library.Write(b)
	if err != nil {
		return n, s.explain(err, errWriteClosed)
	}
	return n, nil
}

// CloseWrite implements [core.MuxedStream].
func (s *stream) CloseWrite() error {
	if err := s.library.CloseWrite(); err != nil {
		return s.explain(err, errWriteClosed)
	}
	return nil
}

// CloseRead implements [core.MuxedStream]. The remote is not told: yamux cannot.
func (s *stream) CloseRead() error {
	s.session.guard.finishRead(s) // first, for readers who ask why they fail
	return s.library.CloseRead()  // always nil
}

// Close implements [core.MuxedStream].
func (s *stream) Close() error {
	return firstError(s.CloseRead(), s.CloseWrite())
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// Reset implements [core.MuxedStream].
func (s *stream) Reset(code core.StreamCode) error {
	s.session.guard.resetting(s, code) // first, as in CloseRead
	err := s.library.Reset()           // always nil
	s.session.guard.finishRead(s)
	return err
}

// Memory implements [core.Accounted].
func (s *stream) Memory() core.StreamMemory { return s.account }

// SetDeadline implements [core.MuxedStream].
func (s *stream) SetDeadline(t time.Time) error { return s.library.SetDeadline(t) }

// SetReadDeadline implements [core.MuxedStream].
func (s *stream) SetReadDeadline(t time.Time) error { return s.library.SetReadDeadline(t) }

// SetWriteDeadline implements [core.MuxedStream].
func (s *stream) SetWriteDeadline(t time.Time) error { return s.library.SetWriteDeadline(t) }

// explain says in the terms of core what the library's error means; closed is
// what it means if this side was closed here.
func (s *stream) explain(err, closed error) error {
	switch err {
	case yamux.ErrTimeout:
		return os.ErrDeadlineExceeded
	case yamux.ErrStreamClosed:
		return closed
	case yamux.ErrStreamReset:
		// The library says this of streams that were reset, whose reading
		// side was closed, and whose connection ended.
		reset, code, readDone := s.session.guard.fate(s)
		switch {
		case reset != 0:
			return &core.StreamError{Code: code, Remote: reset == byRemote}
		case s.session.library.IsClosed():
		case readDone:
			return closed
		}
	}
	return s.session.ended(err)
}

var (
	_ core.MuxedStream = (*stream)(nil)
	_ core.Accounted   = (*stream)(nil)
)
