// SPDX-License-Identifier: Apache-2.0 OR MIT

package webtransport

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/quic-go/webtransport-go"

	"github.com/xnode-p2p/xnode/core"
)

// stream is a stream of a session. What it buffers is bounded by the windows of
// the QUIC connection, which the connection's account pays for.
type stream struct {
	conn *conn
	wt   *webtransport.Stream

	reset      atomic.Pointer[core.StreamError] // by this side
	writeEnded atomic.Bool                      // by this side, without a reset
}

// Read implements [core.MuxedStream].
func (s *stream) Read(p []byte) (int, error) {
	n, err := s.wt.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	return n, s.explain(err)
}

// Write implements [core.MuxedStream].
func (s *stream) Write(p []byte) (int, error) {
	n, err := s.wt.Write(p)
	if err == nil {
		return n, nil
	}
	return n, s.explain(err)
}

// explain makes an error of the library one of [core.MuxedStream].
func (s *stream) explain(err error) error {
	if r := s.reset.Load(); r != nil {
		return r
	}
	if remote, ok := errors.AsType[*webtransport.StreamError](err); ok {
		return &core.StreamError{Code: core.StreamCode(remote.ErrorCode), Remote: remote.Remote}
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case s.conn.ended(err):
		return s.conn.end()
	case s.writeEnded.Load():
		return &net.OpError{Op: "write", Net: "webtransport", Err: net.ErrClosed}
	}
	// The remote has ended the stream with a code that stands for none of
	// WebTransport's.
	return &core.StreamError{Remote: true, Cause: err}
}

// CloseWrite implements [core.MuxedStream].
func (s *stream) CloseWrite() error {
	if s.writeEnded.Swap(true) {
		return nil
	}
	if err := s.wt.Close(); err != nil {
		return s.explain(err)
	}
	return nil
}

// CloseRead implements [core.MuxedStream]. The remote is told to stop sending.
func (s *stream) CloseRead() error {
	s.wt.CancelRead(webtransport.StreamErrorCode(core.StreamNoError))
	return nil
}

// Close implements [core.MuxedStream].
func (s *stream) Close() error {
	s.writeEnded.Store(true)
	_ = s.wt.Close() // fails if the remote wants no more, and then it is closed
	return s.CloseRead()
}

// Reset implements [core.MuxedStream].
func (s *stream) Reset(code core.StreamCode) error {
	s.reset.CompareAndSwap(nil, &core.StreamError{Code: code})
	// A remote that ends a stream as if the session had ended makes reads and
	// writes wait for just that; a deadline wakes them up.
	_ = s.wt.SetDeadline(time.Unix(1, 0))
	s.wt.CancelRead(webtransport.StreamErrorCode(code))
	s.wt.CancelWrite(webtransport.StreamErrorCode(code))
	return nil
}

// SetDeadline implements [core.MuxedStream].
func (s *stream) SetDeadline(t time.Time) error { return s.wt.SetDeadline(t) }

// SetReadDeadline implements [core.MuxedStream].
func (s *stream) SetReadDeadline(t time.Time) error { return s.wt.SetReadDeadline(t) }

// SetWriteDeadline implements [core.MuxedStream].
func (s *stream) SetWriteDeadline(t time.Time) error { return s.wt.SetWriteDeadline(t) }

var _ core.MuxedStream = (*stream)(nil)
