// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

// maxUnread is more than any stream may take from a writer whose reader does not
// read, in bytes.
const maxUnread = 64 << 20

func testStreamCloseDelivers(t *testing.T, client, server core.Session) {
	want := random(2, 200_000)
	wait := serve(server, func(s core.MuxedStream) {
		s.Write(want)
		s.Close()
	})
	s := openStream(t, client)
	io.WriteString(s, "go")
	got, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d of %d bytes arrived (%v)", len(got), len(want), err)
	}
	closeBoth(client, server)
	wait()
}

func testCloseRead(t *testing.T, client, server core.Session) {
	a, b := connectStream(t, client, server)
	if err := a.CloseRead(); err != nil {
		t.Errorf("close read: %v", err)
	}
	if _, err := a.Read(make([]byte, 1)); err == nil {
		t.Error("read after CloseRead")
	}
	io.WriteString(b, "to nobody") // may fail or not
	want := random(4, 2<<20)       // more than a window
	var wg sync.WaitGroup
	wg.Go(func() { a.Write(want) })
	b.SetReadDeadline(time.Now().Add(stalled))
	got := make([]byte, len(want))
	if n, err := io.ReadFull(b, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the other direction: %d of %d bytes arrived (%v)", n, len(want), err)
		a.Reset(core.StreamNoError)
	}
	wg.Wait()
	a2, b2 := connectStream(t, client, server) // other streams are not affected
	exchange(t, a2, b2)
}

func testWriteAfterClose(t *testing.T, client, server core.Session) {
	a, b := connectStream(t, client, server)
	if err := a.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if _, err := a.Write([]byte("x")); err == nil {
		t.Error("wrote after Close")
	}
	if _, err := a.Read(make([]byte, 1)); err == nil {
		t.Error("read after Close")
	}
	a.Close() // does no harm
	if _, err := b.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the other end reads %v, want EOF", err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("close of the other end: %v", err)
	}
}

func (s *sessionSuite) testReset(t *testing.T, client, server core.Session) {
	for name, swap := range map[string]bool{"by who opened": false, "by who accepted": true} {
		a, b := connectStream(t, client, server)
		if swap {
			a, b = b, a
		}
		if err := a.Reset(core.StreamGated); err != nil {
			t.Errorf("%s: reset: %v", name, err)
		}
		s.checkReset(t, name+": local read", second(a.Read(make([]byte, 1))), false)
		s.checkReset(t, name+": local write", second(a.Write(make([]byte, 1))), false)
		s.checkReset(t, name+": remote read", second(b.Read(make([]byte, 1))), true)
		s.checkReset(t, name+": remote write", second(b.Write(make([]byte, 1))), true)
		a.Reset(core.StreamNoError) // does no harm
		b.Reset(core.StreamNoError)
		b.Close()
	}
	a, b := connectStream(t, client, server) // other streams are not affected
	exchange(t, a, b)
}

func second(_ int, err error) error { return err }

// checkReset tells whether err is that of a stream reset with StreamGated.
func (s *sessionSuite) checkReset(t *testing.T, what string, err error, remote bool) {
	t.Helper()
	if !errors.Is(err, core.ErrReset) {
		t.Errorf("%s: %v, want ErrReset", what, err)
		return
	}
	if !s.options.StreamCodes {
		return
	}
	se, ok := errors.AsType[*core.StreamError](err)
	if !ok || se.Code != core.StreamGated || se.Remote != remote {
		t.Errorf("%s: %v, want a StreamError with code %#x, remote %v", what, err, uint32(core.StreamGated), remote)
	}
}

// jam writes until the stream takes no more or fails, and returns how much it took.
func jam(s core.MuxedStream) (written int, err error) {
	for written < maxUnread {
		n, err := s.Write(make([]byte, 64<<10))
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

func testResetEndsReadAndWrite(t *testing.T, client, server core.Session) {
	a, b := connectStream(t, client, server)
	errs := make(chan error, 3)
	var wg sync.WaitGroup
	wg.Go(func() { errs <- second(a.Read(make([]byte, 1))) })
	wg.Go(func() { errs <- second(jam(a)) })
	wg.Go(func() { // b writes, so that its own read is not ended by what a wrote
		errs <- second(jam(b))
	})
	fill(a)
	fill(b)
	b.Reset(core.StreamNoError)
	wg.Wait()
	failed := 0
	for range 3 {
		if err := <-errs; errors.Is(err, core.ErrReset) {
			failed++
		} else if err != nil {
			t.Errorf("under way: %v, want ErrReset", err)
		}
	}
	if failed < 2 { // the read may have got a byte
		t.Errorf("%d of 3 operations under way failed", failed)
	}
}

func testStreamReadDeadline(t *testing.T, client, server core.Session) {
	a, b := connectStream(t, client, server)
	a2, b2 := connectStream(t, client, server)
	a.SetReadDeadline(time.Now().Add(soon))
	if _, err := a.Read(make([]byte, 1)); !isTimeout(err) {
		t.Errorf("read: %v, want a timeout", err)
	}
	a.SetReadDeadline(time.Now().Add(-time.Hour))
	if _, err := a.Read(make([]byte, 1)); !isTimeout(err) {
		t.Errorf("read after the deadline: %v, want a timeout", err)
	}
	exchange(t, a2, b2)
	if _, err := a.Write([]byte("x")); err != nil {
		t.Errorf("write: %v; the deadline is for reads", err)
	}
	fill(b)
	a.SetReadDeadline(time.Time{})
	var wg sync.WaitGroup
	var during error
	wg.Go(func() { _, during = a.Read(make([]byte, 1)) })
	a.SetDeadline(time.Now().Add(soon))
	wg.Wait()
	if !isTimeout(during) {
		t.Errorf("read under way: %v, want a timeout", during)
	}
	a.SetDeadline(time.Time{})
	exchange(t, a, b)
}

func testStreamWriteDeadline(t *testing.T, client, server core.Session) {
	a, _ := connectStream(t, client, server)
	a2, b2 := connectStream(t, client, server)
	a.SetWriteDeadline(time.Now().Add(soon))
	if n, err := jam(a); !isTimeout(err) {
		t.Errorf("write of %d bytes: %v, want a timeout", n, err)
	}
	a.SetWriteDeadline(time.Now().Add(-time.Hour))
	if _, err := a.Write(make([]byte, 1)); !isTimeout(err) {
		t.Errorf("write after the deadline: %v, want a timeout", err)
	}
	exchange(t, a2, b2)
	a.SetWriteDeadline(time.Time{})
	var wg sync.WaitGroup
	var during error
	wg.Go(func() { _, during = jam(a) })
	a.SetDeadline(time.Now().Add(soon))
	wg.Wait()
	if !isTimeout(during) {
		t.Errorf("write under way: %v, want a timeout", during)
	}
}

// testBackpressure has a reader that does not read: its writer waits, nobody
// else does, and everything arrives once it reads.
func testBackpressure(t *testing.T, client, server core.Session) {
	a, b := connectStream(t, client, server)
	a.SetWriteDeadline(time.Now().Add(soon))
	written, err := jam(a)
	if !isTimeout(err) {
		t.Fatalf("write of %d bytes: %v, want a timeout", written, err)
	}
	for range 5 {
		a2, b2 := connectStream(t, client, server)
		exchange(t, a2, b2)
		a2.Close()
		b2.Close()
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		a.SetWriteDeadline(time.Time{})
		a.Write([]byte("end"))
		a.CloseWrite()
	})
	got, err := io.ReadAll(b)
	wg.Wait()
	if err != nil || len(got) != written+3 || !bytes.HasSuffix(got, []byte("end")) {
		t.Errorf("%d of %d bytes arrived (%v)", len(got), written+3, err)
	}
}

func testSessionCloseEndsEverything(t *testing.T, client, server core.Session) {
	a, b := connectStream(t, client, server)
	errs := make(chan error, 4)
	var wg sync.WaitGroup
	wg.Go(func() { errs <- second(a.Read(make([]byte, 1))) })
	wg.Go(func() { errs <- second(jam(a)) })
	wg.Go(func() {
		_, err := client.AcceptStream()
		errs <- err
	})
	wg.Go(func() { errs <- second(jam(b)) })
	fill(b)
	client.Close()
	wg.Wait()
	for range 4 {
		if err := <-errs; err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("under way: %v, want net.ErrClosed", err)
		}
	}
}
