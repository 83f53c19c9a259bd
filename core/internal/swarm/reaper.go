// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"sync"
	"time"
)

// reaper ends the negotiation of inbound streams that takes too long. All of
// them share one timer, because a timer for every stream costs more than the
// stream. It only cuts their reads and writes short, which never waits: who
// serves a stream then resets it.
type reaper struct {
	mu          sync.Mutex
	first, last *Stream // oldest first; bounded by the open streams
	timer       *time.Timer
	closed      bool
}

// waiting is a stream's place in the reaper's list.
type waiting struct {
	prev, next *Stream
	until      time.Time
	listed     bool
	late       bool // taken off the list because its time was over
}

func (r *reaper) watch(st *Stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	st.wait = waiting{prev: r.last, until: time.Now().Add(negotiationTimeout), listed: true}
	if r.last != nil {
		r.last.wait.next = st
	} else {
		r.first = st
		r.armLocked(negotiationTimeout)
	}
	r.last = st
}

// unwatch takes a stream off the list. It returns false if the stream's time
// was over before.
func (r *reaper) unwatch(st *Stream) (inTime bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if st.wait.listed {
		r.unlinkLocked(st)
	}
	if r.first == nil && r.timer != nil {
		r.timer.Stop()
	}
	return !st.wait.late
}

func (r *reaper) unlinkLocked(st *Stream) {
	if st.wait.prev != nil {
		st.wait.prev.wait.next = st.wait.next
	} else {
		r.first = st.wait.next
	}
	if st.wait.next != nil {
		st.wait.next.wait.prev = st.wait.prev
	} else {
		r.last = st.wait.prev
	}
	st.wait = waiting{}
}

func (r *reaper) armLocked(d time.Duration) {
	if r.timer == nil {
		r.timer = time.AfterFunc(d, r.reap)
		return
	}
	r.timer.Reset(d)
}

func (r *reaper) reap() {
	now := time.Now()
	var late []*Stream
	r.mu.Lock()
	for r.first != nil && !r.first.wait.until.After(now) {
		st := r.first
		r.unlinkLocked(st)
		st.wait.late = true
		late = append(late, st)
	}
	if r.first != nil && !r.closed {
		r.armLocked(r.first.wait.until.Sub(now))
	}
	r.mu.Unlock()
	for _, st := range late {
		st.muxed.SetDeadline(time.Unix(1, 0))
	}
}

func (r *reaper) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.timer != nil {
		r.timer.Stop()
	}
}
