// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"time"

	"github.com/xnode-p2p/xnode/core"
)

// What happens to a stream in its life, but for what the remote does to it. The
// callers hold the session's lock if a function does not take it.

// add has the session know a stream by its ID.
func (s *session) add(st *stream) {
	if s.streams == nil {
		s.streams = make(map[uint32]*stream)
	}
	s.streams[st.id] = st
}

// greet returns the flag that the next frame on a stream must have for the
// remote to know that this side has the stream.
func (s *session) greet(st *stream) uint16 {
	if st.told.Load() {
		return 0
	}
	st.told.Store(true)
	if !s.rtt.known {
		s.post(s.rtt.ask(s.now()))
	}
	st.unqueue()
	if st.theirs {
		return flagACK
	}
	if s.ours == 0 {
		s.ours = 2
		if s.initiator {
			s.ours = 1
		}
	} else {
		s.ours += 2
	}
	st.id = s.ours
	s.add(st)
	return flagSYN
}

// ackDelay is how long the remote is not told that its stream was accepted if
// nothing is sent on the stream with which that could go.
const ackDelay = 20 * time.Millisecond

// ackSoon has the remote told that its stream was accepted.
func (s *session) ackSoon(st *stream) {
	s.unacked.push(st)
	if s.acking {
		return
	}
	if s.acking = true; s.acks == nil {
		s.acks = time.AfterFunc(ackDelay, s.ack)
	} else {
		s.acks.Reset(ackDelay)
	}
}

// ack is what the timer for that does.
func (s *session) ack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acking = false
	if s.end != nil {
		return
	}
	for s.unacked.first != nil {
		st := s.unacked.first
		s.post(newHeader(typeWindowUpdate, s.greet(st), st.id, 0))
	}
	s.flushLater()
}

// announce tells the remote of a stream that was opened here.
func (s *session) announce(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil || st.localDone() || st.sentFIN {
		return
	}
	if flags := s.greet(st); flags != 0 {
		s.post(newHeader(typeWindowUpdate, flags, st.id, 0))
		s.flush()
	}
}

// finishRead records that a stream will not be read from any more.
func (s *session) finishRead(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !st.readDone {
		st.readDone = true
		s.settle(st)
	}
}

// closeWrite ends a stream's sending side.
func (s *session) closeWrite(st *stream) error {
	switch {
	case st.reset != 0:
		return st.resetError()
	case st.sentFIN:
		s.settle(st)
		return nil
	case s.end != nil:
		return s.end
	}
	flags := s.greet(st)
	if flags == flagACK {
		// Not every peer looks for another flag beside this one.
		s.post(newHeader(typeWindowUpdate, flags, st.id, 0))
		flags = 0
	}
	s.post(newHeader(typeWindowUpdate, flags|flagFIN, st.id, 0))
	st.sentFIN = true
	st.room.Broadcast()
	s.settle(st)
	s.flush()
	return nil
}

// reset ends a stream that is not over, and has the remote told if it knows it.
func (s *session) reset(st *stream, code core.StreamCode) {
	if s.end != nil || st.localDone() || st.sentFIN && st.gotFIN {
		st.in.close(errReadClosed)
		st.readDone = true
		s.settle(st)
		return
	}
	st.reset, st.code = byLocal, code
	st.in.close(st.resetError())
	st.unqueue()
	if st.id != 0 {
		st.told.Store(true)
		s.post(newHeader(typeWindowUpdate, flagRST, st.id, uint32(code)))
	}
	st.sentFIN, st.readDone = true, true
	s.accepted(st)
	s.settle(st)
}

// settle gives back the memory of a stream that is over here, and forgets it or
// lets it linger.
func (s *session) settle(st *stream) {
	if s.end != nil || !st.localDone() {
		return
	}
	if !st.over {
		st.over = true
		st.release()
		if st.theirs {
			s.inbound--
		}
	}
	switch {
	case s.streams[st.id] != st: // never told of, or forgotten
	case st.gotFIN:
		s.forget(st)
	case !st.lingers:
		st.lingers = true
		if oldest, full := s.lingering.push(st.id); full {
			if old := s.streams[oldest]; old != nil && old.lingers {
				s.forget(old)
			}
		}
	}
}

// forget drops a stream about which the remote has nothing more to say.
func (s *session) forget(st *stream) {
	delete(s.streams, st.id)
	s.accepted(st)
}
