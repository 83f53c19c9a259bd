// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/memnet"
)

// newFarPair connects two sessions over a link that takes time, and waits until
// both know how much.
func newFarPair(t testing.TB, config string, delay time.Duration, serverMemory *coretest.Memory) (client, server *session) {
	t.Helper()
	link := memnet.New(memnet.Options{Delay: delay, Buffer: 64 << 20})
	listener, err := link.Listen(memnet.Addr(0).Multiaddr())
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	a, err := link.Dial(t.Context(), listener.Multiaddr())
	if err != nil {
		t.Fatal(err)
	}
	b, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	m := coretest.MustLoad[*Muxer](t, "yamux", config)
	client, server = m.mux(a, true, coretest.NewMemory(-1)), m.mux(b, false, serverMemory)
	time.Sleep(2*delay + 1)
	synctest.Wait()
	return client, server
}

// sizeOf returns the size of the stream's window and what the remote has left of
// it.
func sizeOf(st core.MuxedStream) (size, left uint32) {
	s := st.(*stream)
	s.session.mu.Lock()
	defer s.session.mu.Unlock()
	return s.size, s.window
}

func accountOf(st core.MuxedStream) *coretest.StreamMemory {
	return st.(core.Accounted).Memory().(*coretest.StreamMemory)
}

// On a link that is long and fat, a window grows until it holds what is on its
// way, as far as there is memory, which is its stream's alone.
func TestWindowGrows(t *testing.T) {
	const largest = 16 << 20
	for _, row := range []struct {
		name             string
		memory, ofStream int
		config           string
		want             uint32
	}{
		{"with memory", -1, -1, `{}`, largest},
		{"to max_window", -1, -1, `{"max_window": "600KiB"}`, 600 << 10},
		{"never", -1, -1, `{"max_window": "256KiB"}`, initialWindow},
		{"the connection has none", initialWindow, -1, `{}`, initialWindow},
		{"the connection has some", 4 * initialWindow, -1, `{}`, 2 * initialWindow}, // with priority
		{"the stream has none", -1, initialWindow, `{}`, initialWindow},
		{"the stream has some", -1, 5*initialWindow + 1, `{}`, 4 * initialWindow},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const delay, total = 50 * time.Millisecond, 48 << 20
				memory := coretest.NewMemory(row.memory)
				memory.LimitStreams(row.ofStream)
				client, server := newFarPair(t, row.config, delay, memory)
				a, b := openBoth(t, client, server)
				start := time.Now()
				var wg sync.WaitGroup
				wg.Go(func() {
					if n, err := a.Write(make([]byte, total)); err != nil {
						t.Errorf("wrote %d bytes, %v", n, err)
					}
				})
				if _, err := io.CopyN(io.Discard, b, total); err != nil {
					t.Error(err)
				}
				wg.Wait()
				trips := float64(time.Since(start)) / float64(2*delay)
				if size, _ := sizeOf(b); size != row.want {
					t.Errorf("the window has %d bytes, want %d", size, row.want)
				}
				if got := accountOf(b).Reserved(); got != int(row.want) || memory.Reserved() != got {
					t.Errorf("the stream's account has %d bytes and the connection %d, want %d", got, memory.Reserved(), row.want)
				}
				// At least half a window arrives with every round trip.
				if most := float64(total)/float64(row.want/2) + 20; trips > most {
					t.Errorf("%d bytes took %.0f round trips, want %.0f at most", total, trips, most)
				}
				if err := errors.Join(a.Close(), b.Close()); err != nil {
					t.Error(err)
				}
				time.Sleep(4 * delay)
				synctest.Wait()
				if got := memory.Reserved(); got != 0 {
					t.Errorf("%d bytes are still charged", got)
				}
				closePair(t, client, server)
			})
		})
	}
}

// A window stays what it is while its reader is slower than the link.
func TestWindowOfSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay, total = 10 * time.Millisecond, 16 << 20
		client, server := newFarPair(t, `{}`, delay, coretest.NewMemory(-1))
		a, b := openBoth(t, client, server)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := a.Write(make([]byte, total)); err != nil {
				t.Error(err)
			}
		})
		buf := make([]byte, 64<<10)
		for n := 0; n < total; {
			m, err := io.ReadFull(b, buf)
			if n += m; err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * delay)
		}
		wg.Wait()
		if size, left := sizeOf(b); size != initialWindow || left <= initialWindow/2 {
			t.Errorf("%d of %d bytes are left, want more than half of %d", left, size, initialWindow)
		}
		if err := errors.Join(a.Close(), b.Close()); err != nil {
			t.Error(err)
		}
		closePair(t, client, server)
	})
}

// The library must have room for whatever the ledger lets the remote send, and
// the sender must never stall, in whatever steps who reads, and how many do.
func TestWindowIsKeptFull(t *testing.T) {
	for seed := range uint64(6) {
		for _, maximum := range []uint32{initialWindow, 300 << 10, 1 << 20} {
			t.Run(fmt.Sprint(seed, " ", maximum), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := rand.New(rand.NewPCG(seed, uint64(maximum)))
					client, server := newFarPair(t, fmt.Sprintf(`{"max_window": "%dB"}`, maximum), time.Millisecond, coretest.NewMemory(-1))
					const total = 8 << 20
					from, to := openBoth(t, client, server)
					if r.IntN(2) == 0 { // the side that opened reads
						from, to = to, from
					}
					var wg sync.WaitGroup
					wg.Go(func() {
						if _, err := from.Write(make([]byte, total)); err != nil {
							t.Error(err)
						}
					})
					var got atomic.Int64
					for range 1 + r.IntN(3) {
						buf := make([]byte, pick(r, 1000, 65536, 100_001, int(maximum)/2, 1<<20))
						pause := pick(r, 0, 0, time.Millisecond)
						wg.Go(func() {
							for {
								n, err := to.Read(buf)
								if got.Add(int64(n)) == total { // the others wait for more
									if err := to.SetReadDeadline(time.Now()); err != nil {
										t.Error(err)
									}
								}
								if err != nil {
									wantTimeout(t, "Read", err)
									return
								}
								time.Sleep(pause)
							}
						})
					}
					wg.Wait()
					if got.Load() != total {
						t.Errorf("read %d of %d bytes", got.Load(), total)
					}
					if err := errors.Join(from.Close(), to.Close()); err != nil {
						t.Error(err)
					}
					closePair(t, client, server)
				})
			})
		}
	}
}

// What the remote is told of credit adds up to what the ledger believes, and
// the first frames of a stream give none.
func TestCreditOnTheWire(t *testing.T) {
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		mine, its := open(t, p.session), p.accept(1)
		if _, err := its.Write(nil); err != nil {
			t.Fatal(err)
		}
		isCredit := func(h header) bool { return h.kind() == typeWindowUpdate && h.flags()&flagRST == 0 }
		first := p.received(isCredit)
		want := []header{newHeader(typeWindowUpdate, flagSYN, 2, 0), newHeader(typeWindowUpdate, flagACK, 1, 0)}
		if len(first) != 2 || first[0] != want[0] || first[1] != want[1] {
			t.Errorf("got %x, want %x", first, want)
		}
		for _, st := range []core.MuxedStream{mine, its} {
			id, sent := st.(*stream).id, 0
			for i, step := range []struct{ send, read, credit int }{
				{initialWindow / 2, initialWindow/2 - 1, 0},
				{0, 1, initialWindow / 2},
				{initialWindow, 1000, 0},
				{0, initialWindow - 1000, initialWindow},
			} {
				for left := step.send; left > 0; left -= 64 << 10 {
					p.send(typeData, 0, id, 64<<10)
				}
				sent += step.send
				if _, err := io.CopyN(io.Discard, st, int64(step.read)); err != nil {
					t.Fatal(err)
				}
				got := 0
				for _, h := range p.received(isCredit) {
					if h.id() == id {
						got += int(h.length())
					}
				}
				if _, left := sizeOf(st); int(left) != initialWindow+got-sent {
					t.Errorf("stream %d, step %d: the remote may send %d bytes and was told %d", id, i, left, initialWindow+got-sent)
				}
				if step.credit > 0 && got < step.credit {
					t.Errorf("stream %d, step %d: granted %d bytes in all, want %d at least", id, i, got, step.credit)
				}
			}
			if err := st.Reset(0); err != nil {
				t.Error(err)
			}
		}
	})
}

// Credit that is due before the remote has heard that its stream is accepted
// goes out with that.
func TestCreditComesWithTheACK(t *testing.T) {
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		st := p.accept(1)
		for range 4 {
			p.send(typeData, 0, 1, initialWindow/4)
		}
		synctest.Wait()
		if _, err := io.CopyN(io.Discard, st, initialWindow-100); err != nil {
			t.Fatal(err)
		}
		granted := uint32(0)
		for i, h := range p.received(func(h header) bool { return h.id() == 1 }) {
			if want := newHeader(typeWindowUpdate, 0, 1, h.length()); i == 0 {
				want.setFlags(flagACK)
				if h != want {
					t.Errorf("frame %d is %x, want %x", i, h, want)
				}
			}
			granted += h.length()
		}
		if granted < initialWindow/2 {
			t.Errorf("%d bytes are granted, want half a window at least", granted)
		}
	})
}

// Readers do not wait for the connection: who writes takes their grants along.
func TestGrantsGoWithOthers(t *testing.T) {
	withPair(t, func(t *testing.T, client, server *session) {
		a, b := openBoth(t, client, server)
		if _, err := b.Write(nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		server.takeTurn()
		const total = 2 * initialWindow
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := a.Write(make([]byte, total)); err != nil {
				t.Error(err)
			}
		})
		if _, err := io.CopyN(io.Discard, b, initialWindow); err != nil {
			t.Fatal(err)
		}
		if got := server.waitingBytes(); got != 2*headerSize {
			t.Errorf("%d bytes wait, want those of two grants", got)
		}
		server.giveTurn()
		if _, err := io.CopyN(io.Discard, b, initialWindow); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if err := errors.Join(a.Close(), b.Close()); err != nil {
			t.Error(err)
		}
	})
}

// A grant that the remote does not read holds its reader up for as long as a
// write may take, and then the connection has ended.
func TestEvil_C8_GrantsThatAreNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRawPeer(t, `{"write_timeout": "1s", "keepalive": "1h"}`, coretest.NewMemory(-1), true)
		p.send(typeWindowUpdate, flagSYN, 1, 0)
		st, err := p.session.AcceptStream()
		if err != nil {
			t.Fatal(err)
		}
		for range initialWindow / (64 << 10) {
			p.send(typeData, 0, 1, 64<<10)
		}
		if _, err := st.Write(nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		// Fill the way back.
		conn := p.session.conn
		if err := conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		start := time.Now()
		if n, err := io.ReadFull(st, make([]byte, initialWindow/2)); err != nil {
			t.Errorf("read %d bytes, %v", n, err)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("reading took %v, want the write_timeout", d)
		}
		if !p.ended() {
			t.Fatal("the session lives on")
		}
		_, err = st.Read(make([]byte, 1))
		wantConnError(t, "Read", err, errNotReading)
		p.close()
	})
}

// takeTurn has the session's frames wait until giveTurn.
func (s *session) takeTurn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn = true
}

func (s *session) giveTurn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leave()
	s.flushLater()
}

func (s *session) waitingBytes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == nil {
		return 0
	}
	return len(s.pending.b)
}

// Who writes with a deadline, or whose stream may be reset by somebody who waits for
// that, does not wait for a connection that takes nothing.
func TestWriteDeadlineOnFullConnection(t *testing.T) {
	for _, deadline := range []time.Duration{time.Second, time.Minute} {
		t.Run(deadline.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newRawPeer(t, `{"write_timeout": "2s", "keepalive": "1h"}`, coretest.NewMemory(-1), true)
				p.send(typeWindowUpdate, flagSYN, 1, 0)
				st, err := p.session.AcceptStream()
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				conn := p.session.conn
				if err := conn.SetWriteDeadline(time.Now().Add(time.Millisecond)); err != nil {
					t.Fatal(err)
				}
				if _, err := conn.Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatal(err)
				}
				start := time.Now()
				if err := st.SetWriteDeadline(start.Add(deadline)); err != nil {
					t.Fatal(err)
				}
				if _, err := st.Write([]byte("x")); err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took != 0 {
					t.Errorf("the write took %v", took)
				}
				p.close()
			})
		})
	}
}
