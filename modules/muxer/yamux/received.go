// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"fmt"

	"github.com/xnode-p2p/xnode/core"
)

// arrival is what a frame leaves to do with its body, and behind it.
type arrival struct {
	stream *stream // whose data the body is; nil for nobody's
	body   int     // how long it is
	fin    bool    // the remote sends no more on the stream
	fresh  bool    // the stream waits to be accepted
}

// received applies a frame of the remote: it is the protocol's rules. What is to
// be sent is posted; a violation or another error ends the connection. The caller
// holds the lock.
func (s *session) received(h *header) (arrival, error) {
	id, flags := h.id(), h.flags()
	switch {
	case h.version() != 0:
		return arrival{}, breach("version %d", h.version())
	case h.kind() == typePing:
		if id != 0 || flags != flagSYN && flags != flagACK {
			return arrival{}, breach("ping with stream ID %d and flags %#x", id, flags)
		}
		if flags == flagSYN {
			s.pong(h.length())
		} else {
			s.rtt.answered(h.length(), s.now())
		}
		return arrival{}, nil
	case h.kind() == typeGoAway:
		if id != 0 || flags != 0 {
			return arrival{}, breach("GoAway with stream ID %d and flags %#x", id, flags)
		}
		return arrival{}, s.goneAway(h.length())
	case h.kind() > typeGoAway:
		return arrival{}, breach("unknown type of frame %d", h.kind())
	case flags&^allFlags != 0:
		return arrival{}, breach("unknown flags %#x", flags)
	case id == 0:
		return arrival{}, breach("stream ID 0")
	}
	return s.receivedOnStream(h)
}

func breach(format string, args ...any) error { return violation{fmt.Errorf(format, args...)} }

// goneAway is what a GoAway of the remote means.
func (s *session) goneAway(reason uint32) error {
	switch reason {
	case 0: // the streams that are open go on
		s.noMore = true
		s.openable.Broadcast()
		return nil
	case goAwayProtocolError:
		return &core.ConnError{Code: core.ConnProtocolViolation, Remote: true}
	case goAwayInternalError:
		return &core.ConnError{Remote: true, Cause: errRemoteInternal}
	}
	return &core.ConnError{Code: core.ConnCode(reason), Remote: true}
}

func (s *session) receivedOnStream(h *header) (arrival, error) {
	id, body := h.id(), h.body()
	theirs := (id%2 == 1) != s.initiator
	if h.flags()&flagSYN != 0 {
		return s.receivedSYN(h, theirs)
	}
	st := s.streams[id]
	switch {
	case st != nil:
		return s.advance(h, st)
	case theirs && !s.theirs.used(id), !theirs && id > s.ours:
		return arrival{}, breach("frame for stream %d, which was never opened", id)
	case h.flags()&flagRST != 0 && s.resets.exceeded():
		return arrival{}, violation{errTooManyResets}
	case body > 0 && s.abuses.exceeded():
		return arrival{}, violation{errTooManyPointless}
	case body > uint32(s.muxer.MaxWindow):
		return arrival{}, breach("%d bytes for stream %d, which has ended", body, id)
	}
	return arrival{body: int(body)}, nil // the stream is over on both sides
}

// receivedSYN opens a stream for the remote, or refuses to.
func (s *session) receivedSYN(h *header, theirs bool) (arrival, error) {
	id := h.id()
	switch {
	case !theirs:
		return arrival{}, breach("the remote opened stream %d with an ID of this side", id)
	case h.flags()&flagACK != 0:
		return arrival{}, breach("stream %d is opened and acknowledged at once", id)
	case h.body() > initialWindow:
		return arrival{}, breach("stream %d is opened with %d bytes of data", id, h.body())
	case !s.theirs.take(id):
		return arrival{}, breach("stream %d is opened twice", id)
	}
	var account core.StreamMemory
	err := error(nil)
	full := s.backlog.len >= s.muxer.AcceptBacklog || s.inbound >= s.muxer.MaxIncomingStreams
	if !full {
		account, err = newAccount(s.memory)
	}
	st := newStream(s, account)
	st.id, st.theirs = id, true
	s.add(st)
	s.inbound++
	if full || err != nil {
		s.reset(st, core.StreamLimitExceeded)
	}
	in, err := s.advance(h, st)
	if st.reset == 0 {
		in.stream, in.fresh = st, true
	}
	return in, err
}

// advance applies a frame to its stream.
func (s *session) advance(h *header, st *stream) (in arrival, err error) {
	flags, n := h.flags(), h.length()
	in.body = int(h.body())
	if n == 0 && flags == 0 && s.abuses.exceeded() {
		return in, violation{errTooManyPointless}
	}
	s.accepted(st)
	if h.kind() == typeData {
		if n > st.window {
			return in, breach("%d bytes for stream %d, whose window is %d", n, st.id, st.window)
		}
		st.window -= n
		st.arrived += uint64(n)
		if !st.gotFIN && !st.readDone && st.reset == 0 {
			in.stream = st
		} else if st.gotFIN && n > 0 && s.abuses.exceeded() {
			// A writer that races with its own close may send a little.
			return in, violation{errTooManyPointless}
		}
	} else if flags&flagRST == 0 {
		if uint64(st.credit)+uint64(n) > maxCredit {
			return in, breach("window updates for stream %d add up to more than %d", st.id, uint32(maxCredit))
		}
		if st.credit += n; n > 0 {
			st.room.Broadcast()
		}
	}
	switch {
	case flags&flagRST != 0:
		in.stream = nil
		err = s.receivedRST(h, st)
	case flags&flagFIN != 0 && !st.gotFIN:
		in.stream, in.fin = st, true
		st.gotFIN = true
		s.settle(st)
	}
	return in, err
}

// receivedRST ends a stream that the remote has reset.
func (s *session) receivedRST(h *header, st *stream) error {
	if st.theirs && s.resets.exceeded() {
		return violation{errTooManyResets}
	}
	if st.reset == 0 {
		st.reset = byRemote
		if h.kind() == typeWindowUpdate {
			st.code = core.StreamCode(h.length())
		}
		st.in.finish(st.resetError(), true)
		st.room.Broadcast()
	}
	st.gotFIN = true
	st.unqueue()
	s.settle(st)
	return nil
}

// accepted notes that the remote has accepted a stream, if it is one of this side.
func (s *session) accepted(st *stream) {
	if !st.theirs && !st.acked {
		st.acked = true
		s.unaccepted--
		s.openable.Signal()
	}
}
