// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcstream

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/sctp"

	"github.com/xnode-p2p/xnode/core"
)

const (
	// initialSend is how much of a stream may be sent and not yet
	// acknowledged, in bytes, until its writer has shown to be fast.
	initialSend = 32 << 10
	// maxSend is how far that may grow, and sendStep in what steps.
	maxSend  = 1 << 20
	sendStep = 64 << 10
	// initialMemory is what a stream takes from its account: what it may
	// send, and the message that waits to be read.
	initialMemory = initialSend + maxFrame
	// lingerTime is how long a stream that is closed here waits for the remote
	// to confirm that it has everything, and to close the channel.
	lingerTime = 10 * time.Second
)

// Errors of operations on a side of a stream that was closed here, and of those
// on a channel that is no more.
var (
	errReadClosed  = fmt.Errorf("read from a closed stream: %w", net.ErrClosed)
	errWriteClosed = fmt.Errorf("write to a closed stream: %w", net.ErrClosed)

	errChannelClosed = errors.New("the channel is closed")
)

// Stream is one stream. It implements [core.MuxedStream].
type Stream struct {
	session *Session
	channel *sctp.Stream
	account core.StreamMemory
	id      uint16
	inbound bool
	refused bool // it is one too many
	left    bool // it is over; guarded by the session's lock
	ignored atomic.Bool

	writing sync.Mutex // held by who writes data; taken before sending
	sending sync.Mutex // held while a frame is written; taken before mu

	mu       sync.Mutex // never held in calls of channel that lock the association
	readable sync.Cond  // for readers
	drained  sync.Cond  // for the pump, which has given a chunk to the readers
	writable sync.Cond  // for the writer

	chunk    []byte // what has arrived and is not read; a part of the pump's buffer
	readErr  error  // what reads return once there is no chunk; io.EOF after a FIN
	readLine deadline

	writeErr  error // what writes return
	limit     int   // how much may be sent and not yet acknowledged
	acked     bool  // the remote has everything, or wants no more
	writeLine deadline

	sentFIN bool
	over    bool        // nothing is to be read or confirmed any more
	linger  *time.Timer // runs once this side is closed

	small [64]byte // what the pump reads short messages into
}

func newStream(s *Session, id uint16, channel *sctp.Stream) *Stream {
	st := &Stream{session: s, id: id, channel: channel, account: s.config.Memory.Stream(), limit: initialSend}
	st.readable.L, st.drained.L, st.writable.L = &st.mu, &st.mu, &st.mu
	channel.SetBufferedAmountLowThreshold(initialSend / 2)
	channel.OnBufferedAmountLow(st.wakeWriter)
	return st
}

func (st *Stream) wakeWriter() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.writable.Broadcast()
}

func (st *Stream) wakeReader() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.readable.Broadcast()
}

// Memory implements [core.Accounted].
func (st *Stream) Memory() core.StreamMemory { return st.account }

// CloseWrite implements [core.MuxedStream].
func (st *Stream) CloseWrite() error {
	st.mu.Lock()
	if st.writeErr != nil {
		st.mu.Unlock()
		return nil
	}
	st.writeErr = errWriteClosed
	st.sentFIN = true
	st.writable.Broadcast()
	st.mu.Unlock()

	st.writing.Lock() // a Write that is under way ends first
	defer st.writing.Unlock()
	err := st.tell(frame{flag: flagFIN})
	st.settle()
	return err
}

// CloseRead implements [core.MuxedStream].
func (st *Stream) CloseRead() error {
	if !st.endRead(errReadClosed) {
		return nil
	}
	err := st.tell(frame{flag: flagStopSending})
	st.settle()
	return err
}

// endRead makes reads fail with err from now on. It returns false if the remote
// has nothing more to send.
func (st *Stream) endRead(err error) (more bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	more = st.readErr == nil
	if more || st.chunk != nil {
		st.readErr = err
	}
	st.chunk = nil
	st.readable.Broadcast()
	st.drained.Broadcast()
	return more
}

// Close implements [core.MuxedStream].
func (st *Stream) Close() error {
	err := st.CloseWrite()
	if e := st.CloseRead(); err == nil {
		err = e
	}
	return err
}

// Reset implements [core.MuxedStream].
func (st *Stream) Reset(code core.StreamCode) error {
	if !st.abandon(&core.StreamError{Code: code}) {
		return nil
	}
	// The first ends what is sent here and the second what the remote sends;
	// not all take the first for both.
	_ = st.send(frame{flag: flagReset, code: code})
	_ = st.send(frame{flag: flagStopSending, code: code})
	st.settle()
	return nil
}

// abandon ends both sides. It returns false if there is nothing to end.
func (st *Stream) abandon(why *core.StreamError) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.over {
		return false
	}
	st.readErr, st.writeErr = why, why
	st.chunk = nil
	st.acked = true
	st.broadcast()
	return true
}

// broadcast wakes everybody up; the lock is held.
func (st *Stream) broadcast() {
	st.readable.Broadcast()
	st.drained.Broadcast()
	st.writable.Broadcast()
}

// fail ends the stream with its session.
func (st *Stream) fail(why error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.over = true
	st.readErr, st.writeErr = why, why
	st.chunk = nil
	st.readLine.stop()
	st.writeLine.stop()
	st.broadcast()
}

// SetDeadline implements [core.MuxedStream].
func (st *Stream) SetDeadline(t time.Time) error {
	_ = st.SetReadDeadline(t) // always nil
	return st.SetWriteDeadline(t)
}

// SetReadDeadline implements [core.MuxedStream].
func (st *Stream) SetReadDeadline(t time.Time) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.readLine.set(t, st.wakeReader)
	st.readable.Broadcast()
	return nil
}

// SetWriteDeadline implements [core.MuxedStream].
func (st *Stream) SetWriteDeadline(t time.Time) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.writeLine.set(t, st.wakeWriter)
	st.writable.Broadcast()
	return nil
}

var (
	_ core.MuxedStream = (*Stream)(nil)
	_ core.Accounted   = (*Stream)(nil)
)

// Ignore is for the handshake channel, once the handshake is over: what still
// comes on it is dropped, and it is closed when the remote wants that.
func (st *Stream) Ignore() {
	st.ignored.Store(true)
	st.endRead(errReadClosed)
}
