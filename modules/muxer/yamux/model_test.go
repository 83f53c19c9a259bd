// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/memnet"
)

// model says which frames from the opener of a connection break the protocol,
// as long as nobody accepts its streams and 2, 4 and 6 were opened to it.
type model struct {
	streams map[uint32]*modelStream
}

type modelStream struct {
	window, credit uint64
	over           bool // both sides know that it is over
}

func newModel() *model {
	m := &model{streams: make(map[uint32]*modelStream)}
	for _, id := range []uint32{2, 4, 6} {
		m.streams[id] = &modelStream{window: initialWindow, credit: initialWindow}
	}
	return m
}

func (m *model) clone() *model {
	c := &model{streams: make(map[uint32]*modelStream)}
	for id, st := range m.streams {
		copied := *st
		c.streams[id] = &copied
	}
	return c
}

// breach reports whether the session must end with this frame.
func (m *model) breach(h header) bool {
	id, flags, n := h.id(), h.flags(), uint64(h.length())
	syn := flags&flagSYN != 0
	switch {
	case h.version() != 0 || h.kind() > typeGoAway:
		return true
	case h.kind() == typePing:
		return id != 0 || flags != flagSYN && flags != flagACK
	case h.kind() == typeGoAway:
		return id != 0 || flags != 0 || n != 0
	case flags > 15 || id == 0:
		return true
	}
	st := m.streams[id]
	if syn {
		if st != nil || id%2 == 0 || flags&flagACK != 0 {
			return true
		}
		st = &modelStream{window: initialWindow, credit: initialWindow}
		m.streams[id] = st
	}
	switch {
	case st == nil:
		return true
	case st.over:
		return h.kind() == typeData && n > 16<<20
	case h.kind() == typeData && n > st.window:
		return true
	case h.kind() == typeData:
		st.window -= n
	case flags&flagRST == 0:
		if st.credit += n; st.credit >= 1<<32 {
			return true
		}
	}
	st.over = flags&flagRST != 0 && id%2 == 0
	return false
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// randomFrame is one that makes sense by itself, mostly.
func randomFrame(r *rand.Rand) header {
	kind := pick(r, typeData, typeData, typeWindowUpdate, typeWindowUpdate, typeWindowUpdate, typePing, typeGoAway)
	id := 1 + r.Uint32N(12)
	flags := pick(r, flagSYN, flagSYN, 0, 0, 0, flagACK, flagFIN, flagRST, flagFIN|flagACK)
	length := pick(r, 0, 1, 77, 5000, 100_000, r.Uint32N(initialWindow), r.Uint32N(1<<31))
	switch kind {
	case typeData:
		length = pick[uint32](r, 0, 1, 77, 5000, 60_000)
	case typePing:
		id, flags = 0, pick(r, flagSYN, flagACK)
	case typeGoAway:
		id, flags, length = 0, 0, 0
	}
	switch r.IntN(40) {
	case 0:
		flags = uint16(r.Uint32N(32))
	case 1:
		id = pick[uint32](r, 0, 100, 101)
	case 2:
		length = pick[uint32](r, initialWindow, initialWindow+1, 16<<20+1, 0xFFFFFFFF)
	case 3:
		kind = byte(r.IntN(6))
	}
	return newHeader(kind, flags, id, length)
}

func TestEvil_C6_RandomFrames(t *testing.T) {
	ended, survived := 0, 0
	for seed := range uint64(400) {
		withRawPeer(t, func(t *testing.T, p *rawPeer) {
			for range 3 {
				open(t, p.session)
			}
			synctest.Wait()
			r := rand.New(rand.NewPCG(seed, 1))
			m := newModel()
			var sent []header
			for range 40 {
				h := randomFrame(r)
				for m.clone().breach(h) && r.IntN(50) != 0 {
					h = randomFrame(r)
				}
				sent = append(sent, h)
				want := m.breach(h)
				if want && h.body() > 1<<20 {
					if _, err := p.conn.Write(h[:]); err != nil {
						t.Fatal(err)
					}
				} else {
					p.write(h)
				}
				if got := p.ended(); got != want {
					_, err := p.session.AcceptStream()
					t.Fatalf("seed %d: ended %v, want %v (%v), after %x", seed, got, want, err, sent)
				}
				if want {
					ended++
					return
				}
			}
			survived++
		})
	}
	if ended < 50 || survived < 50 {
		t.Errorf("%d sessions ended and %d survived: the frames are badly mixed", ended, survived)
	}
}

func FuzzSession(f *testing.F) {
	frames := func(list ...header) (b []byte) {
		for _, h := range list {
			b = append(append(b, h[:]...), make([]byte, h.body())...)
		}
		return b
	}
	open := newHeader(typeWindowUpdate, flagSYN, 1, 0)
	f.Add(false, true, frames(open, newHeader(typeData, 0, 1, 5), newHeader(typeWindowUpdate, flagFIN, 1, 0)))
	f.Add(false, true, frames(open, newHeader(typeWindowUpdate, flagRST, 1, 7), newHeader(typeData, 0, 1, 9)))
	f.Add(true, true, frames(newHeader(typeWindowUpdate, flagACK, 1, 100), newHeader(typeData, flagFIN, 1, 100)))
	f.Add(true, true, frames(newHeader(typePing, flagSYN, 0, 1), newHeader(typeGoAway, 0, 0, 0)))
	f.Add(false, false, []byte{1, 1, 0, 0, 1, 2, 0, 3, 0, 4, 0, 5})
	f.Add(true, false, []byte{0, 3, 0, 4, 0, 4, 0, 4, 9, 9, 13, 13})
	f.Fuzz(func(t *testing.T, initiator, raw bool, data []byte) {
		synctest.Test(t, func(t *testing.T) {
			fuzzSession(t, initiator, raw, data)
		})
	})
}

// fuzzSession sends data, or frames made of it, to a session that echoes.
// Whatever comes, the session must end with its connection, and nothing of it
// may be left.
func fuzzSession(t *testing.T, initiator, raw bool, data []byte) {
	mine, its := memnet.Pipe()
	memory := coretest.NewMemory(8 * initialWindow)
	s := coretest.MustLoad[*Muxer](t, "yamux", `{}`).mux(its, initiator, memory)
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(io.Discard, mine) })
	wg.Go(func() {
		for {
			st, err := s.AcceptStream()
			if err != nil {
				return
			}
			wg.Go(func() {
				_, _ = io.Copy(st, st)
				_ = st.Close()
			})
		}
	})
	for range 2 {
		st, err := s.OpenStream(t.Context())
		if err != nil {
			break
		}
		wg.Go(func() {
			_, _ = st.Write(make([]byte, 100))
			_ = st.CloseWrite()
			if _, err := io.ReadAll(st); err != nil && !errors.Is(err, net.ErrClosed) {
				t.Errorf("read: %v", err)
			}
		})
	}
	if raw {
		_, _ = mine.Write(data)
	} else {
		lengths := []uint32{0, 1, 77, 5000, 65507, initialWindow, initialWindow + 1, 1 << 31}
		for ; len(data) >= 4; data = data[4:] {
			h := newHeader(data[0]%5, uint16(data[1]%18), uint32(data[2]%10), lengths[data[3]%8])
			_, _ = mine.Write(append(h[:], make([]byte, min(h.body(), 1<<20))...))
			if data[3]&8 != 0 {
				synctest.Wait()
			}
		}
	}
	_ = mine.CloseWrite()
	<-s.Done()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	_ = mine.Close()
	wg.Wait()
	memory.Check(t)
}
