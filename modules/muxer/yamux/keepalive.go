// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import "time"

// checkLife is what the keepalive's timer does: it asks a remote that has been
// silent for a sign of life, and ends the connection of one that gives none.
func (s *session) checkLife() {
	keepalive, patience := time.Duration(s.muxer.Keepalive), time.Duration(s.muxer.WriteTimeout)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		return
	}
	now, heard := s.now(), time.Duration(s.heard.Load())
	silent := now - heard
	switch {
	case silent < keepalive:
		s.timer.Reset(keepalive - silent)
	case s.asked <= heard:
		s.asked = now
		s.post(s.rtt.ask(now))
		s.flushLater()
		s.timer.Reset(patience)
	default:
		s.breakOff(errNoAnswer, 0)
	}
}
