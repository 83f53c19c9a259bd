// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import "time"

// roundTrip is the connection's round trip time, measured by the pings of the
// library, of which one at a time waits for its answer.
type roundTrip struct {
	id   uint32
	sent time.Time     // zero if no answer is awaited
	time time.Duration // 0 before the first answer
}

// asked records that a ping is about to be written.
func (r *roundTrip) asked(id uint32) { r.id, r.sent = id, time.Now() }

// answered records the answer to a ping.
func (r *roundTrip) answered(id uint32) {
	if r.sent.IsZero() || id != r.id {
		return
	}
	took := time.Since(r.sent)
	r.sent = time.Time{}
	if r.time > 0 {
		took = (r.time + took) / 2
	}
	r.time = took
}
