// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// errNothing means that a read would have to wait.
var errNothing = errors.New("nothing to read")

// inbox holds what came on a stream and was not read. It packs small frames
// together: it takes at most a third more memory than the data in it, of which
// there is no more than the stream's window, and two chunks that are partly read
// or filled.
type inbox struct {
	mu          sync.Mutex
	ready       sync.Cond // waited on by readers
	first, last *chunk
	held        int    // how large the chunks are together
	filling     *chunk // the last one while the receiver writes into it
	end         error  // what reads fail with after all is read; nil while more may come
	limit       deadline
}

func (in *inbox) init() { in.ready.L = &in.mu }

// read takes what has come, or the end. It waits for that if wait is true.
func (in *inbox) read(p []byte, wait bool) (int, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for {
		if in.limit.passed() {
			if in.end != nil && in.end != io.EOF {
				return 0, in.end
			}
			return 0, os.ErrDeadlineExceeded
		}
		if n := in.take(p); n > 0 {
			return n, nil
		}
		switch {
		case in.end != nil:
			return 0, in.end
		case !wait:
			return 0, errNothing
		}
		in.limit.wait(&in.ready, in)
	}
}

// take moves data to p.
func (in *inbox) take(p []byte) (n int) {
	for n < len(p) && in.first != nil {
		c := in.first
		k := copy(p[n:], c.b[c.r:c.w])
		n += k
		if c.r += k; c.r < c.w || c == in.filling {
			break
		}
		in.unlink()
	}
	return n
}

// unlink gives the first chunk back.
func (in *inbox) unlink() {
	c := in.first
	if in.first = c.next; in.first == nil {
		in.last = nil
	}
	in.held -= len(c.b)
	putChunk(c)
}

// room returns where up to n bytes of data may be put; nil if nobody will read
// them. It must be followed by put.
func (in *inbox) room(n int) []byte {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.end != nil {
		return nil
	}
	if in.last == nil || in.last.w == len(in.last.b) {
		in.push(getChunk(max(n, in.held))) // many small frames get larger chunks
	}
	in.filling = in.last
	free := in.filling.b[in.filling.w:]
	return free[:min(n, len(free))]
}

// adopt adds a chunk that holds the beginning of n bytes of data, and returns
// where as much of the rest may be put as the chunk has room for. It must be
// followed by put for all of that, unless nobody will read it.
func (in *inbox) adopt(c *chunk, n int) (rest []byte, ok bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.end != nil {
		return nil, false
	}
	in.push(c)
	in.filling = c
	rest = c.b[c.w:min(c.r+n, len(c.b))]
	c.w = c.r
	return rest, true
}

// push adds a chunk at the end.
func (in *inbox) push(c *chunk) {
	if in.held += len(c.b); in.last == nil {
		in.first = c
	} else {
		in.last.next = c
	}
	in.last = c
}

// put adds the n bytes that are where room or adopt said, and shows them to
// readers.
func (in *inbox) put(n int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	c := in.filling
	in.filling = nil
	if in.first == nil { // cleared meanwhile
		putChunk(c)
		return
	}
	if c.w += n; c.r == c.w && c == in.first { // nothing came, and all before it was read
		in.unlink()
	}
	in.ready.Broadcast()
}

// finish ends the inbox with an error, behind the data or instead of it. The
// first end counts.
func (in *inbox) finish(end error, drop bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.end != nil {
		return
	}
	in.conclude(end, drop)
}

// close ends reading here: what is unread is dropped. It replaces the end of
// the data, but no other.
func (in *inbox) close(end error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.end == nil || in.end == io.EOF {
		in.conclude(end, true)
	}
}

func (in *inbox) conclude(end error, drop bool) {
	in.end = end
	in.limit.stop()
	in.ready.Broadcast()
	if !drop {
		return
	}
	for c := in.first; c != nil; {
		next := c.next
		if c != in.filling {
			putChunk(c)
		}
		c = next
	}
	in.first, in.last, in.held = nil, nil, 0
}

// setDeadline changes the deadline of reads.
func (in *inbox) setDeadline(t time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.limit.set(t)
	in.ready.Broadcast()
}

// overdue implements [waiter].
func (in *inbox) overdue() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ready.Broadcast()
}
