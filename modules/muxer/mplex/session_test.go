// SPDX-License-Identifier: Apache-2.0 OR MIT

package mplex

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

	"github.com/google/go-cmp/cmp"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/memnet"
)

// The bytes of a short conversation, as the specification has them.
func TestWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := memnet.Pipe()
		s := coretest.MustLoad[*Muxer](t, "mplex", `{}`).mux(x, coretest.NewMemory(-1))
		defer s.Close()
		wantSent := func(what string, want []byte) {
			t.Helper()
			synctest.Wait()
			got := make([]byte, 100)
			_ = y.SetReadDeadline(time.Now().Add(time.Second))
			n, _ := y.Read(got)
			if diff := cmp.Diff(want, got[:n]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		must := func(_ int, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if _, err := s.OpenStream(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		st, err := s.OpenStream(t.Context())
		must(0, err)
		wantSent("opened", []byte{})
		must(st.Write([]byte("hello")))
		wantSent("written", []byte("\x10\x00\x12\x05hello"))
		must(0, st.CloseWrite())
		wantSent("closed", []byte("\x14\x00"))
		must(y.Write([]byte("\x11\x03you\x13\x00")))
		if b, err := io.ReadAll(st); string(b) != "you" || err != nil {
			t.Errorf("read %q, %v", b, err)
		}
		must(0, st.Reset(0))
		wantSent("reset when all is over", []byte{})

		must(y.Write([]byte("\x10\x07unnamed\x12\x01q")))
		in, err := s.AcceptStream()
		must(0, err)
		must(in.Write([]byte("a")))
		wantSent("answered", []byte("\x11\x01a"))
		must(0, in.Reset(0))
		wantSent("reset", []byte("\x15\x00"))

		st, err = s.OpenStream(t.Context())
		must(0, err)
		must(0, st.Reset(0))
		wantSent("reset before it was known", []byte{})
		st, err = s.OpenStream(t.Context())
		must(0, err)
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = st.Read(make([]byte, 1)) })
		wantSent("opened by who reads first", []byte("\x20\x00"))
		must(0, s.Close())
		wg.Wait()
	})
}

// A long write is sent in messages, and a short one of another stream comes
// between them.
func TestWritersInterleave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRawPeer(t, `{}`, coretest.NewMemory(-1), true)
		long, err := p.session.OpenStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		short, err := p.session.OpenStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.wg.Go(func() {
			if n, err := long.Write(make([]byte, 2<<20)); n != 2<<20 || err != nil {
				t.Errorf("wrote %d bytes: %v", n, err)
			}
		})
		synctest.Wait() // the connection is full
		p.wg.Go(func() {
			if _, err := short.Write([]byte("x")); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		p.wg.Go(p.read)
		synctest.Wait()
		place, before := -1, 0
		for i, f := range p.got {
			if f.id == short.(*stream).key.id && f.flag == flagMessageInitiator {
				place = i
			} else if place < 0 && f.length > 0 {
				before += f.length
			}
			if f.length > 64<<10 {
				t.Errorf("a message of %d bytes", f.length)
			}
		}
		if place < 0 || before > 1<<20 {
			t.Errorf("the short message is number %d of %d, behind %d bytes", place, len(p.got), before)
		}
		p.close()
	})
}

// Writes on a connection that is full end with their deadline, or with a reset,
// and the connection with its own.
func TestFullConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRawPeer(t, `{"write_timeout": "10s"}`, coretest.NewMemory(-1), true)
		jammed := func() core.MuxedStream {
			st, err := p.session.OpenStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return st
		}
		a, b, c := jammed(), jammed(), jammed()
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			_ = a.SetWriteDeadline(start.Add(time.Second))
			if _, err := a.Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("write with a deadline: %v", err)
			}
			if d := time.Since(start); d != time.Second {
				t.Errorf("the deadline came after %v", d)
			}
		})
		wg.Go(func() {
			if _, err := b.Write(make([]byte, 1<<20)); !errors.Is(err, core.ErrReset) {
				t.Errorf("write on a stream that is reset: %v", err)
			}
			if d := time.Since(start); d != 2*time.Second {
				t.Errorf("the reset came after %v", d)
			}
		})
		wg.Go(func() {
			if _, err := c.Write(make([]byte, 1<<20)); !errors.Is(err, net.ErrClosed) || !errors.Is(err, errNotReading) {
				t.Errorf("write to a remote that does not read: %v", err)
			}
			if d := time.Since(start); d != 10*time.Second {
				t.Errorf("the end came after %v", d)
			}
		})
		time.Sleep(2 * time.Second)
		_ = b.Reset(0)
		wg.Wait()
		p.close()
	})
}

// What was written before Close still arrives, and what the remote had sent
// before it went can be read.
func TestCloseDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPair(t, `{}`)
		out, in := openBoth(t, a, b)
		want := bytes.Repeat([]byte("abc"), 20_000)
		if _, err := out.Write(want); err != nil {
			t.Fatal(err)
		}
		if err := out.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		<-b.Done()
		if got, err := io.ReadAll(in); !bytes.Equal(got, want) || err != nil {
			t.Errorf("%d of %d bytes arrived, %v", len(got), len(want), err)
		}
		if _, err := in.Write([]byte("x")); !errors.Is(err, core.ErrConnClosed) {
			t.Errorf("write: %v, want that the connection is closed", err)
		}
	})
}

func TestIDsAreExhausted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPair(t, `{}`)
		a.nextID = maxID
		out, in := openBoth(t, a, b)
		if id := in.(*stream).key.id; id != maxID {
			t.Errorf("the last stream is number %d", id)
		}
		if _, err := a.OpenStream(context.Background()); !errors.Is(err, errExhausted) {
			t.Errorf("one more: %v", err)
		}
		_ = out.Close()
		_ = in.Close()
	})
}

// Several writers on one stream do not mix what they write.
func TestWritersOfOneStream(t *testing.T) {
	a, b := newPair(t, `{"max_message": "1KiB"}`)
	out, in := openBoth(t, a, b)
	const size = 10_000
	var wg sync.WaitGroup
	for i := range byte(8) {
		wg.Go(func() {
			if _, err := out.Write(bytes.Repeat([]byte{i}, size)); err != nil {
				t.Error(err)
			}
		})
	}
	got := make([]byte, 8*size)
	if _, err := io.ReadFull(in, got); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	for i := 0; i < len(got); i += size {
		if !bytes.Equal(got[i:i+size], bytes.Repeat(got[i:i+1], size)) {
			t.Fatalf("what is written at once does not stay together at %d", i)
		}
	}
}
