// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/memnet"
)

// newPair connects two sessions.
func newPair(t testing.TB, clientMemory, serverMemory *coretest.Memory) (client, server *session) {
	t.Helper()
	a, b := memnet.Pipe()
	m := coretest.MustLoad[*Muxer](t, "yamux", `{}`)
	return m.mux(a, true, clientMemory), m.mux(b, false, serverMemory)
}

func closePair(t testing.TB, client, server *session) {
	t.Helper()
	for _, s := range []*session{client, server} {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		s.memory.(*coretest.Memory).Check(t)
	}
}

// withPair runs a test on fake time with two connected sessions.
func withPair(t *testing.T, f func(t *testing.T, client, server *session)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		client, server := newPair(t, coretest.NewMemory(-1), coretest.NewMemory(-1))
		f(t, client, server)
		closePair(t, client, server)
	})
}

// openBoth opens a stream from a to b.
func openBoth(t testing.TB, a, b *session) (mine, its core.MuxedStream) {
	t.Helper()
	mine = open(t, a)
	var err error
	if its, err = b.AcceptStream(); err != nil {
		t.Fatal(err)
	}
	return mine, its
}

// open opens a stream, and tells the remote of it.
func open(t testing.TB, s *session) core.MuxedStream {
	t.Helper()
	st, err := s.OpenStream(t.Context())
	if err == nil {
		_, err = st.Write(nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestStreamHalfClose(t *testing.T) {
	withPair(t, func(t *testing.T, client, server *session) {
		a, b := openBoth(t, client, server)
		mustWrite(t, a, "question")
		if err := a.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		wantAll(t, b, "question")
		if _, err := b.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("Read after the end: %v, want io.EOF", err)
		}
		if _, err := a.Write([]byte("more")); !errors.Is(err, net.ErrClosed) || errors.Is(err, core.ErrReset) {
			t.Errorf("Write after CloseWrite: %v, want net.ErrClosed", err)
		}
		mustWrite(t, b, "answer")
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		wantAll(t, a, "answer")
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		for _, s := range []*session{client, server} {
			if n, reserved := len(s.streams), s.memory.(*coretest.Memory).Reserved(); n != 0 || reserved != 0 {
				t.Errorf("%d streams and %d bytes are left", n, reserved)
			}
		}
	})
}

// Both sides need credit long after they have read the end of the other's data.
func TestStreamHalfCloseNeedsCredit(t *testing.T) {
	withPair(t, func(t *testing.T, client, server *session) {
		for _, side := range []struct{ from, to *session }{{client, server}, {server, client}} {
			a, b := openBoth(t, side.from, side.to)
			if err := a.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			wantAll(t, b, "")
			want := bytes.Repeat([]byte("answer"), initialWindow)
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := b.Write(want); err != nil {
					t.Error(err)
				}
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			})
			if got, err := io.ReadAll(a); !bytes.Equal(got, want) || err != nil {
				t.Errorf("read %d bytes, %v", len(got), err)
			}
			wg.Wait()
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestStreamCloseDeliversWhatWasWritten(t *testing.T) {
	withPair(t, func(t *testing.T, client, server *session) {
		a, b := openBoth(t, client, server)
		mustWrite(t, a, "last words")
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) || errors.Is(err, core.ErrReset) {
			t.Errorf("Read after Close: %v, want net.ErrClosed", err)
		}
		wantAll(t, b, "last words")
		mustWrite(t, b, "into the void")
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A reader must not hear of the end before it has the data of the same frame.
func TestStreamDataWithFIN(t *testing.T) {
	for _, syn := range []uint16{0, flagSYN} {
		withRawPeer(t, func(t *testing.T, p *rawPeer) {
			if syn == 0 {
				p.send(typeWindowUpdate, flagSYN, 1, 0)
			}
			var got []byte
			p.wg.Go(func() {
				st, err := p.session.AcceptStream()
				if err != nil {
					t.Error(err)
					return
				}
				if got, err = io.ReadAll(st); err != nil {
					t.Error(err)
				}
				if err := st.Close(); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
			h := newHeader(typeData, syn|flagFIN, 1, 5)
			for _, part := range [][]byte{h[:], []byte("hel"), []byte("lo")} {
				if _, err := p.conn.Write(part); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
			}
			if string(got) != "hello" {
				t.Errorf("read %q, want hello", got)
			}
		})
	}
}

func TestStreamReset(t *testing.T) {
	withPair(t, func(t *testing.T, client, server *session) {
		a, b := openBoth(t, client, server)
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := b.Read(make([]byte, 1))
			wantStreamError(t, "remote Read", err, core.StreamRateLimited, true)
			_, err = b.Write([]byte("x"))
			wantStreamError(t, "remote Write", err, core.StreamRateLimited, true)
			wantStreamError(t, "remote CloseWrite", b.CloseWrite(), core.StreamRateLimited, true)
		})
		wg.Go(func() {
			_, err := a.Read(make([]byte, 1))
			wantStreamError(t, "local Read", err, core.StreamRateLimited, false)
			_, err = a.Write([]byte("x"))
			wantStreamError(t, "local Write", err, core.StreamRateLimited, false)
		})
		synctest.Wait()
		if err := a.Reset(core.StreamRateLimited); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if err := b.Reset(0); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := len(server.streams); n != 0 {
			t.Errorf("%d streams are left at the remote", n)
		}
		if got := client.memory.(*coretest.Memory).Reserved(); got != 0 {
			t.Errorf("%d bytes are still charged", got)
		}
	})
}

func wantStreamError(t *testing.T, op string, err error, code core.StreamCode, remote bool) {
	t.Helper()
	var reset *core.StreamError
	if !errors.As(err, &reset) || reset.Code != code || reset.Remote != remote {
		t.Errorf("%s: %v, want a reset with code %#x, remote %v", op, err, code, remote)
	}
	if !errors.Is(err, core.ErrReset) || !errors.Is(err, net.ErrClosed) {
		t.Errorf("%s: %v is not core.ErrReset and net.ErrClosed", op, err)
	}
}

func TestStreamDeadlines(t *testing.T) {
	withPair(t, func(t *testing.T, client, server *session) {
		a, b := openBoth(t, client, server)
		for _, d := range []time.Duration{-time.Second, time.Second} {
			if err := a.SetReadDeadline(time.Now().Add(d)); err != nil {
				t.Fatal(err)
			}
			_, err := a.Read(make([]byte, 1))
			wantTimeout(t, "Read", err)
			if err := a.SetWriteDeadline(time.Now().Add(d)); err != nil {
				t.Fatal(err)
			}
			_, err = a.Write(make([]byte, 2*initialWindow))
			wantTimeout(t, "Write", err)
		}
		if err := a.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		mustWrite(t, b, "late")
		if err := b.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		wantAll(t, a, "late")
		if err := errors.Join(a.Reset(0), b.Reset(0)); err != nil {
			t.Error(err)
		}
	})
}

func wantTimeout(t *testing.T, op string, err error) {
	t.Helper()
	var timeout net.Error
	if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("%s: %v, want a timeout", op, err)
	}
}

// A deadline that has passed while there is data makes the library forget to
// tell the remote of credit it has granted.
func TestStreamCreditSurvivesDeadlines(t *testing.T) {
	withPair(t, func(t *testing.T, client, server *session) {
		a, b := openBoth(t, client, server)
		const total = 8 * initialWindow
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := a.Write(make([]byte, total)); err != nil {
				t.Error(err)
			}
		})
		buf := make([]byte, 4096)
		for read, i := 0, 0; read < total; i++ {
			synctest.Wait()
			deadline := time.Now().Add(-time.Second)
			if i%2 == 1 {
				deadline = time.Now().Add(time.Second)
			}
			if err := b.SetReadDeadline(deadline); err != nil {
				t.Fatal(err)
			}
			n, err := b.Read(buf)
			if read += n; err != nil && !errors.Is(err, os.ErrDeadlineExceeded) || i > 10_000 {
				t.Fatalf("read %d bytes in all, %v", read, err)
			}
		}
		wg.Wait()
		if err := errors.Join(a.Close(), b.Close()); err != nil {
			t.Error(err)
		}
	})
}

func TestSessionClose(t *testing.T) {
	withPair(t, func(t *testing.T, client, server *session) {
		a, b := openBoth(t, client, server)
		mustWrite(t, a, "queued")
		if err := client.CloseWithCode(core.ConnGarbageCollected); err != nil {
			t.Error(err)
		}
		<-client.Done()
		<-server.Done()
		synctest.Wait()
		for name, side := range map[string]struct {
			session *session
			st      core.MuxedStream
			remote  bool
		}{"local": {client, a, false}, "remote": {server, b, true}} {
			_, readErr := side.st.Read(make([]byte, 10))
			_, writeErr := side.st.Write([]byte("x"))
			_, acceptErr := side.session.AcceptStream()
			_, openErr := side.session.OpenStream(t.Context())
			for op, err := range map[string]error{"Read": readErr, "Write": writeErr, "AcceptStream": acceptErr, "OpenStream": openErr} {
				wantConnError(t, name+" "+op, err, nil)
				var end *core.ConnError
				if errors.As(err, &end); end == nil || end.Code != core.ConnGarbageCollected || end.Remote != side.remote {
					t.Errorf("%s %s: %v", name, op, err)
				}
			}
		}
	})
}

func TestSessionCloseSendsWhatWasWritten(t *testing.T) {
	withPair(t, func(t *testing.T, client, server *session) {
		a, b := openBoth(t, client, server)
		mustWrite(t, a, "last words")
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
		wantAll(t, b, "last words")
		_, err := server.AcceptStream()
		if end := new(core.ConnError); !errors.As(err, &end) || !end.Remote || end.Code != 0 {
			t.Errorf("AcceptStream: %v, want a clean end by the remote", err)
		}
	})
}

func TestSessionCloseIsNotHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRawPeer(t, `{}`, coretest.NewMemory(-1), true)
		st := open(t, p.session)
		p.send(typeWindowUpdate, flagACK, 2, 1<<24)
		p.wg.Go(func() {
			_, err := st.Write(make([]byte, 1<<24))
			wantConnError(t, "Write", err, nil)
		})
		synctest.Wait()
		start := time.Now()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { _ = p.session.Close() })
		}
		wg.Wait()
		if d := time.Since(start); d > partingTime {
			t.Errorf("Close took %v", d)
		}
		p.close()
	})
}

func TestOpenStreamEndsWithContext(t *testing.T) {
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		for range 256 { // none of which the remote accepts
			open(t, p.session)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for range 2 {
			if _, err := p.session.OpenStream(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("OpenStream: %v, want that ctx is over", err)
			}
		}
		p.send(typeWindowUpdate, flagACK, 2, 0)
		p.send(typeWindowUpdate, flagACK, 2, 0) // counts once
		synctest.Wait()
		st, err := p.session.OpenStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := p.memory.Reserved(); got != 257*initialWindow {
			t.Errorf("%d bytes are charged for 257 streams", got)
		}
		cancel()
		if _, err := p.session.OpenStream(ctx); err == nil {
			t.Error("OpenStream works with a context that is over")
		}
		mustWrite(t, st, "x")
	})
}

func TestFramesFillOneNoiseRecord(t *testing.T) {
	withRawPeer(t, func(t *testing.T, p *rawPeer) {
		st, err := p.session.OpenStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.Write(make([]byte, 2*(blockFrame-headerSize))); err != nil {
			t.Fatal(err)
		}
		data := p.received(func(h header) bool { return h.kind() == typeData })
		if len(data) != 2 || data[0].length() != 64<<10 || data[1].length() != 64<<10 {
			t.Errorf("got frames %v, want two of 64 KiB", data)
		}
	})
}

// Every stream echoes what both sides know; run it with -race.
func TestStress(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	for _, c := range []struct{ openers, streams, size int }{{1, 1000, 10}, {10, 100, 1000}, {100, 10, 100_000}} {
		client, server := newPair(t, coretest.NewMemory(-1), coretest.NewMemory(-1))
		var servers, clients sync.WaitGroup
		servers.Go(func() {
			for {
				st, err := server.AcceptStream()
				if err != nil {
					return
				}
				servers.Go(func() {
					if _, err := io.Copy(st, st); err != nil {
						t.Error(err)
					}
					if err := st.Close(); err != nil {
						t.Error(err)
					}
				})
			}
		})
		for i := range c.openers {
			clients.Go(func() {
				for j := range c.streams {
					echo(t, client, bytes.Repeat([]byte{byte(i), byte(j)}, c.size/2))
				}
			})
		}
		clients.Wait()
		closePair(t, client, server)
		servers.Wait()
	}
}

func echo(t testing.TB, s *session, message []byte) {
	st, err := s.OpenStream(context.Background())
	if err != nil {
		t.Error(err)
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := st.Write(message); err != nil {
			t.Error(err)
		}
		if err := st.CloseWrite(); err != nil {
			t.Error(err)
		}
	})
	if got, err := io.ReadAll(st); !bytes.Equal(got, message) || err != nil {
		t.Errorf("echo of %d bytes: %d bytes, %v", len(message), len(got), err)
	}
	wg.Wait()
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}

func mustWrite(t testing.TB, st core.MuxedStream, text string) {
	t.Helper()
	if n, err := st.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("Write: %d, %v", n, err)
	}
}

func wantAll(t testing.TB, st core.MuxedStream, text string) {
	t.Helper()
	if b, err := io.ReadAll(st); string(b) != text || err != nil {
		t.Fatalf("read %q, %v, want %q", b, err, text)
	}
}

// The code of a reset reaches the other side although that has closed its own.
func TestResetCodeAfterTheRemoteHalfClosed(t *testing.T) {
	client, server := newPair(t, coretest.NewMemory(-1), coretest.NewMemory(-1))
	for range 50 {
		a, err := client.OpenStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := a.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		b, err := server.AcceptStream()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(b); err != nil {
			t.Fatal(err)
		}
		if err := b.Reset(core.StreamLimitExceeded); err != nil {
			t.Fatal(err)
		}
		_, err = a.Read(make([]byte, 1))
		wantStreamError(t, "read", err, core.StreamLimitExceeded, true)
		a.Close()
	}
	closePair(t, client, server)
}
