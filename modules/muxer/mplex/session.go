// SPDX-License-Identifier: Apache-2.0 OR MIT

package mplex

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/wire"
)

// partingTime is how long what is written may take to go out before the
// connection closes, and how long the remote is read when it does not read.
const partingTime = 250 * time.Millisecond

// streamCost is what a stream takes besides the data in its buffer, in bytes.
const streamCost = 1 << 10

// Why a connection ended.
var (
	errNotReading = errors.New("the remote does not read")
	errExhausted  = fmt.Errorf("all %d stream IDs of the connection are used", maxID+1)
)

// session is a connection with its streams.
type session struct {
	muxer   *Muxer
	conn    net.Conn
	memory  core.ConnMemory
	accepts chan *stream // bounded by accept_backlog

	// For receiving, which one goroutine does.
	in     *bufio.Reader
	resets meter
	abuses meter

	running sync.WaitGroup // the receiver, and the sender while there is something to send
	closing sync.Once
	done    chan struct{}

	mu      sync.Mutex
	streams map[key]*stream // bounded by max_incoming_streams and the node's own
	inbound int             // how many of them the remote opened
	nextID  uint64          // of the node's own
	end     *core.ConnError // set before done is closed
	outbox
}

func newSession(m *Muxer, conn net.Conn, memory core.ConnMemory) *session {
	s := &session{
		muxer:   m,
		conn:    conn,
		memory:  memory,
		accepts: make(chan *stream, m.AcceptBacklog),
		in:      bufio.NewReaderSize(conn, smallChunk),
		resets:  meter{what: "resets"},
		abuses:  meter{what: "frames without a point"},
		done:    make(chan struct{}),
		streams: make(map[key]*stream),
	}
	s.outbox.init(&s.mu)
	return s
}

// OpenStream implements [core.Session]. The remote learns of the stream with
// the first frame that is sent on it.
func (s *session) OpenStream(ctx context.Context) (core.MuxedStream, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	st, err := s.newStream(key{ours: true})
	if err != nil {
		return nil, err
	}
	return st, nil
}

// newStream makes a stream and charges it. Those of this side get the next ID.
func (s *session) newStream(k key) (*stream, error) {
	account := s.memory.Stream()
	if err := account.Reserve(streamCost, 255); err != nil {
		account.Done()
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err := error(nil)
	switch {
	case s.end != nil:
		err = s.end
	case k.ours && s.nextID > maxID:
		err = &core.ConnError{Cause: errExhausted}
	}
	if err != nil {
		account.Done()
		return nil, err
	}
	if k.ours {
		k.id = s.nextID
		s.nextID++
	} else {
		s.inbound++
	}
	st := newStream(s, k, account)
	s.streams[k] = st
	return st, nil
}

// AcceptStream implements [core.Session]. Streams that the remote has reset
// meanwhile are passed over.
func (s *session) AcceptStream() (core.MuxedStream, error) {
	for {
		select {
		case <-s.done:
			return nil, s.end
		default:
		}
		select {
		case st := <-s.accepts:
			if !st.isReset() {
				return st, nil
			}
		case <-s.done:
			return nil, s.end
		}
	}
}

// Close implements [core.Session].
func (s *session) Close() error { return s.CloseWithCode(core.ConnNoError) }

// CloseWithCode implements [core.Session]. mplex cannot carry the code. What
// was written before goes out first if that takes less than partingTime.
func (s *session) CloseWithCode(code core.ConnCode) error {
	var err error
	s.closing.Do(func() {
		s.drain(partingTime)
		err = s.finish(&core.ConnError{Code: code})
	})
	<-s.done
	for _, st := range s.open() {
		st.drop(s.end)
		s.settle(st, readDone|writeDone)
	}
	s.running.Wait()
	return err
}

// Done implements [core.Session].
func (s *session) Done() <-chan struct{} { return s.done }

// finish ends the session, and the connection. Only the first reason counts.
func (s *session) finish(reason *core.ConnError) error {
	s.mu.Lock()
	if s.end != nil {
		s.mu.Unlock()
		return nil
	}
	s.end = reason
	s.wakeWriters()
	s.sent.Broadcast()
	s.mu.Unlock()
	err := s.conn.Close()
	for _, st := range s.open() {
		st.ended(reason)
	}
	close(s.done)
	return err
}

// open lists the streams.
func (s *session) open() []*stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*stream, 0, len(s.streams))
	for _, st := range s.streams {
		list = append(list, st)
	}
	return list
}

// settle notes that sides of a stream are done, and forgets it once both are.
func (s *session) settle(st *stream, done uint8) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.done |= done; st.done != readDone|writeDone || s.streams[st.key] != st {
		return
	}
	delete(s.streams, st.key)
	if !st.key.ours {
		s.inbound--
	}
	st.account.Done()
}

// explain says what an error of the connection means.
func explain(err error) *core.ConnError {
	var breach *violation
	switch {
	case errors.As(err, &breach), errors.Is(err, wire.ErrVarint):
		return &core.ConnError{Code: core.ConnProtocolViolation, Cause: err}
	case err == io.EOF:
		return &core.ConnError{Remote: true}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return &core.ConnError{Remote: true, Cause: err}
	}
	return &core.ConnError{Cause: err}
}

var _ core.Session = (*session)(nil)
