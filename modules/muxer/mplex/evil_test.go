// SPDX-License-Identifier: Apache-2.0 OR MIT

package mplex

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

func TestEvil_C3_StreamFlood(t *testing.T) {
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		const flood = 100_000
		for i := range uint64(flood) {
			p.send(flagNewStream, i, 0)
		}
		if n := p.received(flagResetReceiver); n != flood-256 {
			t.Errorf("%d streams were reset, want %d", n, flood-256)
		}
		if got := p.memory.Reserved(); got != 256*streamCost {
			t.Errorf("%d bytes are charged, want %d", got, 256*streamCost)
		}
		for range 256 {
			if err := p.accept().Close(); err != nil {
				t.Fatal(err)
			}
		}
		p.wantAlive(flood)
	})
}

func TestEvil_C3_TooManyOpenStreams(t *testing.T) {
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		var open []core.MuxedStream
		for i := range uint64(1000) {
			p.send(flagNewStream, i, 0)
			open = append(open, p.accept())
		}
		p.send(flagNewStream, 1000, 0)
		if n := p.received(flagResetReceiver); n != 1 {
			t.Errorf("%d streams were reset, want 1", n)
		}
		if err := open[0].Reset(0); err != nil {
			t.Fatal(err)
		}
		p.wantAlive(1001)
	})
}

func TestEvil_C3_NoMemoryForAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRawPeer(t, `{}`, coretest.NewMemory(smallChunk+streamCost), false)
		var open []core.MuxedStream
		for id := range uint64(5) {
			p.send(flagNewStream, id, 0)
			open = append(open, p.accept())
		}
		p.send(flagNewStream, 5, 0)
		if n := p.received(flagResetReceiver); n != 1 {
			t.Errorf("%d streams were reset, want 1", n)
		}
		if _, err := p.session.OpenStream(t.Context()); !errors.As(err, new(*core.LimitError)) {
			t.Errorf("OpenStream: %v, want a LimitError", err)
		}
		p.send(flagMessageInitiator, 0, 100)
		if n := p.received(flagResetReceiver); n != 2 {
			t.Errorf("%d streams were reset, want 2", n)
		}
		if _, err := open[0].Read(make([]byte, 1)); !errors.Is(err, core.ErrReset) || !errors.As(err, new(*core.LimitError)) {
			t.Errorf("read: %v, want a reset for a limit", err)
		}
		for _, st := range open[1:] {
			_ = st.Reset(0)
		}
		p.wantAlive(7)
		p.close()
	})
}

func TestEvil_C4_RapidReset(t *testing.T) {
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		p.wg.Go(func() {
			for {
				if _, err := p.session.AcceptStream(); err != nil {
					return
				}
			}
		})
		id := uint64(0)
		for range 2 { // as often as a period allows
			for range maxAbuse {
				p.send(flagNewStream, id, 0)
				p.send(flagResetInitiator, id, 0)
				synctest.Wait()
				id++
			}
			if p.ended() {
				t.Fatal("the session ended too soon")
			}
			if n := len(p.session.streams); n > 0 {
				t.Fatalf("%d streams are remembered", n)
			}
			time.Sleep(abusePeriod + time.Second)
		}
		for range maxAbuse + 1 {
			p.send(flagNewStream, id, 0)
			p.send(flagResetInitiator, id, 0)
			synctest.Wait()
			id++
		}
		p.wantViolation()
	})
}

// The remote opens streams that are refused, and reads nothing of that.
func TestEvil_C5_FloodUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRawPeer(t, `{"accept_backlog": 1}`, coretest.NewMemory(-1), true)
		start := time.Now()
		for id := uint64(0); !p.ended() && id < 1_000_000; id += 1000 {
			for i := range uint64(1000) {
				p.send(flagNewStream, id+i, 0)
			}
		}
		<-p.session.Done()
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("the session ended after %v, want 10s at most", d)
		}
		p.close()
	})
}

func TestEvil_C5_UnknownFrames(t *testing.T) {
	long := []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}
	violations(t, []row{
		{"flag", [][]byte{bytesOf(7, 0, 0)}},
		{"long ID", [][]byte{long}},
		{"long length", [][]byte{append([]byte{flagMessageInitiator}, long...)}},
		{"superfluous byte", [][]byte{{0x80, 0x00}}},
		{"long name", [][]byte{bytesOf(flagNewStream, 0, maxName+1)}},
		{"close with data", [][]byte{bytesOf(flagNewStream, 0, 0), bytesOf(flagCloseInitiator, 0, 1)}},
		{"reset with data", [][]byte{bytesOf(flagNewStream, 0, 0), bytesOf(flagResetInitiator, 0, 1)}},
	})
}

func TestEvil_C6_IDs(t *testing.T) {
	violations(t, []row{
		{"opened twice", [][]byte{bytesOf(flagNewStream, 5, 0), bytesOf(flagNewStream, 5, 0)}},
		{"data on our unknown", [][]byte{bytesOf(flagMessageReceiver, 0, 0)}},
		{"close of our unknown", [][]byte{bytesOf(flagCloseReceiver, 1, 0)}},
		{"reset of our unknown", [][]byte{bytesOf(flagResetReceiver, 1<<60-1, 0)}},
	})
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		// What is on its way when a stream is over is dropped.
		for id := range uint64(3) {
			p.send(flagNewStream, id, 0)
			st := p.accept()
			switch id {
			case 0:
				_ = st.Reset(0)
			case 1:
				_ = st.Close()
			case 2:
				p.send(flagResetInitiator, id, 0)
			}
			synctest.Wait()
			p.send(flagMessageInitiator, id, maxMessage)
			p.send(flagCloseInitiator, id, 0)
			p.send(flagResetInitiator, id, 0)
			p.send(flagMessageInitiator, 1<<60-1-id, 10)
		}
		if got := p.memory.Reserved(); got != 0 {
			t.Errorf("%d bytes are still charged", got)
		}
		p.wantAlive(3)
	})
}

func TestEvil_C7_FramesWithoutAPoint(t *testing.T) {
	for name, f := range map[string]frame{
		"empty messages":      {flag: flagMessageInitiator},
		"data after the end":  {flag: flagMessageInitiator, length: 1},
		"closed all the time": {flag: flagCloseInitiator},
	} {
		t.Run(name, func(t *testing.T) {
			withRawPeer(t, func(t *testing.T, p *rawPeer) {
				p.send(flagNewStream, 0, 0)
				if name != "empty messages" {
					p.send(flagCloseInitiator, 0, 0)
				}
				for range maxAbuse {
					p.send(f.flag, 0, f.length)
				}
				p.wantAlive(1)
				p.send(f.flag, 0, f.length)
				p.wantViolation()
			})
		})
	}
}

// A quarter of a megabyte in messages of one byte costs no more than that.
func TestEvil_C7_SmallMessages(t *testing.T) {
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		p.send(flagNewStream, 0, 0)
		one := append(bytesOf(flagMessageInitiator, 0, 1), 'x')
		for range 1 << 18 {
			_, _ = p.conn.Write(one) // see send
		}
		synctest.Wait()
		if got := p.memory.Peak(); got > 1<<18+smallChunk+streamCost {
			t.Errorf("%d bytes are charged for 256 KiB", got)
		}
		st := p.accept()
		if n, err := io.ReadFull(st, make([]byte, 1<<18)); err != nil {
			t.Errorf("read %d bytes: %v", n, err)
		}
		_ = st.Close()
	})
}

func TestEvil_C9_LongMessage(t *testing.T) {
	violations(t, []row{
		{"a byte too much", [][]byte{bytesOf(flagNewStream, 0, 0), bytesOf(flagMessageInitiator, 0, maxMessage+1)}},
		{"all there is", [][]byte{bytesOf(flagNewStream, 0, 0), bytesOf(flagMessageInitiator, 0, 1<<62)}},
		{"to nobody", [][]byte{bytesOf(flagMessageInitiator, 0, maxMessage+1)}},
	})
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		p.send(flagNewStream, 0, 0)
		p.send(flagMessageInitiator, 0, maxMessage)
		st := p.accept()
		if n, err := io.ReadFull(st, make([]byte, maxMessage)); err != nil {
			t.Errorf("read %d bytes: %v", n, err)
		}
		_ = st.Close()
		// Only announced: what is not there costs no more than a chunk.
		p.send(flagNewStream, 1, 0)
		_, _ = p.conn.Write(bytesOf(flagMessageInitiator, 1, maxMessage)) // see send
		synctest.Wait()
		if got := p.memory.Reserved(); got > largeChunk+streamCost {
			t.Errorf("%d bytes are charged for a message that has not come", got)
		}
	})
}

// A stream that nobody reads is reset when its buffer is full; others are served.
func TestEvil_C9_Overflow(t *testing.T) {
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		p.send(flagNewStream, 0, 0)
		st := p.accept()
		for range 5 {
			p.send(flagMessageInitiator, 0, maxMessage)
		}
		synctest.Wait()
		if got, most := p.memory.Reserved(), 4<<20+streamCost; got > most {
			t.Errorf("%d bytes are charged, want %d at most", got, most)
		}
		time.Sleep(time.Second) // more than the patience
		if n := p.received(flagResetReceiver); n != 1 {
			t.Errorf("%d streams were reset, want 1", n)
		}
		_, err := st.Read(make([]byte, 1))
		if !errors.Is(err, core.ErrReset) || !errors.Is(err, errOverflow) {
			t.Errorf("read: %v, want a reset for an overflow", err)
		}
		if _, err := st.Write([]byte("x")); !errors.Is(err, core.ErrReset) {
			t.Errorf("write: %v, want a reset", err)
		}
		if got := p.memory.Reserved(); got != 0 {
			t.Errorf("%d bytes are still charged", got)
		}
		p.wantAlive(1)
	})
}

// Streams by the hundred overflow, in a session whose memory is soon used up.
func TestEvil_C9_OverflowOfManyStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const budget = 8 << 20
		p := newRawPeer(t, `{}`, coretest.NewMemory(budget), false)
		for id := range uint64(100) {
			p.send(flagNewStream, id, 0)
			p.send(flagMessageInitiator, id, maxMessage)
		}
		if got := p.memory.Peak(); got > budget {
			t.Errorf("%d bytes were charged, of %d", got, budget)
		}
		for id := range uint64(100) {
			p.send(flagResetInitiator, id, 0)
		}
		p.wantAlive(100)
		p.close()
	})
}

// A reader that is only a moment late loses nothing.
func TestPatience(t *testing.T) {
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		p.send(flagNewStream, 0, 0)
		st := p.accept()
		p.wg.Go(func() {
			for range 12 {
				p.send(flagMessageInitiator, 0, maxMessage)
			}
			p.send(flagCloseInitiator, 0, 0)
		})
		total := 0
		for b := make([]byte, maxMessage); ; {
			time.Sleep(200 * time.Millisecond)
			n, err := st.Read(b)
			if total += n; err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("after %d bytes: %v", total, err)
			}
		}
		if total != 12*maxMessage {
			t.Errorf("%d bytes arrived, want %d", total, 12*maxMessage)
		}
		_ = st.Close()
	})
}
