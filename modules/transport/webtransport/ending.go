// SPDX-License-Identifier: Apache-2.0 OR MIT

package webtransport

import (
	"context"
	"errors"
	"math"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"

	"github.com/xnode-p2p/xnode/core"
)

// firstConnCode is the lowest of libp2p's codes for connections. Those of
// HTTP/3, with which they share the QUIC connection, are below.
const firstConnCode = 0x1000

// closeQUIC ends a QUIC connection with a code of libp2p. It returns when
// nothing of the connection runs, and does nothing if that is so already.
func closeQUIC(c *quic.Conn, code core.ConnCode) {
	q := quic.ApplicationErrorCode(http3.ErrCodeNoError)
	if code >= firstConnCode {
		q = quic.ApplicationErrorCode(code)
	}
	_ = c.CloseWithError(q, "")
}

// sessionEnd is why a session has ended; it has.
func sessionEnd(s *webtransport.Session) error {
	_, err := s.AcceptStream(context.Background())
	return err
}

// localCode is the code with which this side has ended a session; none if it
// has not.
func localCode(session error) core.ConnCode {
	if e, ok := errors.AsType[*webtransport.SessionError](session); ok && !e.Remote {
		return core.ConnCode(e.ErrorCode)
	}
	return core.ConnNoError
}

// connEnd is why a connection has ended: its session with one error, then its
// QUIC connection with another.
func connEnd(session, quicConn error) *core.ConnError {
	if e, ok := errors.AsType[*webtransport.SessionError](session); ok {
		return &core.ConnError{Code: core.ConnCode(e.ErrorCode), Remote: e.Remote}
	}
	e, ok := errors.AsType[*quic.ApplicationError](quicConn)
	switch {
	case !ok: // it has timed out, or was broken
		return &core.ConnError{Cause: quicConn}
	case !e.Remote: // it was closed because the session had ended in its own way
		return &core.ConnError{Remote: true, Cause: session}
	case e.ErrorCode >= firstConnCode && e.ErrorCode <= math.MaxUint32:
		return &core.ConnError{Code: core.ConnCode(e.ErrorCode), Remote: true}
	case e.ErrorCode == quic.ApplicationErrorCode(http3.ErrCodeNoError):
		return &core.ConnError{Remote: true}
	}
	return &core.ConnError{Remote: true, Cause: e}
}
