// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

// partingTime is how long the end of a connection may take to tell the remote.
const partingTime = 250 * time.Millisecond

// guard stands between the library and the connection. It reads every header
// before the library does and shows it to the ledger; bodies pass untouched. The
// library writes one frame at a time, so its headers are seen too.
type guard struct {
	net.Conn
	ledger
	writeTimeout time.Duration

	// For reading, which only the library's receiver does.
	head header
	rest []byte // what of head the library has not read yet
	body uint32 // what of the body it has not read yet
	fin  uint32 // the stream whose end is to follow the body

	writing turn // one frame at a time on the connection
	failing atomic.Bool
	broken  atomic.Pointer[error] // why nothing can be written any more
	parting atomic.Uint32         // the code for the GoAway
	gone    chan struct{}         // closed when a GoAway was written
	goneBy  sync.Once
}

func newGuard(conn net.Conn, initiator bool, memory core.Memory, maxWindow uint32, writeTimeout time.Duration) *guard {
	return &guard{
		Conn:         conn,
		writeTimeout: writeTimeout,
		gone:         make(chan struct{}),
		ledger: ledger{
			initiator: initiator,
			maxWindow: maxWindow,
			memory:    memory,
			streams:   make(map[uint32]*stream),
		},
	}
}

// Read implements [net.Conn] for the library.
func (g *guard) Read(b []byte) (int, error) {
	if len(g.rest) == 0 && g.body == 0 {
		if err := g.next(); err != nil {
			return 0, err
		}
	}
	if len(g.rest) > 0 {
		n := copy(b, g.rest)
		g.rest = g.rest[n:]
		return n, nil
	}
	n, err := g.Conn.Read(b[:min(len(b), int(g.body))])
	g.body -= uint32(n)
	return n, g.explainRead(err)
}

// explainRead puts the reason for which reading had to end soon before the
// deadline that ended it.
func (g *guard) explainRead(err error) error {
	if broken := g.broken.Load(); broken != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return *broken
	}
	return err
}

// next reads a header and has it judged.
func (g *guard) next() error {
	if g.fin != 0 {
		g.head = newHeader(typeWindowUpdate, flagFIN, g.fin, 0)
		g.rest, g.fin = g.head[:], 0
		return nil
	}
	if _, err := io.ReadFull(g.Conn, g.head[:]); err != nil {
		return g.explainRead(err)
	}
	id := g.head.id()
	refused, err := g.received(&g.head)
	if errors.Is(err, net.ErrClosed) {
		return err
	}
	if err != nil {
		return g.fail(err)
	}
	if reason := g.head.length(); g.head.kind() == typeGoAway && reason != 0 {
		return goneAway(reason)
	}
	if refused {
		reset := newHeader(typeWindowUpdate, flagRST, id, uint32(core.StreamLimitExceeded))
		if err := g.writeFrame(reset); err != nil {
			return err
		}
	}
	g.rest, g.body = g.head[:], g.head.body()
	if flags := g.head.flags(); g.body > 0 && flags&flagFIN != 0 {
		// The library would tell a reader of the end before it has the data.
		g.head.setFlags(flags &^ flagFIN)
		g.fin = g.head.id()
	}
	return nil
}

// goneAway is what a GoAway that ends the connection means.
func goneAway(reason uint32) error {
	switch reason {
	case goAwayProtocolError:
		return &core.ConnError{Code: core.ConnProtocolViolation, Remote: true}
	case goAwayInternalError:
		return &core.ConnError{Remote: true, Cause: errRemoteInternal}
	}
	return &core.ConnError{Code: core.ConnCode(reason), Remote: true}
}

// fail tells the remote that it broke the protocol.
func (g *guard) fail(cause error) error {
	g.hurry()
	goAway := newHeader(typeGoAway, 0, 0, goAwayProtocolError)
	g.writing.take()
	defer g.writing.give()
	_, _ = g.Conn.Write(goAway[:]) // the connection ends either way
	return &core.ConnError{Code: core.ConnProtocolViolation, Cause: cause}
}

// hurry makes everything that is still written end soon.
func (g *guard) hurry() {
	g.failing.Store(true)
	_ = g.Conn.SetWriteDeadline(time.Now().Add(partingTime))
}

// writeFrame writes a frame of the guard's own. Those of the library go on
// behind it.
func (g *guard) writeFrame(h header) error {
	g.writing.take()
	defer g.writing.give()
	if err := g.SetWriteDeadline(time.Now().Add(g.writeTimeout)); err != nil {
		return err
	}
	if g.broken.Load() != nil {
		return nil
	}
	_, err := g.Conn.Write(h[:])
	return err
}

// Write implements [net.Conn] for the library, which writes whole frames.
func (g *guard) Write(b []byte) (int, error) {
	h := (*header)(b[:headerSize])
	goAway := h.kind() == typeGoAway
	if goAway && h.length() == 0 {
		h.setLength(g.parting.Load())
	}
	g.sent(h)
	g.writing.take()
	defer g.writing.give()
	if goAway {
		defer g.goneBy.Do(func() { close(g.gone) })
	}
	if g.broken.Load() != nil {
		return len(b), nil
	}
	n, err := g.Conn.Write(b)
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
		return n, err
	}
	// The remote has closed the connection. The library would end the session
	// at once, and with it what the remote sent before.
	broken := err // which is on the heap, and err is not
	g.broken.Store(&broken)
	return len(b), g.Conn.SetReadDeadline(time.Now().Add(partingTime))
}

// SetWriteDeadline implements [net.Conn] for the library.
func (g *guard) SetWriteDeadline(t time.Time) error {
	if g.failing.Load() {
		return nil
	}
	return g.Conn.SetWriteDeadline(t)
}

// Close implements [net.Conn] for the library, which calls it once the session
// has ended.
func (g *guard) Close() error {
	g.ledger.close()
	return g.Conn.Close()
}

// restore makes up for grants of credit that the library believes it has sent.
// It brings the window to half the initial one when half of that is left: the
// library believes at least that after every read. As grants of the library may
// still wait to be written, what is given here is taken off the next of them.
func (g *guard) restore(s *stream) {
	const enough = initialWindow / 2
	g.mu.Lock()
	have := s.arrived - s.read.Load() + uint64(s.window)
	if g.closed || have > enough/2 || s.localDone() || s.reset != 0 || s.gotFIN {
		g.mu.Unlock()
		return
	}
	grant := uint32(enough - have)
	s.window += grant
	s.prepaid += grant
	g.mu.Unlock()
	// If this fails the connection has ended, and the next Read says so.
	_ = g.writeFrame(newHeader(typeWindowUpdate, 0, s.id, grant))
}
