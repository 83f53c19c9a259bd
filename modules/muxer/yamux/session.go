// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/libp2p/go-yamux/v4"

	"github.com/xnode-p2p/xnode/core"
)

// Why a connection ended, where the library's words would mislead: its own
// errors are timeouts, and io.EOF is the end of a stream.
var (
	errNoAnswer       = errors.New("the remote gives no sign of life")
	errNotReading     = errors.New("the remote does not read")
	errRemoteInternal = errors.New("internal error of the remote")
	errRemoteParting  = errors.New("the remote accepts no more streams")
)

// session is a connection with its streams.
type session struct {
	library *yamux.Session
	guard   *guard

	closing atomic.Bool
	local   atomic.Bool // closing is what ended the session
	ending  sync.Once
	end     *core.ConnError
}

// OpenStream implements [core.Session].
func (s *session) OpenStream(ctx context.Context) (core.MuxedStream, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// Before the library, which would lose a place in its backlog.
	if err := s.guard.prepare(); err != nil {
		return nil, err
	}
	library, err := s.library.OpenStream(ctx)
	if err != nil {
		s.guard.abandon()
		return nil, s.explainOpen(ctx, err)
	}
	st := s.guard.opened(library.StreamID())
	if st == nil {
		return nil, s.ended(err)
	}
	st.library, st.session = library, s
	return st, nil
}

func (s *session) explainOpen(ctx context.Context, err error) error {
	switch err {
	case yamux.ErrRemoteGoAway:
		return &core.ConnError{Remote: true, Cause: errRemoteParting}
	case yamux.ErrStreamsExhausted:
		return &core.ConnError{Cause: err}
	}
	if !s.library.IsClosed() && ctx.Err() != nil {
		return ctx.Err()
	}
	return s.ended(err)
}

// AcceptStream implements [core.Session]. Streams that the remote has reset
// meanwhile are passed over.
func (s *session) AcceptStream() (core.MuxedStream, error) {
	for {
		library, err := s.library.AcceptStream()
		if err != nil {
			return nil, s.ended(err)
		}
		if st := s.guard.accept(library.StreamID()); st != nil {
			st.library, st.session = library, s
			return st, nil
		}
	}
}

// Close implements [core.Session].
func (s *session) Close() error { return s.CloseWithCode(core.ConnNoError) }

// CloseWithCode implements [core.Session]. What was written before goes out
// first if that takes less than partingTime.
func (s *session) CloseWithCode(code core.ConnCode) error {
	if !s.closing.CompareAndSwap(false, true) {
		<-s.library.CloseChan()
		return s.library.Close() // which waits for the first to be done
	}
	s.local.Store(!s.library.IsClosed())
	s.guard.parting.Store(uint32(code))
	patience := time.AfterFunc(partingTime, func() { _ = s.library.Close() })
	defer patience.Stop()
	// The library's GoAway waits its turn behind the data.
	if s.library.GoAway() == nil {
		select {
		case <-s.guard.gone:
		case <-s.library.CloseChan():
		}
	}
	return s.library.Close()
}

// Done implements [core.Session].
func (s *session) Done() <-chan struct{} { return s.library.CloseChan() }

// ended says why the session ended, which an operation found out by err.
func (s *session) ended(err error) error {
	if !s.library.IsClosed() {
		return &core.ConnError{Cause: err}
	}
	s.ending.Do(func() {
		// A closed session answers everything with the reason.
		s.end = s.explainEnd(s.library.GoAway())
	})
	return s.end
}

func (s *session) explainEnd(err error) *core.ConnError {
	var known *core.ConnError
	switch {
	case s.local.Load():
		// The remote may have been faster to end the connection.
		return &core.ConnError{Code: core.ConnCode(s.guard.parting.Load())}
	case errors.As(err, &known):
		return known
	case err == yamux.ErrKeepAliveTimeout:
		return &core.ConnError{Cause: errNoAnswer}
	case err == yamux.ErrConnectionWriteTimeout:
		return &core.ConnError{Cause: errNotReading}
	case err == io.EOF:
		return &core.ConnError{Remote: true}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return &core.ConnError{Remote: true, Cause: err}
	}
	return &core.ConnError{Cause: err}
}

var _ core.Session = (*session)(nil)
