// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

func TestEvil_C1_WindowUpdatesOverflow(t *testing.T) {
	open := newHeader(typeWindowUpdate, flagSYN, 1, 0)
	most := uint32(maxCredit - initialWindow)
	violations(t, []frameRow{
		{"all at once", []header{open, newHeader(typeWindowUpdate, 0, 1, 0xFFFFFFFF)}},
		{"with SYN", []header{newHeader(typeWindowUpdate, flagSYN, 1, 0xFFFFFFFF)}},
		{"one too many", []header{open, newHeader(typeWindowUpdate, 0, 1, most), newHeader(typeWindowUpdate, 0, 1, 1)}},
		{"with FIN", []header{open, newHeader(typeWindowUpdate, 0, 1, most), newHeader(typeWindowUpdate, flagFIN, 1, 1)}},
	})
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		p.write(open)
		p.send(typeWindowUpdate, 0, 1, most)
		p.wantAlive(3)
	})
}

func TestEvil_C2_DataBeyondTheWindow(t *testing.T) {
	open := newHeader(typeWindowUpdate, flagSYN, 1, 0)
	violations(t, []frameRow{
		{"with SYN", []header{newHeader(typeData, flagSYN, 1, initialWindow+1)}},
		{"after SYN", []header{open, newHeader(typeData, 0, 1, initialWindow+1)}},
		{"in two frames", []header{open, newHeader(typeData, 0, 1, initialWindow), newHeader(typeData, 0, 1, 1)}},
	})
	for _, flags := range []uint16{0, flagSYN} {
		// Without the body, which must not be waited for.
		withRawPeer(t, func(t *testing.T, p *rawPeer) {
			if flags == 0 {
				p.write(open)
			}
			h := newHeader(typeData, flags, 1, 0xFFFFFFFF)
			if _, err := p.conn.Write(h[:]); err != nil {
				t.Fatal(err)
			}
			p.wantViolation()
		})
	}
}

func TestEvil_C3_StreamFlood(t *testing.T) {
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		const flood = 100_000
		for i := range uint32(flood) {
			p.send(typeWindowUpdate, flagSYN, 2*i+1, 0)
		}
		if resets := p.received(isReset); len(resets) != flood-256 {
			t.Errorf("%d streams were reset, want %d", len(resets), flood-256)
		} else if code := core.StreamCode(resets[0].length()); code != core.StreamLimitExceeded {
			t.Errorf("code %#x, want %#x", code, core.StreamLimitExceeded)
		}
		if got := p.memory.Reserved(); got != 256*initialWindow {
			t.Errorf("%d bytes are charged, want %d", got, 256*initialWindow)
		}
		if got := len(p.session.streams); got > 256+maxLingering {
			t.Errorf("%d streams are remembered", got)
		}
		for range 256 {
			st, err := p.session.AcceptStream()
			if err != nil {
				t.Fatal(err)
			}
			if err := st.Close(); err != nil {
				t.Fatal(err)
			}
		}
		p.wantAlive(2*flood + 1)
	})
}

// Streams that the remote resets as it opens them, with no room for them, are
// forgotten.
func TestEvil_C4_ResetStreamsWithoutRoomAreForgotten(t *testing.T) {
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		id := uint32(1)
		for range 5 {
			for range maxAbuse {
				p.send(typeWindowUpdate, flagSYN|flagRST, id, 0)
				id += 2
			}
			time.Sleep(abusePeriod + time.Second)
		}
		if p.ended() {
			t.Fatal("the session ended")
		}
		if streams, waiting := len(p.session.streams), p.session.backlog.len; streams != 0 || waiting != 0 {
			t.Errorf("%d streams are remembered, and %d wait to be accepted", streams, waiting)
		}
		p.memory.Check(t)
		if resets := p.received(isReset); len(resets) != 0 {
			t.Errorf("%d streams were refused, which were over", len(resets))
		}
	})
}

func TestEvil_C3_TooManyOpenStreams(t *testing.T) {
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		var open []core.MuxedStream
		for i := range uint32(1001) {
			p.send(typeWindowUpdate, flagSYN, 2*i+1, 0)
			if synctest.Wait(); i == 1000 {
				break
			}
			st, err := p.session.AcceptStream()
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, st)
		}
		if resets := p.received(isReset); len(resets) != 1 || resets[0].id() != 2001 {
			t.Errorf("resets %v, want one of stream 2001", resets)
		}
		if err := open[0].Reset(0); err != nil {
			t.Fatal(err)
		}
		p.wantAlive(2003)
	})
}

func TestEvil_C3_NoMemoryForAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRawPeer(t, `{}`, coretest.NewMemory(initialWindow), false)
		p.send(typeWindowUpdate, flagSYN, 1, 0)
		p.send(typeData, flagSYN, 3, 1000)
		p.send(typeData, flagFIN, 3, 1000)
		p.send(typeWindowUpdate, flagSYN|flagFIN, 5, 0)
		resets := p.received(isReset)
		if len(resets) != 2 || resets[0] != newHeader(typeWindowUpdate, flagRST, 3, uint32(core.StreamLimitExceeded)) {
			t.Errorf("resets %v, want those of streams 3 and 5", resets)
		}
		if _, err := p.session.OpenStream(t.Context()); !errors.As(err, new(*core.LimitError)) {
			t.Errorf("OpenStream: %v, want a LimitError", err)
		}
		st, err := p.session.AcceptStream()
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Reset(0); err != nil {
			t.Fatal(err)
		}
		p.wantAlive(7)
		p.close()
	})
}

func TestEvil_C4_RapidReset(t *testing.T) {
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		accepted := 0
		p.wg.Go(func() {
			for {
				if _, err := p.session.AcceptStream(); err != nil {
					return
				}
				accepted++
			}
		})
		for i := range uint32(maxAbuse) {
			p.send(typeWindowUpdate, flagSYN, 2*i+1, 0)
			p.send(typeWindowUpdate, flagRST, 2*i+1, 0)
		}
		if p.ended() {
			t.Fatal("the session ended too soon")
		}
		time.Sleep(abusePeriod + time.Second)
		for i := range uint32(maxAbuse) + 1 {
			if p.ended() {
				t.Fatalf("the session ended after %d resets", i)
			}
			p.send(typeWindowUpdate, flagSYN|flagRST, 2*i+3001, 0)
		}
		if !p.ended() {
			t.Error("the session lives on")
		}
		p.memory.Check(t)
	})
}

func TestEvil_C5_PingFloodUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRawPeer(t, `{}`, coretest.NewMemory(-1), true)
		start := time.Now()
		for i := range uint32(30_000) { // more answers than fit on the way back
			p.send(typePing, flagSYN, 0, i)
			if i%maxPongs == 0 {
				synctest.Wait()
			}
		}
		<-p.session.Done()
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("the session ended after %v, want 10s at most", d)
		}
		p.close()
	})
}

func TestEvil_C5_PingFlood(t *testing.T) {
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		for i := range uint32(100_000) {
			p.send(typePing, flagSYN, 0, i)
			p.send(typePing, flagACK, 0, i)
		}
		p.wantAlive(1)
	})
}

func TestEvil_C5_UnknownFrames(t *testing.T) {
	open := newHeader(typeWindowUpdate, flagSYN, 1, 0)
	rows := []frameRow{
		{"type", []header{newHeader(4, 0, 0, 0)}},
		{"type 255", []header{newHeader(255, 0, 1, 0)}},
		{"version", []header{{0: 1}}},
		{"flags of data", []header{open, newHeader(typeData, 0x10, 1, 0)}},
		{"flags of window update", []header{newHeader(typeWindowUpdate, 0x8001, 1, 0)}},
		{"flags of ping", []header{newHeader(typePing, flagFIN, 0, 0)}},
		{"ping that asks and answers", []header{newHeader(typePing, flagSYN|flagACK, 0, 0)}},
		{"ping on a stream", []header{newHeader(typePing, flagSYN, 1, 0)}},
		{"GoAway on a stream", []header{newHeader(typeGoAway, 0, 1, 0)}},
		{"flags of GoAway", []header{newHeader(typeGoAway, flagRST, 0, 0)}},
	}
	violations(t, rows)
}

func TestEvil_C5_GoAways(t *testing.T) {
	for _, row := range []struct {
		reason uint32
		code   core.ConnCode
	}{
		{goAwayProtocolError, core.ConnProtocolViolation},
		{goAwayInternalError, core.ConnNoError},
		{uint32(core.ConnGarbageCollected), core.ConnGarbageCollected},
		{0xFFFFFFFF, 0xFFFFFFFF},
	} {
		withRawPeer(t, func(t *testing.T, p *rawPeer) {
			p.send(typeGoAway, 0, 0, row.reason)
			_, err := p.session.AcceptStream()
			var end *core.ConnError
			if !errors.As(err, &end) || end.Code != row.code || !end.Remote {
				t.Errorf("reason %d: %v, want code %#x by the remote", row.reason, err, row.code)
			}
		})
	}
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		for range 10_000 {
			p.send(typeGoAway, 0, 0, 0)
		}
		p.wantAlive(1)
		if _, err := p.session.OpenStream(t.Context()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("OpenStream after a GoAway: %v, want net.ErrClosed", err)
		}
	})
}

func TestEvil_C6_IDs(t *testing.T) {
	open := newHeader(typeWindowUpdate, flagSYN, 1, 0)
	violations(t, []frameRow{
		{"SYN in use", []header{open, open}},
		{"SYN used", []header{open, newHeader(typeWindowUpdate, flagRST, 1, 0), open}},
		{"SYN long ago", []header{newHeader(typeWindowUpdate, flagSYN, 0xFFFFFFFF, 0), open}},
		{"SYN of our parity", []header{newHeader(typeWindowUpdate, flagSYN, 2, 0)}},
		{"SYN with ACK", []header{newHeader(typeData, flagSYN|flagACK, 1, 0)}},
		{"SYN on 0", []header{newHeader(typeData, flagSYN, 0, 0)}},
		{"data on 0", []header{newHeader(typeData, 0, 0, 1)}},
		{"data on their unknown", []header{newHeader(typeData, 0, 1, 1)}},
		{"FIN on their unknown", []header{open, newHeader(typeWindowUpdate, flagFIN, 3, 0)}},
		{"RST on our unknown", []header{newHeader(typeWindowUpdate, flagRST, 2, 0)}},
		{"update of our unknown", []header{newHeader(typeWindowUpdate, 0, 4, 0)}},
	})
}

func TestEvil_C6_LateFramesAreIgnored(t *testing.T) {
	for name, end := range map[string]func(st core.MuxedStream, p *rawPeer) error{
		"reset here":  func(st core.MuxedStream, _ *rawPeer) error { return st.Reset(0) },
		"closed here": func(st core.MuxedStream, _ *rawPeer) error { return st.Close() },
		"reset there": func(_ core.MuxedStream, p *rawPeer) error { p.send(typeWindowUpdate, flagRST, 1, 0); return nil },
		"closed by both": func(st core.MuxedStream, p *rawPeer) error {
			p.send(typeWindowUpdate, flagFIN, 1, 0)
			return st.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			withRawPeer(t, func(t *testing.T, p *rawPeer) {
				p.send(typeWindowUpdate, flagSYN, 1, 0)
				st, err := p.session.AcceptStream()
				if err != nil {
					t.Fatal(err)
				}
				if err := end(st, p); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if got := p.memory.Reserved(); name != "reset there" && got != 0 {
					t.Errorf("%d bytes are still charged", got)
				}
				time.Sleep(4 * time.Second)
				p.send(typeData, 0, 1, 1000)
				p.send(typeWindowUpdate, 0, 1, 1000)
				p.send(typeData, flagFIN, 1, 1000)
				p.send(typeData, 0, 1, 1000)
				p.send(typeWindowUpdate, flagRST, 1, 0)
				p.wantAlive(3)
			})
		})
	}
}

func TestEvil_C6_LateDataIsBounded(t *testing.T) {
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		p.send(typeWindowUpdate, flagSYN, 1, 0)
		st, err := p.session.AcceptStream()
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		p.send(typeData, 0, 1, initialWindow)
		if p.ended() {
			t.Fatal("the session ended")
		}
		p.send(typeData, 0, 1, 1)
		p.wantViolation()
	})
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		p.send(typeWindowUpdate, flagSYN|flagRST, 1, 0)
		for range maxAbuse + 1 {
			p.send(typeData, 0, 1, 1)
		}
		p.wantViolation()
	})
}

func TestEvil_C6_EndedStreamsAreForgotten(t *testing.T) {
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		const streams = 10 * maxLingering
		for i := range uint32(streams) {
			p.send(typeWindowUpdate, flagSYN, 2*i+1, 0)
			st, err := p.session.AcceptStream()
			if err != nil {
				t.Fatal(err)
			}
			if err := st.Close(); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := len(p.session.streams); n != maxLingering {
			t.Errorf("%d streams are remembered, want %d", n, maxLingering)
		}
		for i := range uint32(streams) {
			p.send(typeWindowUpdate, flagFIN, 2*i+1, 0)
		}
		synctest.Wait()
		if n := len(p.session.streams); n != 0 {
			t.Errorf("%d streams are remembered, want none", n)
		}
		p.wantAlive(2*streams + 1)
	})
}

func TestEvil_C7_TinyAndEmptyFrames(t *testing.T) {
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		p.send(typeWindowUpdate, flagSYN, 1, 0)
		for range maxAbuse {
			p.send(typeData, 0, 1, 0)
		}
		if p.ended() {
			t.Fatal("the session ended too soon")
		}
		p.send(typeWindowUpdate, 0, 1, 0)
		p.wantViolation()
	})
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		// A window full of them takes no more memory than any other.
		p.send(typeWindowUpdate, flagSYN, 1, 0)
		const ones = 10_000
		for range ones {
			p.send(typeData, 0, 1, 1)
		}
		for left := uint32(initialWindow - ones); left > 0; left -= min(left, 60) {
			p.send(typeData, 0, 1, min(left, 60))
		}
		if p.ended() {
			t.Fatal("the session ended")
		}
		if got := p.memory.Reserved(); got != initialWindow {
			t.Errorf("%d bytes are reserved, want %d", got, initialWindow)
		}
		if held := p.session.streams[1].in.held; held > initialWindow+maxChunk {
			t.Errorf("%d bytes are held for %d", held, initialWindow)
		}
		p.wantAlive(3)
		p.send(typeData, 0, 1, 1)
		p.wantViolation()
	})
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		// A reader makes any number of them welcome.
		p.send(typeWindowUpdate, flagSYN, 1, 0)
		st, err := p.session.AcceptStream()
		if err != nil {
			t.Fatal(err)
		}
		const total = 100_000
		p.wg.Go(func() {
			for i := range total {
				if i%1000 == 999 {
					synctest.Wait()
				}
				p.send(typeData, 0, 1, 1)
			}
			p.send(typeData, flagFIN, 1, 0)
		})
		if b, err := io.ReadAll(st); len(b) != total || err != nil {
			t.Errorf("read %d bytes, %v", len(b), err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestEvil_C7_StalledStreamsDoNotBlockOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const stalled = 100
		budget := (stalled + 1) * initialWindow // no window may grow
		client, server := newPair(t, coretest.NewMemory(-1), coretest.NewMemory(budget))
		var wg sync.WaitGroup
		for range stalled {
			st, err := client.OpenStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				n, err := st.Write(make([]byte, 2*initialWindow))
				if n != initialWindow || !errors.Is(err, net.ErrClosed) {
					t.Errorf("wrote %d bytes, %v", n, err)
				}
			})
			if _, err := server.AcceptStream(); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		canary, err := client.OpenStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Repeat([]byte("canary"), 50<<20/6)
		wg.Go(func() {
			if _, err := canary.Write(want); err != nil {
				t.Error(err)
			}
			if err := canary.CloseWrite(); err != nil {
				t.Error(err)
			}
		})
		st, err := server.AcceptStream()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(st); !bytes.Equal(got, want) || err != nil {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
		if peak := server.memory.(*coretest.Memory).Peak(); peak > budget {
			t.Errorf("%d bytes were charged, the budget is %d", peak, budget)
		}
		closePair(t, client, server)
		wg.Wait()
	})
}

func TestEvil_C7_RemoteThatNeverGrantsCredit(t *testing.T) {
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		p.send(typeWindowUpdate, flagSYN, 1, 0)
		st, err := p.session.AcceptStream()
		if err != nil {
			t.Fatal(err)
		}
		if err := st.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		p.wg.Go(func() {
			// Pongs keep the session alive.
			for range time.Tick(5 * time.Second) {
				select {
				case <-p.session.Done():
					return
				default:
				}
				p.send(typePing, flagSYN, 0, 0)
			}
		})
		n, err := st.Write(make([]byte, 1<<20))
		var timeout net.Error
		if n != initialWindow || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("wrote %d bytes, %v, want %d and a timeout", n, err, initialWindow)
		}
		p.wantAlive(3)
		p.close()
	})
}

func TestEvil_C8_SilentPeer(t *testing.T) {
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		start := time.Now()
		st, err := p.session.OpenStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = st.Read(make([]byte, 1))
		if d := time.Since(start); d != 40*time.Second {
			t.Errorf("the session ended after %v, want 30s of silence and 10s of patience", d)
		}
		wantConnError(t, "Read", err, errNoAnswer)
	})
}

// Who answers when asked is left alone, however short keepalive is.
func TestPeerThatOnlyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRawPeer(t, `{"keepalive": "1s"}`, coretest.NewMemory(-1), true)
		asked := 0
		p.wg.Go(func() {
			for {
				var h header
				if _, err := io.ReadFull(p.conn, h[:]); err != nil {
					return
				}
				if h.kind() == typePing && h.flags() == flagSYN {
					asked++
					time.Sleep(3 * time.Second)
					p.send(typePing, flagACK, 0, h.length())
				}
			}
		})
		time.Sleep(time.Minute)
		if p.ended() || asked < 5 || asked > 30 {
			t.Errorf("ended %v; it was asked %d times in a minute", p.ended(), asked)
		}
		p.close()
	})
}

func TestEvil_C8_PeerThatDoesNotRead(t *testing.T) {
	for _, config := range []string{`{}`, `{"write_timeout": "1s"}`} {
		synctest.Test(t, func(t *testing.T) {
			p := newRawPeer(t, config, coretest.NewMemory(-1), true)
			start := time.Now()
			var wg sync.WaitGroup
			for range 3 {
				st := open(t, p.session)
				p.send(typeWindowUpdate, flagACK, st.(*stream).id, 1<<24)
				wg.Go(func() {
					_, err := st.Write(make([]byte, 1<<24))
					wantConnError(t, "Write", err, errNotReading)
				})
				wg.Go(func() {
					_, err := st.Read(make([]byte, 1))
					wantConnError(t, "Read", err, errNotReading)
				})
			}
			wg.Wait()
			if d := time.Since(start); d > 10*time.Second {
				t.Errorf("the session ended after %v, want 10s at most", d)
			}
			p.close()
		})
	}
}

// wantConnError fails the test unless err says that the connection ended here
// for the given reason.
func wantConnError(t *testing.T, op string, err, cause error) {
	t.Helper()
	if !errors.Is(err, core.ErrConnClosed) || !errors.Is(err, net.ErrClosed) || cause != nil && !errors.Is(err, cause) {
		t.Errorf("%s: %v, want a closed connection because: %v", op, err, cause)
	}
	if errors.Is(err, io.EOF) {
		t.Errorf("%s: %v is io.EOF", op, err)
	}
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("%s: %v is a timeout", op, err)
	}
}
