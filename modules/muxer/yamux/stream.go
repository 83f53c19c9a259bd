// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

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

// stream is one stream.
type stream struct {
	session *session
	theirs  bool              // the remote opened it
	account core.StreamMemory // nil if the stream was refused
	in      inbox

	read atomic.Uint64 // how much data was read
	due  atomic.Uint64 // when it is as much, the remote may get credit
	told atomic.Bool   // the remote knows that this side has the stream

	// Guarded by the session's lock.
	id      uint32        // 0 until the remote is told of a stream of this side
	window  uint32        // what the remote may send
	size    uint32        // what it may send ahead of the reader
	credit  uint32        // what may be sent to it
	arrived uint64        // how much data came
	epoch   time.Duration // when the window was full at last, in the time of the session

	code     core.StreamCode
	reset    uint8 // byLocal, byRemote, or 0
	acked    bool  // the remote has accepted it
	gotFIN   bool  // the remote sends no more
	sentFIN  bool  // this side sends no more
	readDone bool  // nobody will read from it any more
	over     bool  // it is over here
	lingers  bool  // and the remote may still send

	writing bool      // a writer is at work; the others wait, so that writes do not mix
	room    sync.Cond // waited on by writers, for credit or their turn
	limit   deadline  // of writes

	queue      *queue // the list it is in, if any
	prev, next *stream
}

// newStream returns a stream, which from then on has the account.
func newStream(s *session, account core.StreamMemory) *stream {
	st := &stream{session: s, account: account, window: initialWindow, size: initialWindow, credit: initialWindow}
	st.due.Store(initialWindow / 2)
	st.in.init()
	st.room.L = &s.mu
	return st
}

// Read implements [core.MuxedStream].
func (st *stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := st.in.read(p, st.theirs || st.told.Load())
	if err == errNothing { // nor will there be before the remote knows the stream
		st.session.announce(st)
		n, err = st.in.read(p, true)
	}
	if n > 0 && st.read.Add(uint64(n)) >= st.due.Load() {
		st.session.refill(st)
	}
	if err == io.EOF {
		st.session.finishRead(st)
	}
	return n, err
}

// Write implements [core.MuxedStream].
func (st *stream) Write(p []byte) (int, error) { return st.session.write(st, p) }

// CloseWrite implements [core.MuxedStream].
func (st *stream) CloseWrite() error {
	s := st.session
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closeWrite(st)
}

// CloseRead implements [core.MuxedStream]. The remote is not told: yamux cannot.
func (st *stream) CloseRead() error {
	st.in.close(errReadClosed)
	st.session.finishRead(st)
	return nil
}

// Close implements [core.MuxedStream].
func (st *stream) Close() error {
	st.in.close(errReadClosed)
	s := st.session
	s.mu.Lock()
	defer s.mu.Unlock()
	st.readDone = true
	return s.closeWrite(st)
}

// Reset implements [core.MuxedStream].
func (st *stream) Reset(code core.StreamCode) error {
	s := st.session
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reset(st, code)
	s.flushLater()
	return nil
}

// Memory implements [core.Accounted].
func (st *stream) Memory() core.StreamMemory { return st.account }

// SetDeadline implements [core.MuxedStream].
func (st *stream) SetDeadline(t time.Time) error {
	_ = st.SetReadDeadline(t) // always nil
	return st.SetWriteDeadline(t)
}

// SetReadDeadline implements [core.MuxedStream].
func (st *stream) SetReadDeadline(t time.Time) error {
	st.in.setDeadline(t)
	return nil
}

// SetWriteDeadline implements [core.MuxedStream].
func (st *stream) SetWriteDeadline(t time.Time) error {
	s := st.session
	s.mu.Lock()
	defer s.mu.Unlock()
	st.limit.set(t)
	if st.writing {
		st.wakeWriters()
	}
	return nil
}

// overdue implements [waiter] for writers.
func (st *stream) overdue() {
	st.session.mu.Lock()
	defer st.session.mu.Unlock()
	st.wakeWriters()
}

// wakeWriters has writers look whether they still may write.
func (st *stream) wakeWriters() {
	st.room.Broadcast()
	st.session.turns.Broadcast()
	st.session.drained.Broadcast()
}

func (st *stream) resetError() error {
	return &core.StreamError{Code: st.code, Remote: st.reset == byRemote}
}

// localDone reports whether this side neither reads nor writes any more.
func (st *stream) localDone() bool { return st.sentFIN && st.readDone || st.reset != 0 }

// sessionEnded ends the stream with its session. What came before its end may
// still be read if it is all that the remote had to send.
func (st *stream) sessionEnded() {
	st.in.finish(st.session.end, true)
	st.unqueue()
	st.release()
}

// release gives back the memory that is charged to the stream.
func (st *stream) release() {
	if st.account != nil {
		st.account.Done()
	}
	st.limit.stop()
	st.room.Broadcast()
}

var (
	_ core.MuxedStream = (*stream)(nil)
	_ core.Accounted   = (*stream)(nil)
)
