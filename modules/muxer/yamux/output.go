// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-yamux/v4"
)

// output is the writing side of a connection.
type output struct {
	net.Conn
	timeout time.Duration // of a write

	turn   turn                  // one write at a time on the connection
	broken atomic.Pointer[error] // why nothing can be written any more

	limit   sync.Mutex
	hurried bool // the deadline of writes stays what it is

	// The grants of credit that wait for their turn. For each there was half
	// a window of data, and a stream has two at most.
	queue  sync.Mutex
	grants []byte
	spare  []byte // belongs to who has the turn
	owing  atomic.Bool
}

// put writes b, which is whole frames, and the grants that have come meanwhile.
// Until is the deadline from then on; zero leaves it as it is.
func (o *output) put(b []byte, until time.Time) (int, error) {
	o.turn.take()
	n, err := o.write(b, until)
	o.turn.give()
	o.flush()
	return n, err
}

// grant has a frame written that grants credit. It does not wait for others
// who write: they take it along.
func (o *output) grant(h header) {
	o.queue.Lock()
	o.grants = append(o.grants, h[:]...)
	o.queue.Unlock()
	o.owing.Store(true)
	o.flush()
}

// flush writes the grants unless somebody else has the turn or will have it,
// who flushes in the end.
func (o *output) flush() {
	for o.owing.Load() && o.turn.try() {
		o.owing.Store(false)
		o.queue.Lock()
		o.grants, o.spare = o.spare[:0], o.grants
		o.queue.Unlock()
		// If this fails the connection ends, and the next Read says so.
		_, _ = o.write(o.spare, o.later())
		o.turn.give()
	}
}

// write writes whole frames. The turn belongs to the caller.
func (o *output) write(b []byte, until time.Time) (int, error) {
	if o.broken.Load() != nil || len(b) == 0 {
		return len(b), nil
	}
	if !until.IsZero() {
		if err := o.extend(until); err != nil {
			return 0, err
		}
	}
	n, err := o.Conn.Write(b)
	switch {
	case err == nil, errors.Is(err, net.ErrClosed):
		return n, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		// Half a frame may be on its way: there is nothing to go on with.
		_ = o.breakOff(yamux.ErrConnectionWriteTimeout, 0)
		return n, yamux.ErrConnectionWriteTimeout
	}
	// The remote has closed the connection. The library would end the session
	// at once, and with it what the remote sent before.
	return len(b), o.breakOff(err, partingTime)
}

// breakOff has nothing more written, for the given reason, and ends reading
// after some time.
func (o *output) breakOff(cause error, after time.Duration) error {
	o.broken.Store(&cause)
	return o.Conn.SetReadDeadline(time.Now().Add(after))
}

// later is the deadline for a write that begins now.
func (o *output) later() time.Time { return time.Now().Add(o.timeout) }

func (o *output) extend(until time.Time) error {
	o.limit.Lock()
	defer o.limit.Unlock()
	if o.hurried {
		return nil
	}
	return o.Conn.SetWriteDeadline(until)
}

// hurry makes everything that is still written end soon.
func (o *output) hurry() {
	o.limit.Lock()
	defer o.limit.Unlock()
	o.hurried = true
	_ = o.Conn.SetWriteDeadline(time.Now().Add(partingTime))
}
