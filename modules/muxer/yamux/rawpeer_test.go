// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/memnet"
)

// rawPeer is the remote of a session: it writes what frames it likes. It opened
// the connection, so its stream IDs are odd.
type rawPeer struct {
	t       testing.TB
	conn    *memnet.Conn
	session *session
	memory  *coretest.Memory
	wg      sync.WaitGroup

	mu  sync.Mutex
	got []header // without those of pings
}

// newRawPeer starts a session with a raw peer, which reads unless deaf is true.
func newRawPeer(t testing.TB, config string, memory *coretest.Memory, deaf bool) *rawPeer {
	t.Helper()
	mine, its := memnet.Pipe()
	m := coretest.MustLoad[*Muxer](t, "yamux", config)
	p := &rawPeer{t: t, conn: mine, session: m.mux(its, false, memory), memory: memory}
	if !deaf {
		p.wg.Go(p.read)
	}
	return p
}

func (p *rawPeer) read() {
	for {
		var h header
		if _, err := io.ReadFull(p.conn, h[:]); err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, p.conn, int64(h.body())); err != nil {
			return
		}
		if h.kind() == typePing {
			continue
		}
		p.mu.Lock()
		p.got = append(p.got, h)
		p.mu.Unlock()
	}
}

// send writes a frame; data gets a body of zeros.
func (p *rawPeer) send(kind byte, flags uint16, id, length uint32) {
	p.write(newHeader(kind, flags, id, length))
}

func (p *rawPeer) write(h header) {
	// An error means that the session has ended, which is what tests look at.
	_, _ = p.conn.Write(append(h[:], make([]byte, h.body())...))
}

// received returns the frames that came, as far as pick wants them.
func (p *rawPeer) received(pick func(header) bool) []header {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []header
	for _, h := range p.got {
		if pick(h) {
			list = append(list, h)
		}
	}
	return list
}

func isReset(h header) bool  { return h.flags()&flagRST != 0 }
func isGoAway(h header) bool { return h.kind() == typeGoAway }

func (p *rawPeer) ended() bool {
	synctest.Wait()
	select {
	case <-p.session.Done():
		return true
	default:
		return false
	}
}

// wantAlive fails the test unless the session still takes and serves streams.
func (p *rawPeer) wantAlive(id uint32) {
	p.t.Helper()
	if p.ended() {
		_, err := p.session.AcceptStream()
		p.t.Fatalf("the session has ended: %v", err)
	}
	p.send(typeWindowUpdate, flagSYN, id, 0)
	p.send(typeData, flagFIN, id, 5)
	for {
		st, err := p.session.AcceptStream()
		if err != nil {
			p.t.Fatal(err)
		}
		if st.(*stream).id != id {
			continue
		}
		if b, err := io.ReadAll(st); len(b) != 5 || err != nil {
			p.t.Fatalf("read %d bytes, %v", len(b), err)
		}
		if err := st.Close(); err != nil {
			p.t.Fatal(err)
		}
		return
	}
}

// wantRefused fails the test unless a stream was reset for want of memory, once,
// and the session lives. Nothing else may follow.
func (p *rawPeer) wantRefused(id uint32) {
	p.t.Helper()
	if p.ended() {
		_, err := p.session.AcceptStream()
		p.t.Fatalf("the session has ended: %v", err)
	}
	frames := p.received(func(h header) bool { return h.id() == id })
	reset := newHeader(typeWindowUpdate, flagRST, id, uint32(core.StreamLimitExceeded))
	if n := len(frames); n == 0 || frames[n-1] != reset {
		p.t.Errorf("stream %d: got %x, want %x in the end", id, frames, reset)
	}
	if n := len(slices.DeleteFunc(frames, func(h header) bool { return !isReset(h) })); n > 1 {
		p.t.Errorf("stream %d was reset %d times", id, n)
	}
}

// wantViolation fails the test unless the session ended for a breach of the
// protocol, told the remote, and holds nothing any more.
func (p *rawPeer) wantViolation() {
	p.t.Helper()
	if !p.ended() {
		p.t.Error("the session lives on")
		return
	}
	for {
		st, err := p.session.AcceptStream()
		if err == nil {
			_ = st.Reset(0)
			continue
		}
		var end *core.ConnError
		if !errors.As(err, &end) || end.Code != core.ConnProtocolViolation || end.Remote {
			p.t.Errorf("AcceptStream: %v, want a local protocol violation", err)
		}
		if !errors.Is(err, net.ErrClosed) || !errors.Is(err, core.ErrConnClosed) {
			p.t.Errorf("%v is not net.ErrClosed and core.ErrConnClosed", err)
		}
		break
	}
	goAways := p.received(isGoAway)
	if len(goAways) != 1 || goAways[0].length() != goAwayProtocolError {
		p.t.Errorf("got GoAways %v, want one for a protocol error", goAways)
	}
	p.memory.Check(p.t)
}

func (p *rawPeer) close() {
	p.t.Helper()
	if err := p.session.Close(); err != nil {
		p.t.Errorf("Close: %v", err)
	}
	_ = p.conn.Close()
	p.wg.Wait()
	p.memory.Check(p.t)
}

// withRawPeer runs a test on fake time against a session with no limit of memory.
func withRawPeer(t *testing.T, f func(t *testing.T, p *rawPeer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newRawPeer(t, `{}`, coretest.NewMemory(-1), false)
		f(t, p)
		p.close()
	})
}

// frameRow is a case in which frames must end the session.
type frameRow struct {
	name   string
	frames []header
}

func violations(t *testing.T, rows []frameRow) {
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			withRawPeer(t, func(t *testing.T, p *rawPeer) {
				for i, h := range row.frames {
					if p.ended() {
						t.Fatalf("the session ended before frame %d", i)
					}
					p.write(h)
				}
				p.wantViolation()
			})
		})
	}
}
