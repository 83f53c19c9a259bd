// SPDX-License-Identifier: Apache-2.0 OR MIT

package memnet

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"
)

// half is one direction of a connection: a queue of bytes between the conn that
// writes and the conn that reads.
type half struct {
	capacity int           // the bound of what is written and not yet read, in bytes
	delay    time.Duration // from the writer to the reader
	loss     float64       // the part of the writes that arrive late, see [Options.Loss]

	mu       sync.Mutex
	readable sync.Cond // waited on by readers
	writable sync.Cond // waited on by writers

	buf        []byte    // a ring; it grows up to capacity
	start      int       // where in buf the first byte is
	size       int       // how many bytes there are
	arrived    int       // how many of them the reader may have; all without delay
	travelling []parcel  // the others; bounded by capacity: none is empty
	writing    bool      // a writer is at work; the others wait, so that writes do not mix
	fin        bool      // the writer has closed
	finAt      time.Time // when the reader learns of it
	gone       bool      // the reader has closed
	goneAt     time.Time // when the writer learns of it

	readErr, writeErr           error // set by abort
	readDeadline, writeDeadline time.Time
}

// resendTime is how much longer than a round trip it takes to notice that something
// was lost: the least that TCP waits on most systems.
const resendTime = 200 * time.Millisecond

// parcel is a number of bytes that arrive together.
type parcel struct {
	size int
	at   time.Time
}

func newHalf(capacity int, delay time.Duration) *half {
	h := &half{capacity: capacity, delay: delay}
	h.readable.L, h.writable.L = &h.mu, &h.mu
	return h
}

// read takes up to len(p) bytes, waiting for the first.
func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.readErr != nil:
			return 0, h.readErr
		case h.gone:
			return 0, net.ErrClosed
		case passed(h.readDeadline):
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		}
		h.receiveLocked()
		if h.arrived > 0 {
			return h.takeLocked(p), nil
		}
		if h.fin && h.size == 0 && (h.delay == 0 || passed(h.finAt)) {
			return 0, io.EOF
		}
		wake := h.readDeadline
		switch {
		case h.size > 0:
			wake = earlier(wake, h.travelling[0].at)
		case h.fin:
			wake = earlier(wake, h.finAt)
		}
		wait(&h.readable, wake)
	}
}

// write puts all of p into the queue, waiting for room.
func (h *half) write(p []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.writing {
		if err := h.writeErrLocked(); err != nil {
			return 0, err
		}
		wait(&h.writable, h.writeDeadline)
	}
	h.writing = true
	defer func() {
		h.writing = false
		h.writable.Broadcast()
	}()
	for {
		if err := h.writeErrLocked(); err != nil {
			return n, err
		}
		if h.gone {
			return n + len(p), nil // on its way to nobody
		}
		k := h.putLocked(p)
		n, p = n+k, p[k:]
		if len(p) == 0 {
			return n, nil
		}
		if k == 0 {
			wait(&h.writable, h.writeDeadline)
		}
	}
}

// writeErrLocked says why nothing can be written now.
func (h *half) writeErrLocked() error {
	switch {
	case h.writeErr != nil:
		return h.writeErr
	case h.fin:
		return net.ErrClosed
	case passed(h.writeDeadline):
		return os.ErrDeadlineExceeded
	case h.gone && (h.delay == 0 || passed(h.goneAt)):
		return io.ErrClosedPipe
	}
	return nil
}

// receiveLocked moves to arrived what has travelled long enough.
func (h *half) receiveLocked() {
	if len(h.travelling) == 0 {
		return
	}
	now := time.Now()
	for len(h.travelling) > 0 && !h.travelling[0].at.After(now) {
		h.arrived += h.travelling[0].size
		h.travelling = h.travelling[1:]
	}
}

// takeLocked moves arrived bytes into p.
func (h *half) takeLocked(p []byte) int {
	n := min(len(p), h.arrived)
	first := copy(p[:n], h.buf[h.start:])
	copy(p[first:n], h.buf)
	h.start = (h.start + n) % len(h.buf)
	h.size -= n
	h.arrived -= n
	h.writable.Broadcast()
	return n
}

// putLocked moves bytes from p into the ring, as many as there is room for.
func (h *half) putLocked(p []byte) int {
	n := min(len(p), h.capacity-h.size)
	if n == 0 {
		return 0
	}
	h.growLocked(h.size + n)
	end := (h.start + h.size) % len(h.buf)
	first := copy(h.buf[end:], p[:n])
	copy(h.buf, p[first:n])
	h.size += n
	if h.delay == 0 {
		h.arrived += n
	} else {
		h.travelling = append(h.travelling, parcel{n, time.Now().Add(h.delay + h.resend())})
	}
	h.readable.Broadcast()
	return n
}

// resend is how much longer a write takes that may be lost: what follows waits
// for it.
func (h *half) resend() time.Duration {
	if h.loss == 0 || rand.Float64() >= h.loss {
		return 0
	}
	return 2*h.delay + resendTime
}

// growLocked makes the ring large enough for size bytes.
func (h *half) growLocked(size int) {
	if size <= len(h.buf) {
		return
	}
	grown := make([]byte, min(h.capacity, max(2*len(h.buf), size, 512)))
	first := copy(grown[:h.size], h.buf[min(h.start, len(h.buf)):])
	copy(grown[first:h.size], h.buf)
	h.buf, h.start = grown, 0
}

// closeWrite ends the queue: the reader gets io.EOF after what is in it.
func (h *half) closeWrite() {
	h.change(func() {
		if !h.fin {
			h.fin, h.finAt = true, h.afterDelay()
		}
	})
}

// closeRead throws away what is in the queue and what will be written.
func (h *half) closeRead() {
	h.change(func() {
		if !h.gone {
			h.gone, h.goneAt = true, h.afterDelay()
			h.dropLocked()
		}
	})
}

// abort makes reads and writes fail from now on. A second abort does nothing.
func (h *half) abort(readErr, writeErr error) {
	h.change(func() {
		if h.readErr == nil {
			h.readErr, h.writeErr = readErr, writeErr
			h.dropLocked()
		}
	})
}

func (h *half) setReadDeadline(t time.Time)  { h.change(func() { h.readDeadline = t }) }
func (h *half) setWriteDeadline(t time.Time) { h.change(func() { h.writeDeadline = t }) }

// change runs f locked, and lets everybody look again.
func (h *half) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	h.readable.Broadcast()
	h.writable.Broadcast()
}

func (h *half) dropLocked() {
	h.buf, h.travelling = nil, nil
	h.start, h.size, h.arrived = 0, 0, 0
}

// afterDelay is when the other side learns of what happens now.
func (h *half) afterDelay() time.Time {
	if h.delay == 0 {
		return time.Time{}
	}
	return time.Now().Add(h.delay)
}

// wait waits for c's signal, or until t unless that is zero.
func wait(c *sync.Cond, t time.Time) {
	if t.IsZero() {
		c.Wait()
		return
	}
	timer := time.AfterFunc(time.Until(t), func() {
		c.L.Lock()
		defer c.L.Unlock()
		c.Broadcast()
	})
	defer timer.Stop()
	c.Wait()
}

// passed tells whether t is a time that is over.
func passed(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

// earlier returns the earlier of two times; zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
