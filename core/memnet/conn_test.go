// SPDX-License-Identifier: Apache-2.0 OR MIT

package memnet

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBytesArriveInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(1000, 0, 1, 2)
		r := rand.New(rand.NewPCG(1, 2))
		want := make([]byte, 100_000)
		for i := range want {
			want[i] = byte(r.Uint32())
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			for rest := want; len(rest) > 0; {
				n, err := a.Write(rest[:min(len(rest), r.IntN(2500))])
				if err != nil {
					t.Error(err)
					return
				}
				rest = rest[n:]
			}
			a.Close()
		})
		sizes := rand.New(rand.NewPCG(3, 4))
		var got []byte
		for {
			p := make([]byte, 1+sizes.IntN(1500))
			n, err := b.Read(p)
			got = append(got, p[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes came, and not those that were sent", len(got))
		}
		wg.Wait()
	})
}

func TestWritesDoNotMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(64, 0, 1, 2)
		const size, writers = 300, 5
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() { a.Write(bytes.Repeat([]byte{byte(i)}, size)) })
		}
		for range writers {
			p := make([]byte, size)
			if _, err := io.ReadFull(b, p); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(p, bytes.Repeat(p[:1], size)) {
				t.Errorf("mixed: %x", p)
			}
		}
		wg.Wait()
	})
}

func TestWriteWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(10, 0, 1, 2)
		done := make(chan error, 1)
		go func() {
			_, err := a.Write(make([]byte, 25))
			done <- err
		}()
		for _, n := range []int{10, 10, 5} {
			synctest.Wait()
			if got, err := b.Read(make([]byte, 100)); got != n || err != nil {
				t.Errorf("read %d bytes, %v; want %d", got, err, n)
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(DefaultBuffer, 100*time.Millisecond, 1, 2)
		start := time.Now()
		p := make([]byte, 10)
		for i, pause := range []time.Duration{0, 30 * time.Millisecond} {
			time.Sleep(pause)
			if _, err := a.Write([]byte{byte(i), byte(i)}); err != nil {
				t.Fatal(err)
			}
		}
		a.Close()
		for i, want := range []struct {
			n   int
			err error
			at  time.Duration
		}{
			{2, nil, 100 * time.Millisecond},
			{2, nil, 130 * time.Millisecond},
			{0, io.EOF, 130 * time.Millisecond},
		} {
			n, err := b.Read(p)
			if at := time.Since(start); n != want.n || err != want.err || at != want.at {
				t.Errorf("read %d: %d, %v at %v; want %v", i, n, err, at, want)
			}
		}
		// a has closed, 130 ms ago for b; b's own end arrives later still.
		if _, err := b.Write(p); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("write to a closed end: %v", err)
		}
	})
}

func TestDelayHidesTheClosedEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(10, time.Second, 1, 2)
		b.Close()
		if _, err := a.Write(make([]byte, 100)); err != nil {
			t.Errorf("before the news arrived: %v", err)
		}
		time.Sleep(time.Second)
		if _, err := a.Write(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("after it: %v", err)
		}
	})
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(10, 0, 1, 2)
		isTimeout := func(err error) bool {
			var ne net.Error
			return errors.As(err, &ne) && ne.Timeout() && errors.Is(err, os.ErrDeadlineExceeded)
		}
		start := time.Now()
		a.SetReadDeadline(start.Add(time.Second))
		if _, err := a.Read(make([]byte, 1)); !isTimeout(err) || time.Since(start) != time.Second {
			t.Errorf("read: %v after %v", err, time.Since(start))
		}
		a.SetWriteDeadline(start.Add(2 * time.Second))
		if n, err := a.Write(make([]byte, 15)); n != 10 || !isTimeout(err) || time.Since(start) != 2*time.Second {
			t.Errorf("write: %d, %v after %v", n, err, time.Since(start))
		}
		if n, err := b.Read(make([]byte, 20)); n != 10 || err != nil {
			t.Errorf("what was written in time: %d, %v", n, err)
		}
		a.SetDeadline(time.Time{})
		if _, err := a.Write(make([]byte, 1)); err != nil {
			t.Errorf("write without deadline: %v", err)
		}
		// A deadline set while a read waits.
		failed := make(chan error, 1)
		go func() {
			_, err := a.Read(make([]byte, 1))
			failed <- err
		}()
		synctest.Wait()
		a.SetReadDeadline(time.Now())
		if err := <-failed; !isTimeout(err) {
			t.Errorf("read under way: %v", err)
		}
	})
}

func TestClose(t *testing.T) {
	for name, tc := range map[string]struct {
		end        func(a, b *Conn)
		readA      error
		writeA     error
		readB      error
		writeB     error
		dataStands bool // what a has written before
	}{
		"close": {
			func(a, _ *Conn) { a.Close() },
			net.ErrClosed, net.ErrClosed, io.EOF, io.ErrClosedPipe, true,
		},
		"close twice": {
			func(a, _ *Conn) { a.Close(); a.Close() },
			net.ErrClosed, net.ErrClosed, io.EOF, io.ErrClosedPipe, true,
		},
		"abort": {
			func(a, _ *Conn) { a.Abort(io.ErrNoProgress, io.ErrUnexpectedEOF); a.Abort(nil, io.EOF) },
			io.ErrNoProgress, io.ErrNoProgress, io.ErrUnexpectedEOF, io.ErrUnexpectedEOF, false,
		},
		"both halves": {
			func(a, _ *Conn) { a.CloseWrite(); a.CloseRead() },
			net.ErrClosed, net.ErrClosed, io.EOF, io.ErrClosedPipe, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := Pipe()
				if _, err := a.Write([]byte("last words")); err != nil {
					t.Fatal(err)
				}
				waiting := make(chan error, 1)
				go func() {
					_, err := a.Read(make([]byte, 1))
					waiting <- err
				}()
				synctest.Wait()
				tc.end(a, b)
				if err := <-waiting; !errors.Is(err, tc.readA) {
					t.Errorf("read under way: %v", err)
				}
				p := make([]byte, 10)
				if tc.dataStands {
					if _, err := io.ReadFull(b, p); err != nil || string(p) != "last words" {
						t.Errorf("what was written before: %q, %v", p, err)
					}
				}
				for what, c := range map[string]struct{ got, want error }{
					"read a":  {second(a.Read(p)), tc.readA},
					"write a": {second(a.Write(p)), tc.writeA},
					"read b":  {second(b.Read(p)), tc.readB},
					"write b": {second(b.Write(p)), tc.writeB},
				} {
					if !errors.Is(c.got, c.want) {
						t.Errorf("%s: %v, want %v", what, c.got, c.want)
					}
				}
			})
		})
	}
}

func second(_ int, err error) error { return err }

func TestHalfClose(t *testing.T) {
	a, b := Pipe()
	a.CloseWrite()
	if _, err := b.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read: %v", err)
	}
	if _, err := b.Write([]byte("x")); err != nil {
		t.Errorf("the other direction: %v", err)
	}
	if n, err := a.Read(make([]byte, 2)); n != 1 || err != nil {
		t.Errorf("the other direction: %d, %v", n, err)
	}
}

func BenchmarkPipe(b *testing.B) {
	x, y := Pipe()
	var wg sync.WaitGroup
	wg.Go(func() { io.Copy(io.Discard, y) })
	p := make([]byte, 16<<10)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		x.Write(p)
	}
	x.Close()
	wg.Wait()
}
