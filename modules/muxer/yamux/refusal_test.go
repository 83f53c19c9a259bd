// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// withRefusal runs a test with a raw peer for whose small frames there is no
// memory beyond those that are free.
func withRefusal(t *testing.T, config string, f func(t *testing.T, p *rawPeer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		memory := coretest.NewMemory(-1)
		memory.LimitStreams(initialWindow)
		p := newRawPeer(t, config, memory, false)
		f(t, p)
		p.close()
	})
}

// fill sends as many small frames as are free.
func (p *rawPeer) fill(id uint32) {
	for range 2*smallBlock - 1 {
		p.send(typeData, 0, id, 1)
	}
}

func (p *rawPeer) accept(id uint32) core.MuxedStream {
	p.t.Helper()
	p.send(typeWindowUpdate, flagSYN, id, 0)
	st, err := p.session.AcceptStream()
	if err != nil {
		p.t.Fatal(err)
	}
	return st
}

func wantLimitExceeded(t *testing.T, what string, err error) {
	t.Helper()
	end, ok := errors.AsType[*core.StreamError](err)
	if !ok || end.Code != core.StreamLimitExceeded || end.Remote {
		t.Errorf("%s: %v, want a local reset with code %#x", what, err, core.StreamLimitExceeded)
	}
}

// What ends is one stream, for all who use it; another one has the same buffer
// full and is read to its end.
func TestRefusedMemoryEndsTheStream(t *testing.T) {
	withRefusal(t, `{}`, func(t *testing.T, p *rawPeer) {
		st, other := p.accept(1), p.accept(3)
		p.fill(3)
		p.fill(1)
		p.wg.Go(func() {
			_, err := st.Write(make([]byte, 2*initialWindow)) // more than it may
			wantLimitExceeded(t, "a write that waits", err)
		})
		synctest.Wait()
		p.send(typeData, 0, 1, smallFrame-1)
		synctest.Wait()
		_, err := st.Read(make([]byte, 1))
		wantLimitExceeded(t, "read", err)
		_, err = st.Write(make([]byte, 1))
		wantLimitExceeded(t, "write", err)
		if err := st.Reset(core.StreamRateLimited); err != nil {
			t.Error(err)
		}
		p.send(typeData, 0, 1, 100)
		p.send(typeWindowUpdate, flagRST, 1, uint32(core.StreamShutdown))
		p.wantRefused(1)
		_, err = st.Read(make([]byte, 1))
		wantLimitExceeded(t, "read at last", err)

		p.send(typeWindowUpdate, flagFIN, 3, 0)
		if b, err := io.ReadAll(other); len(b) != 2*smallBlock-1 || err != nil {
			t.Errorf("the other stream: read %d bytes, %v", len(b), err)
		}
		if err := other.Close(); err != nil {
			t.Error(err)
		}
		p.wantAlive(5)
	})
}

// The library learns of the reset too: it would count a stream that the remote
// never acknowledged for ever, and hand out one that waits to be accepted.
func TestRefusedMemoryIsTheLibrarysToo(t *testing.T) {
	withRefusal(t, `{"accept_backlog": 1, "max_incoming_streams": 1}`, func(t *testing.T, p *rawPeer) {
		for id := uint32(2); id < 10; id += 2 {
			st, err := p.session.OpenStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			p.fill(id)
			p.send(typeData, 0, id, 1)
			p.wantRefused(id)
			_, err = st.Read(make([]byte, 1))
			wantLimitExceeded(t, "read", err)
			if n := accountOf(st).Reserved(); n != 0 {
				t.Errorf("stream %d: %d bytes are reserved", id, n)
			}
		}
		for id := uint32(1); id < 10; id += 2 {
			p.send(typeWindowUpdate, flagSYN, id, 0)
			p.fill(id)
			p.send(typeData, 0, id, 1)
			p.wantRefused(id)
			if id%4 == 1 {
				p.wantAlive(id + 100) // who accepts passes it over
			}
		}
		if n := len(p.session.guard.prepared); n != 0 {
			t.Errorf("%d accounts are left", n)
		}
	})
}

// The frame that is too much may be the last one.
func TestRefusedMemoryWithFIN(t *testing.T) {
	withRefusal(t, `{}`, func(t *testing.T, p *rawPeer) {
		st := p.accept(1)
		p.fill(1)
		p.send(typeData, flagFIN, 1, 1)
		p.wantRefused(1)
		_, err := st.Read(make([]byte, 1))
		wantLimitExceeded(t, "read", err)
		if n := len(p.session.guard.streams); n != 0 {
			t.Errorf("%d streams are remembered", n)
		}
		p.wantAlive(3)
	})
}

// Who has no memory left for small frames may do that to every stream, and to
// nothing else.
func TestEvil_C7_SmallFramesOnAllStreams(t *testing.T) {
	withRefusal(t, `{}`, func(t *testing.T, p *rawPeer) {
		const streams = 20
		for i := range uint32(streams) {
			p.accept(2*i + 1)
		}
		for i := range uint32(streams) {
			p.fill(2*i + 1)
			p.send(typeData, 0, 2*i+1, 1)
		}
		for i := range uint32(streams) {
			p.wantRefused(2*i + 1)
		}
		if n := p.memory.Reserved(); n != 0 {
			t.Errorf("%d bytes are reserved", n)
		}
		p.wantAlive(2*streams + 1)
	})
}
