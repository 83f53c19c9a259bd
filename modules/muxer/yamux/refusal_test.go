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

// withRefusal runs a test with a raw peer for whose streams there is no memory
// beyond the initial window.
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

// fill sends a window full of small frames.
func (p *rawPeer) fill(id uint32) {
	for size, left := uint32(1), uint32(initialWindow); left > 0; size = size%61 + 1 {
		size = min(size, left)
		p.send(typeData, 0, id, size)
		left -= size
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

// A stream for which there is no memory is reset, once, whatever comes on it; the
// others and those that come later are not concerned.
func TestRefusedMemoryEndsTheStream(t *testing.T) {
	withRefusal(t, `{"accept_backlog": 2, "max_incoming_streams": 2}`, func(t *testing.T, p *rawPeer) {
		other := p.accept(1)
		p.fill(1)
		p.memory.LimitStreams(initialWindow - 1)
		for id := uint32(3); id < 13; id += 2 {
			p.send(typeData, flagSYN, id, 100)
			p.send(typeData, 0, id, 100)
			p.send(typeWindowUpdate, 0, id, 100)
			p.send(typeWindowUpdate, flagFIN, id, 0)
			p.wantRefused(id)
		}
		if _, err := p.session.OpenStream(t.Context()); !errors.As(err, new(*core.LimitError)) {
			t.Errorf("OpenStream: %v, want a LimitError", err)
		}
		if got := p.memory.Reserved(); got != initialWindow {
			t.Errorf("%d bytes are reserved, want those of one stream", got)
		}
		if n := len(p.session.streams); n != 1 {
			t.Errorf("%d streams are remembered, want the one that is open", n)
		}
		p.send(typeWindowUpdate, flagFIN, 1, 0)
		if b, err := io.ReadAll(other); len(b) != initialWindow || err != nil {
			t.Errorf("the other stream: read %d bytes, %v", len(b), err)
		}
		p.memory.LimitStreams(initialWindow)
		p.wantAlive(13)
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A stream that was reset before the remote has accepted it does not count for
// what may wait for that.
func TestResetMakesRoomForTheNext(t *testing.T) {
	withRefusal(t, `{"accept_backlog": 1}`, func(t *testing.T, p *rawPeer) {
		for range 5 {
			st := open(t, p.session)
			if err := st.Reset(core.StreamLimitExceeded); err != nil {
				t.Error(err)
			}
			p.wantRefused(st.(*stream).id)
			_, err := st.Read(make([]byte, 1))
			wantLimitExceeded(t, "read", err)
			unknown, err := p.session.OpenStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := unknown.Reset(0); err != nil {
				t.Error(err)
			}
		}
		if frames := p.received(func(h header) bool { return h.id() != 0 }); len(frames) != 10 {
			t.Errorf("got frames %x, want a SYN and a RST for each stream that was announced", frames)
		}
		if n, m := p.session.unannounced.len, p.session.unaccepted; n != 0 || m != 0 {
			t.Errorf("%d streams are not announced, %d not accepted", n, m)
		}
	})
}

// However small the frames, a full window takes the memory of its stream and no
// more, on one stream and on many.
func TestEvil_C7_SmallFramesOnAllStreams(t *testing.T) {
	withRefusal(t, `{}`, func(t *testing.T, p *rawPeer) {
		const streams = 3
		var open []core.MuxedStream
		for i := range uint32(streams) {
			open = append(open, p.accept(2*i+1))
			p.fill(2*i + 1)
			p.send(typeWindowUpdate, flagFIN, 2*i+1, 0)
		}
		if p.ended() {
			t.Fatal("the session ended")
		}
		for i, st := range open {
			if held := st.(*stream).in.held; held > initialWindow+maxChunk {
				t.Errorf("stream %d holds %d bytes for %d", i, held, initialWindow)
			}
			if got := accountOf(st).Reserved(); got != initialWindow {
				t.Errorf("the account of stream %d has %d bytes, want %d", i, got, initialWindow)
			}
			if b, err := io.ReadAll(st); len(b) != initialWindow || err != nil {
				t.Errorf("stream %d: read %d bytes, %v", i, len(b), err)
			}
			if held := st.(*stream).in.held; held != 0 {
				t.Errorf("stream %d holds %d bytes in the end", i, held)
			}
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		}
		if resets := p.received(isReset); len(resets) != 0 {
			t.Errorf("streams were reset: %x", resets)
		}
		p.wantAlive(2*streams + 1)
	})
}
