// SPDX-License-Identifier: Apache-2.0 OR MIT

package mplex

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/memnet"
)

// rawPeer is the remote of a session: it writes what frames it likes.
type rawPeer struct {
	t       testing.TB
	conn    *memnet.Conn
	session *session
	memory  *coretest.Memory
	wg      sync.WaitGroup

	mu  sync.Mutex
	got []frame
}

// newRawPeer starts a session with a raw peer, which reads unless deaf is true.
func newRawPeer(t testing.TB, config string, memory *coretest.Memory, deaf bool) *rawPeer {
	t.Helper()
	mine, its := memnet.Pipe()
	m := coretest.MustLoad[*Muxer](t, "mplex", config)
	p := &rawPeer{t: t, conn: mine, session: m.mux(its, memory), memory: memory}
	if !deaf {
		p.wg.Go(p.read)
	}
	return p
}

func (p *rawPeer) read() {
	in := bufio.NewReader(p.conn)
	for {
		f, err := readFrame(in)
		if err != nil {
			return
		}
		if _, err := in.Discard(f.length); err != nil {
			return
		}
		p.mu.Lock()
		p.got = append(p.got, f)
		p.mu.Unlock()
	}
}

// send writes a frame, with zeros for data.
func (p *rawPeer) send(flag byte, id uint64, length int) {
	b := appendFrame(nil, frame{id: id, flag: flag, length: length})
	// An error means that the session has ended, which is what tests look at.
	_, _ = p.conn.Write(append(b, make([]byte, length)...))
}

// received counts the frames that came with a flag.
func (p *rawPeer) received(flag byte) (n int) {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.got {
		if f.flag == flag {
			n++
		}
	}
	return n
}

func (p *rawPeer) ended() bool {
	synctest.Wait()
	select {
	case <-p.session.Done():
		return true
	default:
		return false
	}
}

func (p *rawPeer) accept() core.MuxedStream {
	p.t.Helper()
	st, err := p.session.AcceptStream()
	if err != nil {
		p.t.Fatal(err)
	}
	return st
}

// wantAlive fails the test unless the session still takes and serves streams.
func (p *rawPeer) wantAlive(id uint64) {
	p.t.Helper()
	if p.ended() {
		_, err := p.session.AcceptStream()
		p.t.Fatalf("the session has ended: %v", err)
	}
	p.send(flagNewStream, id, 3)
	p.send(flagMessageInitiator, id, 5)
	p.send(flagCloseInitiator, id, 0)
	for {
		st := p.accept()
		if st.(*stream).key.id != id {
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

// wantViolation fails the test unless the session ended for a breach of the
// protocol, and holds nothing any more once it is closed.
func (p *rawPeer) wantViolation() {
	p.t.Helper()
	if !p.ended() {
		p.t.Error("the session lives on")
		return
	}
	_, err := p.session.AcceptStream()
	var end *core.ConnError
	if !errors.As(err, &end) || end.Code != core.ConnProtocolViolation || end.Remote || !errors.Is(err, net.ErrClosed) {
		p.t.Errorf("AcceptStream: %v, want a local protocol violation", err)
	}
}

func (p *rawPeer) close() {
	p.t.Helper()
	if err := p.session.Close(); err != nil {
		p.t.Errorf("Close: %v", err)
	}
	_ = p.conn.Close()
	p.wg.Wait()
	p.memory.Check(p.t)
	if len(p.session.streams) > 0 || p.session.inbound != 0 {
		p.t.Errorf("%d streams are left, %d of them inbound", len(p.session.streams), p.session.inbound)
	}
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

// row is a case in which what is sent must end the session.
type row struct {
	name string
	sent [][]byte
}

func violations(t *testing.T, rows []row) {
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			withRawPeer(t, func(t *testing.T, p *rawPeer) {
				for i, b := range r.sent {
					if p.ended() {
						t.Fatalf("the session ended before frame %d", i)
					}
					_, _ = p.conn.Write(b) // see send
				}
				p.wantViolation()
			})
		})
	}
}

func bytesOf(flag byte, id uint64, length int) []byte {
	return appendFrame(nil, frame{id: id, flag: flag, length: length})
}

// newPair returns two sessions that are connected.
func newPair(t testing.TB, config string) (a, b *session) {
	t.Helper()
	m := coretest.MustLoad[*Muxer](t, "mplex", config)
	x, y := memnet.Pipe()
	memory := coretest.NewMemory(-1)
	a, b = m.mux(x, memory), m.mux(y, memory)
	t.Cleanup(func() {
		for _, s := range []*session{a, b} {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		memory.Check(t)
	})
	return a, b
}

// openBoth returns both ends of a stream on which a byte was sent.
func openBoth(t testing.TB, from, to *session) (out, in core.MuxedStream) {
	t.Helper()
	out, err := from.OpenStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	if in, err = to.AcceptStream(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(in, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return out, in
}
