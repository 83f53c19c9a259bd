// SPDX-License-Identifier: Apache-2.0 OR MIT

package quic

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"

	quicgo "github.com/quic-go/quic-go"

	"github.com/xnode-p2p/xnode/core"
)

// Why connections end without a word of either side. They are no timeouts of the
// operation that finds out, so that nobody tries it again.
var (
	errSilent = errors.New("the remote gives no sign of life")
	errLost   = errors.New("the remote does not know the connection any more")
)

// Errors of operations on a side of a stream that was closed here.
var (
	errReadClosed  = fmt.Errorf("read from a closed stream: %w", net.ErrClosed)
	errWriteClosed = fmt.Errorf("write to a closed stream: %w", net.ErrClosed)
)

// ended says in the terms of core why a connection is over. What the remote
// gives as a reason in words is left out.
func ended(err error) error {
	if e, ok := errors.AsType[*quicgo.ApplicationError](err); ok {
		return &core.ConnError{Code: core.ConnCode(min(e.ErrorCode, math.MaxUint32)), Remote: e.Remote}
	}
	if e, ok := errors.AsType[*quicgo.TransportError](err); ok {
		return &core.ConnError{Remote: e.Remote, Cause: transportError(e)}
	}
	if _, ok := errors.AsType[*quicgo.IdleTimeoutError](err); ok {
		return &core.ConnError{Cause: errSilent}
	}
	if _, ok := errors.AsType[*quicgo.StatelessResetError](err); ok {
		return &core.ConnError{Remote: true, Cause: errLost}
	}
	return &core.ConnError{Cause: err}
}

// transportError is what QUIC or TLS complained about.
func transportError(e *quicgo.TransportError) error {
	if !e.Remote {
		for _, inner := range e.Unwrap() {
			if inner != nil && inner != net.ErrClosed {
				return inner
			}
		}
		return e
	}
	text := e.ErrorCode.String()
	if m := e.ErrorCode.Message(); m != "" {
		text = m
	}
	return fmt.Errorf("the remote says: %s", text)
}

// dialError says why a dial has failed.
func dialError(err error) error {
	if e, ok := errors.AsType[*core.PeerMismatchError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*quicgo.TransportError](err); ok {
		if e.Remote && e.ErrorCode == quicgo.ConnectionRefused {
			return errors.New("refused by the remote")
		}
		return transportError(e)
	}
	_, handshake := errors.AsType[*quicgo.HandshakeTimeoutError](err)
	_, idle := errors.AsType[*quicgo.IdleTimeoutError](err)
	if handshake || idle {
		return fmt.Errorf("no answer: %w", os.ErrDeadlineExceeded)
	}
	if e, ok := errors.AsType[*quicgo.ApplicationError](err); ok {
		return ended(e)
	}
	return err
}
