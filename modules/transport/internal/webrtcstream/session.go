// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package webrtcstream makes libp2p streams of WebRTC data channels,
// https://github.com/libp2p/specs/blob/master/webrtc/README.md#multiplexing.
//
// It speaks with the SCTP association itself (RFC 8831, RFC 8832). SCTP has one
// receive buffer for all channels and no flow control for each of them: if the
// reader of one stream does not read, and that buffer is full of what was sent
// to it, the other streams wait as well.
package webrtcstream

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/pion/logging"
	"github.com/pion/sctp"

	"github.com/xnode-p2p/xnode/core"
)

const (
	// idSpace is how many channels there are, one half for each side to open.
	// The last one is reserved.
	idSpace = 1<<16 - 1
	// partingTime bounds how long a session that is closed waits for the remote
	// to have everything.
	partingTime = 500 * time.Millisecond
	// maxChannels is how many channels the remote may have, as a multiple of
	// MaxIncoming: those of streams that are over are there until both sides
	// have closed them, which takes as long as packets that are lost.
	maxChannels = 4
	// initialPriority is that of the memory a stream begins with, and
	// growPriority that of what makes it faster.
	initialPriority = 128
	growPriority    = 64
)

// Config says how a session is made.
type Config struct {
	// Client is true on the DTLS client's side, whose channels have even
	// numbers.
	Client bool
	// Memory is where the streams' accounts are opened.
	Memory core.ConnMemory
	// MaxIncoming is how many streams the remote may have open.
	MaxIncoming int
	// ReceiveBuffer is how much the remote may send that nobody has read, in
	// bytes.
	ReceiveBuffer int
	// Logs is where the SCTP library logs.
	Logs logging.LoggerFactory
	// Ended tells, after the association has ended, why; nil if it does not
	// know.
	Ended func() *core.ConnError
}

// Session is a connection with its streams. It implements [core.Session].
type Session struct {
	config      Config
	association *sctp.Association
	paced       *paced
	arrived     chan *Stream // bounded by MaxIncoming, of which each has a place
	done        chan struct{}
	wg          sync.WaitGroup

	mu       sync.Mutex
	streams  map[uint16]*Stream // bounded by idSpace and maxChannels
	channels int                // of those, opened by the remote
	incoming int                // of those, not over
	nextID   int
	// handshake tells whether 0 is the handshake's number, and never a stream's.
	handshake bool
	end       *core.ConnError // why the session has ended
	closing   sync.Once
}

// New makes a session on a connection that keeps the bounds of packets, DTLS.
// It ends with ctx. The session has no streams until [Session.Serve] is called.
// It owns conn, if there is one.
func New(ctx context.Context, conn net.Conn, c Config) (s *Session, err error) {
	s = &Session{
		config:  c,
		paced:   newPaced(conn, c.ReceiveBuffer),
		arrived: make(chan *Stream, c.MaxIncoming),
		done:    make(chan struct{}),
		streams: make(map[uint16]*Stream),
		nextID:  1,
	}
	if c.Client {
		s.nextID = 0
	}
	if s.association, err = associate(ctx, c, s.paced); err != nil {
		return nil, err
	}
	return s, nil
}

// Handshake returns the channel with number 0, which both sides take for open,
// for those whose handshake is on it. It is called at once or not at all.
func (s *Session) Handshake() (*Stream, error) {
	channel, err := s.association.OpenStream(0, sctp.PayloadTypeWebRTCBinary)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handshake = true
	st, err := s.add(0, channel)
	if err != nil {
		return nil, err
	}
	st.start(false)
	return st, nil
}

// Serve lets the remote open streams.
func (s *Session) Serve() { s.wg.Go(s.accept) }

// accept makes streams of the channels that the remote opens, until the
// association ends.
func (s *Session) accept() {
	for {
		channel, err := s.association.AcceptStream()
		if err != nil {
			s.fail(s.reason())
			return
		}
		s.paced.accept()
		if !s.admit(channel) {
			s.fail(&core.ConnError{Code: core.ConnProtocolViolation, Cause: errChannel})
			_ = s.association.Close()
			return
		}
	}
}

// reason tells why the association has ended without being told to.
func (s *Session) reason() *core.ConnError {
	if s.config.Ended != nil {
		if e := s.config.Ended(); e != nil {
			return e
		}
	}
	return &core.ConnError{Remote: true}
}

// admit starts a stream that the remote opens. One too many is reset. It
// returns false if the remote is not to be dealt with any longer: it opens a
// channel of a number that is not its own, or more and more of them.
func (s *Session) admit(channel *sctp.Stream) bool {
	id := channel.StreamIdentifier()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams[id] != nil {
		return true // the handshake's, which the remote was faster to use
	}
	if (id%2 == 0) == s.config.Client || s.channels >= maxChannels*s.config.MaxIncoming {
		return false
	}
	st, err := s.add(id, channel)
	if err != nil {
		return true // the session has ended
	}
	st.inbound = true
	s.channels++
	s.incoming++
	st.refused = s.incoming > s.config.MaxIncoming || st.account.Reserve(initialMemory, initialPriority) != nil
	st.start(true)
	return true
}

// add puts a stream into the table; the lock is held.
func (s *Session) add(id uint16, channel *sctp.Stream) (*Stream, error) {
	if s.end != nil {
		return nil, s.end
	}
	st := newStream(s, id, channel)
	s.streams[id] = st
	return st, nil
}

// leave gives back what a stream that is over has had, but for its channel. It
// may be called more than once.
func (s *Session) leave(st *Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.left {
		return
	}
	st.left = true
	st.account.Done()
	if st.inbound {
		s.incoming--
	}
}

// remove takes a stream whose channel is closed out of the table.
func (s *Session) remove(st *Stream) {
	s.leave(st)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, st.id)
	if st.inbound {
		s.channels--
	}
}

// OpenStream implements [core.Session].
func (s *Session) OpenStream(ctx context.Context) (core.MuxedStream, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	st, err := s.open()
	if err != nil {
		return nil, err
	}
	if err := st.account.Reserve(initialMemory, initialPriority); err != nil {
		s.remove(st)
		return nil, err
	}
	if _, err := st.channel.WriteSCTP(openMessage(), sctp.PayloadTypeWebRTCDCEP); err != nil {
		s.remove(st)
		return nil, s.explain(err)
	}
	st.start(false)
	return st, nil
}

// open finds a number for a new stream. Numbers are used in turn, so that the
// reset of the last channel that had one is long past.
func (s *Session) open() (*Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range idSpace / 2 {
		id := s.nextID
		if s.nextID += 2; s.nextID >= idSpace {
			s.nextID %= 2
		}
		if id == 0 && s.handshake || s.streams[uint16(id)] != nil {
			continue
		}
		channel, err := s.association.OpenStream(uint16(id), sctp.PayloadTypeWebRTCBinary)
		if err != nil {
			return nil, s.explainLocked(err)
		}
		return s.add(uint16(id), channel)
	}
	return nil, &core.LimitError{Scope: "connection", Resource: "streams", Limit: idSpace / 2, Knob: "more connections"}
}

// explain makes the session's end of an error of the association.
func (s *Session) explain(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.explainLocked(err)
}

func (s *Session) explainLocked(err error) error {
	if s.end != nil {
		return s.end
	}
	if errors.Is(err, sctp.ErrAssociationClosed) || errors.Is(err, sctp.ErrPayloadDataStateNotExist) {
		return s.reason()
	}
	return &core.ConnError{Cause: err}
}

// AcceptStream implements [core.Session].
func (s *Session) AcceptStream() (core.MuxedStream, error) {
	select {
	case <-s.done:
		return nil, s.ended()
	default:
	}
	select {
	case st := <-s.arrived:
		return st, nil
	case <-s.done:
		return nil, s.ended()
	}
}

func (s *Session) ended() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end
}

// fail ends the session for those who use it.
func (s *Session) fail(why *core.ConnError) {
	s.mu.Lock()
	if s.end != nil {
		s.mu.Unlock()
		return
	}
	s.end = why
	streams := make([]*Stream, 0, len(s.streams))
	for _, st := range s.streams {
		streams = append(streams, st)
	}
	s.mu.Unlock()
	close(s.done)
	for _, st := range streams {
		st.fail(why)
	}
}

// Close implements [core.Session].
func (s *Session) Close() error { return s.CloseWithCode(core.ConnNoError) }

// CloseWithCode implements [core.Session]. What was written before goes out
// first if that takes less than partingTime. The remote is not told the code:
// WebRTC cannot.
func (s *Session) CloseWithCode(code core.ConnCode) error {
	s.fail(&core.ConnError{Code: code})
	s.closing.Do(s.part)
	_ = s.association.Close() // waits until nothing of it reads
	s.wg.Wait()
	return nil
}

// part takes leave of the remote, which may have gone already.
func (s *Session) part() {
	ctx, cancel := context.WithTimeout(context.Background(), partingTime)
	defer cancel()
	if errors.Is(s.association.Shutdown(ctx), context.DeadlineExceeded) {
		s.association.Abort("")
	}
}

// Done implements [core.Session].
func (s *Session) Done() <-chan struct{} { return s.done }

var _ core.Session = (*Session)(nil)
