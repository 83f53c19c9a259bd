// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

// partingTime is how long the end of a connection may take to tell the remote.
const partingTime = 250 * time.Millisecond

// maxOpened is how many streams one side can open on a connection.
const maxOpened = math.MaxUint32/2 - 1

// Why a connection ended, or has no more streams.
var (
	errNoAnswer       = errors.New("the remote gives no sign of life")
	errNotReading     = errors.New("the remote does not read")
	errRemoteInternal = errors.New("internal error of the remote")
	errRemoteParting  = errors.New("the remote accepts no more streams")
	errExhausted      = fmt.Errorf("%d streams were opened, and there are no more IDs", maxOpened)
)

// session is a connection with its streams. One goroutine reads from it; who
// has something to write does that itself, and for others on the way.
type session struct {
	muxer     *Muxer
	initiator bool // the local IDs are odd
	memory    core.ConnMemory
	begin     time.Time    // times of the session are since then
	heard     atomic.Int64 // when something came at last
	head      header       // of the frame that is read; the receiver's
	input
	done chan struct{} // closed at the end

	running sync.WaitGroup // the receiver, and who writes for it
	closing atomic.Bool
	hanging sync.Once
	timer   *time.Timer // the keepalive's

	mu  sync.Mutex
	end *core.ConnError // why it ended; nil while it lives
	output

	streams  map[uint32]*stream // bounded by max_incoming_streams, callers, and maxLingering
	theirs   idWindow           // the IDs the remote has used
	inbound  int                // how many streams of the remote are open
	backlog  queue              // those that are not accepted yet; bounded by accept_backlog
	incoming sync.Cond          // waited on by who accepts
	unacked  queue              // streams that were accepted and the remote does not know it; among those in streams
	acks     *time.Timer        // tells it; nil before it was needed
	acking   bool               // it runs

	ours        uint32    // the highest ID used here
	opened      uint32    // how many streams were opened here
	unannounced queue     // those that the remote does not know; bounded by callers
	unaccepted  int       // how many it has not accepted; bounded by accept_backlog
	openable    sync.Cond // waited on by who opens
	noMore      bool      // the remote accepts no more streams

	lingering ring // the IDs of streams that linger
	resets    meter
	abuses    meter
	rtt       roundTrip
	asked     time.Duration // when the remote was asked for a sign of life at last
}

func newSession(m *Muxer, conn net.Conn, initiator bool, memory core.ConnMemory) *session {
	s := &session{
		muxer:     m,
		initiator: initiator,
		memory:    memory,
		begin:     time.Now(),
		done:      make(chan struct{}),
	}
	s.incoming.L, s.openable.L = &s.mu, &s.mu
	s.input.init(conn)
	s.output.init(&s.mu)
	return s
}

// start begins to read.
func (s *session) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(time.Duration(s.muxer.Keepalive), s.checkLife)
	s.running.Go(s.receive)
}

// now is the time of the session.
func (s *session) now() time.Duration { return time.Since(s.begin) }

// OpenStream implements [core.Session]. The remote learns of the stream with
// the first frame on it: when something is written, the stream is closed, or a
// read has to wait.
func (s *session) OpenStream(ctx context.Context) (core.MuxedStream, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	account, err := newAccount(s.memory)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.awaitOpenable(ctx); err != nil {
		account.Done()
		return nil, err
	}
	st := newStream(s, account)
	st.epoch = s.now()
	s.opened++
	s.unaccepted++
	s.unannounced.push(st)
	return st, nil
}

// awaitOpenable waits until the remote has accepted enough of the streams that
// were opened before.
func (s *session) awaitOpenable(ctx context.Context) error {
	for first := true; ; first = false {
		switch {
		case s.end != nil:
			return s.end
		case s.noMore:
			return &core.ConnError{Remote: true, Cause: errRemoteParting}
		case s.opened == maxOpened:
			return &core.ConnError{Cause: errExhausted}
		case s.unaccepted < s.muxer.AcceptBacklog:
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if first {
			defer context.AfterFunc(ctx, func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.openable.Broadcast()
			})()
		}
		s.openable.Wait()
	}
}

// AcceptStream implements [core.Session]. Streams that the remote has reset
// meanwhile are passed over.
func (s *session) AcceptStream() (core.MuxedStream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.end == nil {
		if st := s.backlog.pop(); st != nil {
			st.epoch = s.now()
			s.ackSoon(st)
			return st, nil
		}
		s.incoming.Wait()
	}
	return nil, s.end
}

// Close implements [core.Session].
func (s *session) Close() error { return s.CloseWithCode(core.ConnNoError) }

// CloseWithCode implements [core.Session]. What was written before goes out
// first if that takes less than partingTime.
func (s *session) CloseWithCode(code core.ConnCode) error {
	var err error
	if s.closing.CompareAndSwap(false, true) {
		err = s.part(&core.ConnError{Code: code}, uint32(code))
	}
	<-s.done
	s.running.Wait()
	return err
}

// Done implements [core.Session].
func (s *session) Done() <-chan struct{} { return s.done }

// part ends the session, and tells the remote a reason.
func (s *session) part(why *core.ConnError, reason uint32) error {
	s.mu.Lock()
	if s.end != nil {
		s.mu.Unlock()
		return nil // and who ended it hangs up
	}
	s.conclude(why)
	s.post(newHeader(typeGoAway, 0, 0, reason))
	s.flushLater()
	s.awaitFlushed(partingTime)
	s.mu.Unlock()
	return s.hangUp()
}

// finish ends the session, which the connection cannot carry any more.
func (s *session) finish(why *core.ConnError) {
	s.mu.Lock()
	ended := s.end != nil
	if !ended {
		s.conclude(why)
	}
	s.mu.Unlock()
	if !ended {
		// What it ended by is the error that counts.
		_ = s.hangUp()
	}
}

// conclude ends the streams. The caller holds the lock, and hangs up.
func (s *session) conclude(why *core.ConnError) {
	s.end = why
	for _, st := range s.streams {
		st.sessionEnded()
	}
	for st := s.unannounced.pop(); st != nil; st = s.unannounced.pop() {
		st.sessionEnded()
	}
	s.streams = nil
	if s.acks != nil {
		s.acks.Stop()
	}
	s.incoming.Broadcast()
	s.openable.Broadcast()
	s.turns.Broadcast()
	s.drained.Broadcast()
}

// hangUp closes the connection.
func (s *session) hangUp() (err error) {
	s.hanging.Do(func() {
		s.timer.Stop()
		err = s.conn.Close()
		s.mu.Lock()
		s.giveUp(net.ErrClosed)
		s.mu.Unlock()
		close(s.done)
	})
	return err
}

// explainEnd says what an error of the connection means.
func (s *session) explainEnd(err error) *core.ConnError {
	var known *core.ConnError
	switch {
	case errors.As(err, &known):
		return known
	case err == io.EOF:
		return &core.ConnError{Remote: true}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return &core.ConnError{Remote: true, Cause: err}
	}
	return &core.ConnError{Cause: err}
}

var _ core.Session = (*session)(nil)
