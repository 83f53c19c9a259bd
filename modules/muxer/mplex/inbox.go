// SPDX-License-Identifier: Apache-2.0 OR MIT

package mplex

import "time"

// space returns room for the data of a message, of which n bytes are to come;
// nil if nobody wants them. It waits for the reader if the buffer is full, for
// the time of the configuration's patience; then it fails, and it fails if there
// is no memory.
func (st *stream) space(n int) ([]byte, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	var deadline time.Time
	for !st.unwanted() {
		if c := st.last; c != nil && c.w < len(c.b) {
			st.filling = c
			return c.b[c.w:], nil
		}
		size := chunkSize(n)
		if st.held+size <= int(st.session.muxer.MaxUnread) {
			priority := uint8(eagerPriority)
			if st.held+size > eagerUnread {
				priority = patientHalfway
			}
			if err := st.account.Reserve(size, priority); err != nil {
				return nil, err
			}
			st.push(size)
			continue
		}
		if deadline.IsZero() {
			deadline = time.Now().Add(time.Duration(st.session.muxer.Patience))
		}
		if passed(deadline) {
			return nil, errOverflow
		}
		wait(&st.changed, deadline)
	}
	return nil, nil
}

// unwanted reports whether data that comes is dropped.
func (st *stream) unwanted() bool { return st.dropped != nil || st.over != nil || st.gotClose }

// push appends an empty chunk.
func (st *stream) push(size int) {
	c := st.session.muxer.buffers.chunk(size)
	st.held += size
	if st.last == nil {
		st.first = c
	} else {
		st.last.next = c
	}
	st.last = c
}

// commit notes that n bytes were read into the space.
func (st *stream) commit(n int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	c := st.filling
	st.filling = nil
	if st.last != c { // dropped meanwhile
		st.session.muxer.buffers.putChunk(c)
		return
	}
	c.w += n
	st.changed.Broadcast()
}

// take moves received data to p.
func (st *stream) take(p []byte) (n int) {
	for st.first != nil && n < len(p) {
		c := st.first
		k := copy(p[n:], c.b[c.r:c.w])
		c.r += k
		n += k
		if c.r < c.w || c == st.filling {
			break
		}
		st.pop()
	}
	return n
}

// pop gives the first chunk back, and wakes up the receiver if it waits.
func (st *stream) pop() {
	c := st.first
	if st.first = c.next; st.first == nil {
		st.last = nil
	}
	st.held -= len(c.b)
	st.account.Release(len(c.b))
	st.session.muxer.buffers.putChunk(c)
	st.changed.Broadcast()
}

// drop throws away what was received and not read, and makes reads fail with
// err, unless they do already.
func (st *stream) drop(err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.dropped == nil {
		st.dropped = err
	}
	for st.first != nil {
		if st.first != st.filling {
			st.pop()
			continue
		}
		// The receiver gives this one back. It is the last.
		st.held -= len(st.first.b)
		st.account.Release(len(st.first.b))
		st.first, st.last = nil, nil
	}
	st.changed.Broadcast()
}

// ended notes that the connection is over. What was received can still be read.
func (st *stream) ended(err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.over = err
	st.changed.Broadcast()
}

// receivedClose notes that the remote sends no more. It is false if the remote
// has said so before.
func (st *stream) receivedClose() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	first := !st.gotClose
	st.gotClose = true
	st.changed.Broadcast()
	return first
}

func (st *stream) closedByRemote() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.gotClose
}

// mayReceive reports whether the remote may still send data.
func (st *stream) mayReceive() bool { return !st.closedByRemote() }
