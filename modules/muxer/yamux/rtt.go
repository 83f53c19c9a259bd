// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import "time"

// rttInterval is how old the round trip time gets before it is measured again,
// if it matters.
const rttInterval = 5 * time.Minute

// roundTrip is the connection's round trip time, from which windows grow. One
// ping at a time waits for its answer. Times are those of the session.
type roundTrip struct {
	id    uint32
	asked time.Duration // when the last ping was sent
	open  bool          // its answer is awaited
	known bool          // there was a ping
	time  time.Duration // 0 before the first answer
}

// due reports whether it is time to measure.
func (r *roundTrip) due(now time.Duration) bool {
	return !r.known || now-r.asked > rttInterval
}

// ask returns the ping to send.
func (r *roundTrip) ask(now time.Duration) header {
	r.id++
	r.asked, r.open, r.known = now, true, true
	return newHeader(typePing, flagSYN, 0, r.id)
}

// answered takes an answer to a ping.
func (r *roundTrip) answered(id uint32, now time.Duration) {
	if !r.open || id != r.id {
		return
	}
	took := now - r.asked
	r.open = false
	if r.time > 0 {
		took = (r.time + took) / 2
	}
	r.time = took
}
