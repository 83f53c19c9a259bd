// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	manet "github.com/multiformats/go-multiaddr/net"
)

// soon is how far away the deadlines of the suites are.
const soon = 20 * time.Millisecond

// stalled is when a transfer is given up that makes the suite wait for ever if
// the module is wrong. It is far from what any transfer takes.
const stalled = 20 * time.Second

// random returns n bytes, the same for the same seed.
func random(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// exchange sends a few bytes both ways.
func exchange(t *testing.T, a, b io.ReadWriter) {
	t.Helper()
	for i, dir := range []struct{ from, to io.ReadWriter }{{a, b}, {b, a}} {
		want := fmt.Sprintf("this way, please: %d", i)
		if _, err := io.WriteString(dir.from, want); err != nil {
			t.Fatalf("write: %v", err)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(dir.to, got); err != nil || string(got) != want {
			t.Fatalf("read %q, %v; want %q", got, err, want)
		}
	}
}

// isTimeout tells whether an error is that of a deadline.
func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

func (s *rawSuite) testBothDirections(t *testing.T) {
	d, a := s.connect(t, s.open(t))
	exchange(t, d, a)
	exchange(t, a, d)
}

func (s *rawSuite) testManyConns(t *testing.T) {
	const conns = 50
	l := s.open(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range conns {
			c, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			wg.Go(func() {
				defer c.Close()
				io.Copy(c, c)
			})
		}
	})
	for i := range conns {
		wg.Go(func() {
			c, err := s.transport.Dial(t.Context(), l.Multiaddr())
			if err != nil {
				l.Close() // nobody waits for this one
				t.Error(err)
				return
			}
			defer c.Close()
			want := fmt.Appendf(nil, "conn %d of %d", i, conns)
			c.Write(want)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("conn %d: %q, %v", i, got, err)
			}
		})
	}
	wg.Wait()
}

func (s *rawSuite) testLargeTransfer(t *testing.T) {
	d, a := s.connect(t, s.open(t))
	const size = 10 << 20 / scale
	var wg sync.WaitGroup
	for i, c := range []manet.Conn{d, a} {
		wg.Go(func() {
			if n, err := c.Write(random(byte(i), size)); n != size || err != nil {
				t.Errorf("wrote %d of %d bytes: %v", n, size, err)
			}
		})
		wg.Go(func() {
			got := make([]byte, size)
			if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, random(byte(1-i), size)) {
				t.Errorf("what arrives is not what was sent (%v)", err)
			}
		})
	}
	wg.Wait()
}

func (s *rawSuite) testCloseDelivers(t *testing.T) {
	d, a := s.connect(t, s.open(t))
	want := random(1, 100_000)
	var wg sync.WaitGroup
	wg.Go(func() {
		d.Write(want)
		d.Close()
	})
	got, err := io.ReadAll(a)
	wg.Wait()
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d of %d bytes arrived (%v)", len(got), len(want), err)
	}
}

func (s *rawSuite) testCloseEndsReadAndWrite(t *testing.T) {
	d, a := s.connect(t, s.open(t))
	errs := make(chan error, 2)
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := d.Read(make([]byte, 1))
		errs <- err
	})
	wg.Go(func() {
		for {
			if _, err := d.Write(make([]byte, 1<<20)); err != nil { // nobody reads it
				errs <- err
				return
			}
		}
	})
	fill(a) // so that both are under way
	d.Close()
	wg.Wait()
	for range 2 {
		if err := <-errs; !errors.Is(err, net.ErrClosed) {
			t.Errorf("under way: %v, want net.ErrClosed", err)
		}
	}
	if _, err := d.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read: %v, want net.ErrClosed", err)
	}
	if _, err := d.Write(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write: %v, want net.ErrClosed", err)
	}
	d.Close() // does no harm
}

// fill reads one byte: then the other end has begun to write.
func fill(c io.Reader) { c.Read(make([]byte, 1)) }

func (s *rawSuite) testWriteAfterRemoteClose(t *testing.T) {
	d, a := s.connect(t, s.open(t))
	a.Close()
	for {
		if _, err := d.Write(make([]byte, 1<<10)); err != nil {
			return // the first writes may be on their way still
		}
	}
}

func (s *rawSuite) testReadDeadline(t *testing.T) {
	d, a := s.connect(t, s.open(t))
	for _, c := range []manet.Conn{d, a} {
		c.SetReadDeadline(time.Now().Add(soon))
		if _, err := c.Read(make([]byte, 1)); !isTimeout(err) {
			t.Errorf("read: %v, want a timeout", err)
		}
		c.SetReadDeadline(time.Now().Add(-time.Hour))
		if _, err := c.Read(make([]byte, 1)); !isTimeout(err) {
			t.Errorf("read after the deadline: %v, want a timeout", err)
		}
		c.SetReadDeadline(time.Time{})
		var wg sync.WaitGroup
		var during error
		wg.Go(func() { _, during = c.Read(make([]byte, 1)) })
		c.SetReadDeadline(time.Now().Add(soon))
		wg.Wait()
		if !isTimeout(during) {
			t.Errorf("read under way: %v, want a timeout", during)
		}
		c.SetDeadline(time.Time{})
	}
	exchange(t, d, a)
}

func (s *rawSuite) testWriteDeadline(t *testing.T) {
	d, a := s.connect(t, s.open(t))
	for _, c := range []manet.Conn{d, a} {
		c.SetWriteDeadline(time.Now().Add(soon))
		var err error
		for err == nil {
			_, err = c.Write(make([]byte, 1<<20)) // nobody reads it
		}
		if !isTimeout(err) {
			t.Errorf("write: %v, want a timeout", err)
		}
		c.SetWriteDeadline(time.Now().Add(-time.Hour))
		if _, err := c.Write(make([]byte, 1)); !isTimeout(err) {
			t.Errorf("write after the deadline: %v, want a timeout", err)
		}
	}
}
