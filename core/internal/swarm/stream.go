// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/limits"
	"github.com/xnode-p2p/xnode/core/internal/multistream"
	"github.com/xnode-p2p/xnode/core/wire"
)

// negotiationTimeout bounds the agreement on a protocol of an inbound stream,
// and of an outbound one whose context has no deadline.
const negotiationTimeout = 10 * time.Second

// maxLogged bounds what the log shows of a protocol's name, in bytes.
const maxLogged = 256

// Stream is a stream in a connection's list.
type Stream struct {
	muxed       core.MuxedStream
	negotiation multistream.Stream
	conn        *Conn
	direction   core.Direction
	protocol    string // to be read once agreed is true
	agreed      atomic.Bool
	scope       limits.Stream
	ended       atomic.Bool

	prev, next *Stream // in the connection's list
	wait       waiting // in the reaper's list
}

// charge has the stream's memory counted with its protocol.
func (st *Stream) charge() {
	if a, ok := st.muxed.(core.Accounted); ok {
		st.scope.Charge(a.Memory())
	}
}

// dial agrees on one of protocols. If the peer is known to speak one of them,
// or there is only one and nothing is known, the answer is awaited with the
// first read.
func (st *Stream) dial(ctx context.Context, protocols []string) error {
	offer := protocols
	book, p := st.conn.swarm.Book, st.conn.RemotePeer()
	known, ok := book.SupportsProtocol(p, protocols...)
	switch {
	case ok:
		i := slices.Index(protocols, known)
		offer = protocols[i : i+1]
	case len(protocols) == 1 && len(book.PeerProtocols(p)) > 0:
		return st.dialAndWait(ctx, protocols)
	}
	if len(offer) != 1 {
		return st.dialAndWait(ctx, offer)
	}
	name, err := st.negotiation.Dial(st.muxed, offer)
	if err != nil {
		return err
	}
	st.agree(name)
	return st.scope.SetProtocol(name, 0)
}

// agree sets the protocol.
func (st *Stream) agree(protocol string) {
	st.protocol = protocol
	st.agreed.Store(true)
}

// dialAndWait agrees on a protocol before it returns.
func (st *Stream) dialAndWait(ctx context.Context, protocols []string) error {
	limit := time.Now().Add(negotiationTimeout)
	if deadline, ok := ctx.Deadline(); !ok || limit.Before(deadline) {
		st.muxed.SetDeadline(limit)
	}
	stop := context.AfterFunc(ctx, func() { st.muxed.SetDeadline(time.Unix(1, 0)) })
	name, err := st.negotiation.Dial(st.muxed, protocols)
	if err == nil {
		err = st.negotiation.Confirm()
	}
	if !stop() {
		return fmt.Errorf("negotiate %v: %w", protocols, context.Cause(ctx))
	}
	if err != nil {
		return err
	}
	st.muxed.SetDeadline(time.Time{})
	st.agree(name)
	return st.scope.SetProtocol(name, 0)
}

// serve runs an inbound stream: it agrees on a protocol and calls its handler.
// It stays counted until that has returned, whatever the remote does meanwhile.
func (st *Stream) serve() {
	defer st.scope.Done()
	s := st.conn.swarm
	s.reaper.watch(st)
	var reg *registration
	name, err := st.negotiation.Accept(st.muxed, func(p string) bool {
		reg = s.handlers.find(p)
		return reg != nil
	})
	if inTime := s.reaper.unwatch(st); err != nil || !inTime {
		st.Reset(core.StreamNegotiationFailed)
		return
	}
	for !reg.enter(st) { // removed just now; it may have a successor
		if reg = s.handlers.find(name); reg == nil {
			st.Reset(core.StreamShutdown)
			return
		}
	}
	defer reg.leave(st)
	if st.conn.stat.Limited && !reg.options.Limited {
		st.Reset(core.StreamGated)
		return
	}
	st.agree(name)
	// Whatever name the remote has found, it is one protocol.
	if err := st.scope.SetProtocol(reg.protocol, reg.options.MaxStreamsPerPeer); err != nil {
		s.Log.Debug("stream refused", "peer", st.conn.RemotePeer(), "protocol", reg.protocol, "reason", err)
		st.Reset(core.StreamLimitExceeded)
		return
	}
	if err := st.call(reg.handler); err != nil {
		s.Log.Debug("handler", "peer", st.conn.RemotePeer(), "protocol", reg.protocol, "error", err)
		st.Reset(resetCode(err))
		return
	}
	st.Close()
}

// call runs the handler and turns a panic into an error.
func (st *Stream) call(h core.StreamHandler) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &panicError{r}
			st.conn.swarm.Log.Error("panic in a stream handler", "protocol", wire.Text(st.Protocol(), maxLogged),
				"peer", st.conn.RemotePeer(), "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		}
	}()
	return h(st)
}

type panicError struct{ value any }

// Error implements error.
func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// resetCode is the code that tells the remote why a handler gave up.
func resetCode(err error) core.StreamCode {
	var limit *core.LimitError
	if errors.As(err, &limit) {
		return core.StreamLimitExceeded
	}
	var reset *core.StreamError
	if errors.As(err, &reset) && !reset.Remote {
		return reset.Code
	}
	return core.StreamNoError
}

// Read implements [core.Stream].
func (st *Stream) Read(p []byte) (int, error) { return st.negotiation.Read(p) }

// Write implements [core.Stream].
func (st *Stream) Write(p []byte) (int, error) { return st.negotiation.Write(p) }

// CloseWrite implements [core.Stream].
func (st *Stream) CloseWrite() error {
	return errors.Join(st.negotiation.Flush(), st.muxed.CloseWrite())
}

// CloseRead implements [core.Stream].
func (st *Stream) CloseRead() error { return st.muxed.CloseRead() }

// Close implements [core.Stream].
func (st *Stream) Close() error {
	err := st.negotiation.Flush()
	if err != nil {
		st.muxed.Reset(core.StreamNoError)
	} else {
		err = st.muxed.Close()
	}
	st.end()
	return err
}

// Reset implements [core.Stream].
func (st *Stream) Reset(code core.StreamCode) error {
	err := st.muxed.Reset(code)
	st.end()
	return err
}

// end takes the stream off the connection's list and gives back what it takes,
// unless it is being served: then that is for [Stream.serve] to do. Only the
// first call does anything.
func (st *Stream) end() {
	if st.ended.Swap(true) {
		return
	}
	st.conn.unlink(st)
	if st.direction == core.Outbound {
		st.scope.Done()
	}
}

// SetDeadline implements [core.Stream].
func (st *Stream) SetDeadline(t time.Time) error { return st.muxed.SetDeadline(t) }

// SetReadDeadline implements [core.Stream].
func (st *Stream) SetReadDeadline(t time.Time) error { return st.muxed.SetReadDeadline(t) }

// SetWriteDeadline implements [core.Stream].
func (st *Stream) SetWriteDeadline(t time.Time) error { return st.muxed.SetWriteDeadline(t) }

// Protocol implements [core.Stream].
func (st *Stream) Protocol() string {
	if !st.agreed.Load() {
		return ""
	}
	return st.protocol
}

// Conn implements [core.Stream].
func (st *Stream) Conn() core.Conn { return st.conn }

// Direction implements [core.Stream].
func (st *Stream) Direction() core.Direction { return st.direction }

var _ core.Stream = (*Stream)(nil)
