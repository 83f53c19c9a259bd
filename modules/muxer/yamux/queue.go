// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

// queue is a list of streams; each stream is in one at most.
type queue struct {
	first, last *stream
	len         int
}

func (q *queue) push(st *stream) {
	st.queue, st.prev = q, q.last
	if q.last == nil {
		q.first = st
	} else {
		q.last.next = st
	}
	q.last = st
	q.len++
}

// pop takes the first stream; nil if there is none.
func (q *queue) pop() *stream {
	st := q.first
	if st != nil {
		st.unqueue()
	}
	return st
}

// unqueue takes the stream out of the list it is in, if it is in one.
func (st *stream) unqueue() {
	q := st.queue
	if q == nil {
		return
	}
	if st.prev == nil {
		q.first = st.next
	} else {
		st.prev.next = st.next
	}
	if st.next == nil {
		q.last = st.prev
	} else {
		st.next.prev = st.prev
	}
	st.queue, st.prev, st.next = nil, nil, nil
	q.len--
}
