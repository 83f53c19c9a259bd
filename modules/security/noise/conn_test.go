// SPDX-License-Identifier: Apache-2.0 OR MIT

package noise

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
	"unsafe"
)

// dribble hands out what it reads in pieces of random size.
type dribble struct {
	net.Conn
	rng *rand.Rand
}

func (d *dribble) Read(p []byte) (int, error) {
	sizes := []int{1, 2, 3, 17, 1 << 10, 1<<10 + 1, 4 << 10, 64 << 10, 1 << 20}
	return d.Conn.Read(p[:min(len(p), sizes[d.rng.IntN(len(sizes))])])
}

func noiseBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// Whatever the sizes of writes, of reads and of what the network hands out, the
// bytes come out as they went in.
func TestBytesArriveAsSent(t *testing.T) {
	sizes := []int{
		1, 16, 18, smallBuffer - recordOverhead, smallBuffer - recordOverhead + 1, smallBuffer,
		mediumBuffer - recordOverhead, mediumBuffer, ahead - recordOverhead, ahead,
		maxPlaintext - 1, maxPlaintext, maxPlaintext + 1, 64 << 10, largeBuffer, largeBuffer + 1, 300_000,
	}
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 1))
		a, b := tcpPair(t)
		i, r := secured(t, a, &dribble{b, rand.New(rand.NewPCG(seed, 2))})
		data := noiseBytes(rng, 1<<20)
		var wg sync.WaitGroup
		wg.Go(func() {
			for rest := data; len(rest) > 0; {
				n := min(len(rest), sizes[rng.IntN(len(sizes))])
				if w, err := i.Write(rest[:n]); w != n || err != nil {
					t.Errorf("wrote %d of %d: %v", w, n, err)
					return
				}
				rest = rest[n:]
			}
			_ = i.Close()
		})
		reads := rand.New(rand.NewPCG(seed, 3))
		var got []byte
		for {
			p := make([]byte, sizes[reads.IntN(len(sizes))])
			n, err := r.Read(p)
			got = append(got, p[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		wg.Wait()
		if !bytes.Equal(got, data) {
			t.Fatalf("seed %d: %d bytes came out wrong", seed, len(got))
		}
	}
}

func TestManyWritersAndBothWays(t *testing.T) {
	a, b := tcpPair(t)
	i, r := secured(t, a, b)
	const writers, size, times = 4, 70_000, 20
	var wg sync.WaitGroup
	for _, c := range []*Conn{i, r} {
		for w := range writers {
			block := bytes.Repeat([]byte{byte(w)}, size)
			wg.Go(func() {
				for range times {
					if _, err := c.Write(block); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Go(func() {
			block := make([]byte, size)
			for range writers * times {
				if _, err := io.ReadFull(c, block); err != nil {
					t.Error(err)
					return
				}
				if n := bytes.Count(block, block[:1]); n != size {
					t.Errorf("writes are mixed: %d bytes of %d", n, size)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestEmptyReadAndWrite(t *testing.T) {
	a, b := net.Pipe()
	i, r := secured(t, a, b)
	if n, err := i.Write(nil); n != 0 || err != nil {
		t.Errorf("Write(nil) = %d, %v", n, err)
	}
	if n, err := r.Read(nil); n != 0 || err != nil {
		t.Errorf("Read(nil) = %d, %v", n, err)
	}
}

// A connection that waits for its next record holds no borrowed buffer, however
// large the last one was.
func TestIdleConnectionHoldsNoBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		i, r := secured(t, a, b)
		for _, size := range []int{10, 2000, 30_000, 64 << 10, 200_000} {
			data := make([]byte, size)
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := io.ReadFull(r, make([]byte, size+1)); err != nil {
					t.Error(err)
				}
			})
			if _, err := i.Write(data); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // the reader waits for the last byte
			if len(r.in.buf) != smallBuffer {
				t.Errorf("after %d bytes the reader waits with a buffer of %d", size, len(r.in.buf))
			}
			if _, err := i.Write([]byte{1}); err != nil {
				t.Fatal(err)
			}
			wg.Wait()
		}
	})
	if size := unsafe.Sizeof(Conn{}); size > 2<<10 {
		t.Errorf("a connection takes %d bytes", size)
	}
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		i, r := secured(t, a, b)

		// A read that timed out, even within a record, loses nothing.
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := i.Write(bytes.Repeat([]byte("x"), 5000)); err != nil {
				t.Error(err)
			}
		})
		slow := &trickle{Conn: b}
		r.in.src = slow
		got := 0
		for got < 5000 {
			if err := r.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
				t.Fatal(err)
			}
			slow.left = 700
			n, err := r.Read(make([]byte, 5000))
			got += n
			if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
		}
		wg.Wait()

		// A write that timed out is final.
		if err := i.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := i.Write(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("nobody reads, but Write returned %v", err)
		}
		if err := i.SetWriteDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if _, err := i.Write(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after a lost write, Write returned %v", err)
		}
	})
}

// trickle lets no more than left bytes through before it runs into the deadline.
type trickle struct {
	net.Conn
	left int
}

func (c *trickle) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		i, r := secured(t, a, b)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := i.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("blocked Read: %v", err)
			}
		})
		wg.Go(func() {
			if _, err := i.Write(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("blocked Write: %v", err)
			}
		})
		synctest.Wait()
		if err := i.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if _, err := i.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read: %v", err)
		}
		if _, err := i.Write(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write: %v", err)
		}
		if _, err := r.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the other side reads %v", err)
		}
	})
}
