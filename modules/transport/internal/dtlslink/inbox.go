// SPDX-License-Identifier: Apache-2.0 OR MIT

package dtlslink

import (
	"net"
	"os"
	"sync"
	"time"
)

// MaxDatagram is the longest datagram that is received, in bytes.
const MaxDatagram = 1500

// datagrams are lent to inboxes.
var datagrams = sync.Pool{New: func() any { return new([MaxDatagram]byte) }}

// inbox holds what has arrived for somebody who reads it.
type inbox struct {
	limit int

	mu       sync.Mutex
	arrived  sync.Cond
	items    []item // a ring; never longer than limit
	first, n int
	closed   bool
	deadline time.Time
	timer    *time.Timer
}

type item struct {
	buffer *[MaxDatagram]byte
	size   int
}

func newInbox(limit int) *inbox {
	i := &inbox{limit: limit}
	i.arrived.L = &i.mu
	return i
}

// put copies b into the inbox. If that is full, b is dropped.
func (i *inbox) put(b []byte) {
	if len(b) > MaxDatagram {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed || i.n == i.limit {
		return
	}
	if i.n == len(i.items) {
		grown := make([]item, min(i.limit, max(4, 2*len(i.items))))
		for k := range i.n {
			grown[k] = i.items[(i.first+k)%len(i.items)]
		}
		i.items, i.first = grown, 0
	}
	buffer := datagrams.Get().(*[MaxDatagram]byte)
	i.items[(i.first+i.n)%len(i.items)] = item{buffer, copy(buffer[:], b)}
	i.n++
	i.arrived.Signal()
}

// take waits for what comes first. The caller puts the buffer back.
func (i *inbox) take() (item, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for {
		switch {
		case i.closed:
			return item{}, net.ErrClosed
		case !i.deadline.IsZero() && !time.Now().Before(i.deadline):
			return item{}, os.ErrDeadlineExceeded
		case i.n > 0:
			it := i.items[i.first]
			i.items[i.first] = item{}
			i.first = (i.first + 1) % len(i.items)
			i.n--
			return it, nil
		}
		i.arrived.Wait()
	}
}

func (i *inbox) setDeadline(t time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.deadline = t
	if i.timer != nil {
		i.timer.Stop()
		i.timer = nil
	}
	if left := time.Until(t); !t.IsZero() && left > 0 && !i.closed {
		i.timer = time.AfterFunc(left, i.wake)
	}
	i.arrived.Broadcast()
}

func (i *inbox) wake() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.arrived.Broadcast()
}

func (i *inbox) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed = true
	for ; i.n > 0; i.n-- {
		datagrams.Put(i.items[i.first].buffer)
		i.first = (i.first + 1) % len(i.items)
	}
	i.items = nil
	if i.timer != nil {
		i.timer.Stop()
	}
	i.arrived.Broadcast()
}
