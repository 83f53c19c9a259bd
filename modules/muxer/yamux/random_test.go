// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// Both sides of many streams at once write, close and reset as they like. What
// arrives must be what was sent, all of it unless somebody reset or stopped
// reading, and nothing may stall.
func TestRandomStreams(t *testing.T) {
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 2))
			memory := pick(r, -1, 20*initialWindow, 100*initialWindow)
			var client, server *session
			if delay := pick(r, 0, time.Millisecond); delay == 0 {
				client, server = newPair(t, coretest.NewMemory(-1), coretest.NewMemory(memory))
			} else { // windows grow
				client, server = newFarPair(t, `{}`, delay, coretest.NewMemory(memory))
			}
			var wg sync.WaitGroup
			for range 16 {
				pair := [2]*session{client, server}
				if r.IntN(2) == 0 {
					pair = [2]*session{server, client}
				}
				a, b := openBoth(t, pair[0], pair[1])
				sides := [2]*side{newSide(r, a), newSide(r, b)}
				for i, s := range sides {
					other := sides[1-i]
					wg.Go(func() { s.send(t, other) })
					wg.Go(func() { s.receive(t, other) })
				}
			}
			wg.Wait()
			time.Sleep(time.Second)
			synctest.Wait()
			for _, s := range []*session{client, server} {
				if got := s.memory.(*coretest.Memory).Reserved(); got != 0 {
					t.Errorf("seed %d: %d bytes are still charged", seed, got)
				}
			}
			closePair(t, client, server)
		})
	}
}

// side is what one side of a stream does.
type side struct {
	st      core.MuxedStream
	message []byte
	chunk   int
	pause   time.Duration
	resets  bool // once it has sent its message
	deaf    bool // stops reading at some point
	limit   int  // where
	buffer  int
}

func newSide(r *rand.Rand, st core.MuxedStream) *side {
	s := &side{
		st:      st,
		message: make([]byte, pick(r, 0, 1, 100, initialWindow, initialWindow+1, r.IntN(2<<20))),
		chunk:   pick(r, 1000, 65507, 1<<20),
		pause:   pick(r, 0, 0, time.Millisecond),
		resets:  r.IntN(8) == 0,
		deaf:    r.IntN(8) == 0,
		limit:   r.IntN(1 << 20),
		buffer:  pick(r, 1000, 4096, 1<<20),
	}
	for i := range s.message {
		s.message[i] = byte(r.Uint32())
	}
	return s
}

func (s *side) send(t *testing.T, other *side) {
	for rest := s.message; len(rest) > 0; {
		n, err := s.st.Write(rest[:min(len(rest), s.chunk)])
		if rest = rest[n:]; err != nil {
			if !other.resets && !other.deaf && !s.deaf || !errors.Is(err, net.ErrClosed) {
				t.Errorf("write: %v", err)
			}
			break
		}
		time.Sleep(s.pause)
	}
	if s.resets {
		_ = s.st.Reset(7)
		return
	}
	_ = s.st.CloseWrite()
}

func (s *side) receive(t *testing.T, other *side) {
	got := 0
	buf := make([]byte, s.buffer)
	for {
		n, err := s.st.Read(buf)
		if !bytes.HasPrefix(other.message[got:], buf[:n]) {
			t.Error("what arrived is not what was sent")
			_ = s.st.Reset(9)
			return
		}
		got += n
		if s.deaf && got >= s.limit {
			// A remote that writes on would wait for ever.
			_ = s.st.Reset(8)
			return
		}
		if err == nil {
			continue
		}
		if whole := got == len(other.message); !whole && !s.resets && !other.resets && !other.deaf {
			t.Errorf("%d of %d bytes arrived, then: %v", got, len(other.message), err)
		}
		_ = s.st.CloseRead()
		return
	}
}
