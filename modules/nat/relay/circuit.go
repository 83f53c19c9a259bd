// SPDX-License-Identifier: Apache-2.0 OR MIT

package relay

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	// smallBuffer is what one direction of a circuit holds while little comes.
	smallBuffer = 4 << 10
	// largeBuffer is what it holds while much does: as much as goes into the
	// frame of a muxer and the record of a secure channel.
	largeBuffer = 64 << 10
	// maxLarge bounds the large buffers in use, at 8 MiB in all. Circuits
	// beyond go on with small ones.
	maxLarge = 128
)

// Buffers are used again: most circuits are short.
var (
	smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
)

// errSpent means that a circuit has carried all that it may.
var errSpent = errors.New("the circuit's data is used up")

// circuits copies between the streams of the two ends of circuits.
type circuits struct {
	large atomic.Int32  // buffers in use
	bytes atomic.Uint64 // copied

	mu   sync.Mutex
	open map[*circuit]struct{} // bounded by Service.Circuits
}

// circuit is a connection between two peers.
type circuit struct {
	from, to    peer.ID
	opened      time.Time
	limit       Limit
	forth, back atomic.Uint64 // copied, as from sees it
}

// enter notes that a circuit is open, until leave is called.
func (c *circuits) enter(o *circuit) (leave func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = make(map[*circuit]struct{})
	}
	c.open[o] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.open, o)
	}
}

// join copies both ways between a, which is from's stream, and b until both sides
// have ended, or one fails, the limit is reached or time is up: then both are reset.
func (c *circuits) join(o *circuit, a, b core.Stream) error {
	defer c.enter(o)()
	var deadline time.Time
	if o.limit.Duration > 0 {
		deadline = o.opened.Add(o.limit.Duration)
	}
	a.SetDeadline(deadline)
	b.SetDeadline(deadline)
	fail := func(err error) error {
		if err != nil {
			a.Reset(core.StreamNoError)
			b.Reset(core.StreamNoError)
		}
		return err
	}
	var back error
	var wg sync.WaitGroup
	wg.Go(func() { back = fail(c.copy(a, b, o.limit.Data, &o.back)) })
	forth := fail(c.copy(b, a, o.limit.Data, &o.forth))
	wg.Wait()
	return errors.Join(forth, back)
}

// copy copies from src to dst until src ends, and passes that on. At most limit
// bytes go through if that is not 0. count grows by what has.
func (c *circuits) copy(dst, src core.Stream, limit uint64, count *atomic.Uint64) error {
	b := buffer{circuits: c}
	defer b.free()
	var n uint64
	for {
		space := b.space()
		if left := limit - n; limit > 0 && uint64(len(space)) > left {
			space = space[:max(left, 1)] // one more byte than there may be ends it
		}
		m, err := src.Read(space)
		if n += uint64(m); limit > 0 && n > limit {
			return errSpent
		}
		if m > 0 {
			if _, err := dst.Write(space[:m]); err != nil {
				return err
			}
			c.bytes.Add(uint64(m))
			count.Add(uint64(m))
			b.used(m)
		}
		switch err {
		case nil:
		case io.EOF:
			return dst.CloseWrite()
		default:
			return err
		}
	}
}

// buffer is what one direction reads into: small until it is filled, large until
// reads bring little again.
type buffer struct {
	circuits *circuits
	small    *[smallBuffer]byte
	large    *[largeBuffer]byte
}

func (b *buffer) space() []byte {
	if b.large != nil {
		return b.large[:]
	}
	if b.small == nil {
		b.small = smallBuffers.Get().(*[smallBuffer]byte)
	}
	return b.small[:]
}

// used chooses the size for the next read by what the last one has brought.
func (b *buffer) used(n int) {
	switch {
	case b.large == nil && n == smallBuffer:
		if b.circuits.large.Add(1) > maxLarge {
			b.circuits.large.Add(-1)
			return
		}
		b.large = largeBuffers.Get().(*[largeBuffer]byte)
		smallBuffers.Put(b.small)
		b.small = nil
	case b.large != nil && n < smallBuffer/2:
		b.freeLarge()
	}
}

func (b *buffer) freeLarge() {
	largeBuffers.Put(b.large)
	b.large = nil
	b.circuits.large.Add(-1)
}

func (b *buffer) free() {
	if b.small != nil {
		smallBuffers.Put(b.small)
	}
	if b.large != nil {
		b.freeLarge()
	}
}
