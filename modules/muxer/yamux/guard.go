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
	ledger
	output

	// For reading, which only the library's receiver does.
	head header
	rest []byte // what of head the library has not read yet
	body uint32 // what of the body it has not read yet
	tail header // a window update that the library reads after the body; zero if there is none

	// For writing, which only the library's sender does.
	until time.Time // the deadline for the next Write; zero if it is as before

	parting atomic.Uint32 // the code for the GoAway
	gone    chan struct{} // closed when a GoAway was written
	goneBy  sync.Once
}

func newGuard(conn net.Conn, initiator bool, memory core.ConnMemory, maxWindow uint32, writeTimeout time.Duration) *guard {
	return &guard{
		gone:   make(chan struct{}),
		output: output{Conn: conn, timeout: writeTimeout},
		ledger: ledger{
			start:     time.Now(),
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
	if g.tail != (header{}) {
		g.head, g.tail = g.tail, header{}
		g.rest = g.head[:]
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
		g.tail = newHeader(typeWindowUpdate, flagRST, id, 0)
	}
	g.rest, g.body = g.head[:], g.head.body()
	if flags := g.head.flags(); g.body > 0 && flags&flagFIN != 0 {
		// The library would tell a reader of the end before it has the data.
		g.head.setFlags(flags &^ flagFIN)
		g.tail = newHeader(typeWindowUpdate, flagFIN, id, 0)
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
	// The connection ends either way.
	_ = g.writeFrame(newHeader(typeGoAway, 0, 0, goAwayProtocolError))
	return &core.ConnError{Code: core.ConnProtocolViolation, Cause: cause}
}

// writeFrame writes a frame of the guard's own. Those of the library go on
// behind it.
func (g *guard) writeFrame(h header) error {
	_, err := g.put(h[:], g.later())
	return err
}

// Write implements [net.Conn] for the library, which writes whole frames.
func (g *guard) Write(b []byte) (int, error) {
	h := (*header)(b[:headerSize])
	goAway := h.kind() == typeGoAway
	if goAway && h.length() == 0 {
		h.setLength(g.parting.Load())
	}
	if !g.sent(h) {
		return len(b), nil
	}
	n, err := g.put(b, g.until)
	g.until = time.Time{}
	if goAway {
		g.goneBy.Do(func() { close(g.gone) })
	}
	return n, err
}

// SetWriteDeadline implements [net.Conn] for the library, which calls it before
// a Write when much of the last deadline is over. It must not change the one
// of a write that is going on.
func (g *guard) SetWriteDeadline(t time.Time) error {
	g.until = t
	return nil
}

// refill grants the remote more credit if it is time for that.
func (g *guard) refill(st *stream) {
	g.mu.Lock()
	n := g.credit(st)
	g.mu.Unlock()
	if n > 0 {
		g.grant(newHeader(typeWindowUpdate, 0, st.id, n))
	}
}

// Close implements [net.Conn] for the library, which calls it once the session
// has ended.
func (g *guard) Close() error {
	g.ledger.close()
	return g.Conn.Close()
}
