// SPDX-License-Identifier: Apache-2.0 OR MIT

package quic

import (
	"errors"
	"io"
	"math"
	"os"
	"sync/atomic"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"github.com/xnode-p2p/xnode/core"
)

// stream is a stream of a connection. What it buffers is bounded by the windows
// of the connection, whose account pays for it.
type stream struct {
	quic *quicgo.Stream

	// reset is the end of both directions, by whoever it was; nil until then.
	reset atomic.Pointer[core.StreamError]
}

// Read implements [core.MuxedStream].
func (s *stream) Read(b []byte) (int, error) {
	n, err := s.quic.Read(b)
	if err == nil || err == io.EOF {
		return n, err
	}
	return n, s.explain(err, errReadClosed, true)
}

// Write implements [core.MuxedStream].
func (s *stream) Write(b []byte) (int, error) {
	// That the remote has reset the stream arrives in two parts, one for each
	// direction. Who has read of it must not be able to write.
	if r := s.reset.Load(); r != nil {
		return 0, r
	}
	n, err := s.quic.Write(b)
	if err != nil {
		return n, s.explain(err, errWriteClosed, false)
	}
	return n, nil
}

// explain says in the terms of core what the library's error means; closed is
// what it means if this side was closed here. A remote that ends its sending has
// reset the stream, whereas one that only wants no more may send on.
func (s *stream) explain(err, closed error, reading bool) error {
	if e, ok := errors.AsType[*quicgo.StreamError](err); ok {
		if !e.Remote {
			if r := s.reset.Load(); r != nil {
				return r
			}
			return closed
		}
		r := &core.StreamError{Code: core.StreamCode(min(e.ErrorCode, math.MaxUint32)), Remote: true}
		if reading && !s.reset.CompareAndSwap(nil, r) {
			r = s.reset.Load()
		}
		return r
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded
	case err == quicgo.ErrStreamClosed:
		return closed
	}
	return ended(err)
}

// CloseWrite implements [core.MuxedStream].
func (s *stream) CloseWrite() error {
	if s.quic.Close() == nil {
		return nil
	}
	// It was reset, or the remote wants no more: a write tells.
	_, err := s.Write(nil)
	return err
}

// CloseRead implements [core.MuxedStream]. The remote is told to stop sending.
func (s *stream) CloseRead() error {
	s.quic.CancelRead(quicgo.StreamErrorCode(core.StreamNoError))
	return nil
}

// Close implements [core.MuxedStream].
func (s *stream) Close() error {
	_ = s.quic.Close() // fails if nobody wants what was written
	return s.CloseRead()
}

// Reset implements [core.MuxedStream].
func (s *stream) Reset(code core.StreamCode) error {
	s.reset.CompareAndSwap(nil, &core.StreamError{Code: code}) // first, for readers who ask why they fail
	s.quic.CancelRead(quicgo.StreamErrorCode(code))
	s.quic.CancelWrite(quicgo.StreamErrorCode(code))
	return nil
}

// SetDeadline implements [core.MuxedStream].
func (s *stream) SetDeadline(t time.Time) error { return s.quic.SetDeadline(t) }

// SetReadDeadline implements [core.MuxedStream].
func (s *stream) SetReadDeadline(t time.Time) error { return s.quic.SetReadDeadline(t) }

// SetWriteDeadline implements [core.MuxedStream].
func (s *stream) SetWriteDeadline(t time.Time) error { return s.quic.SetWriteDeadline(t) }

var _ core.MuxedStream = (*stream)(nil)
