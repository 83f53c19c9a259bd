// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcpport

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// sampled returns an accepted connection that has been sampled, and its other end.
func sampled(t *testing.T, says string) (Conn, net.Conn) {
	t.Helper()
	var shares core.ShareTable
	l := listen(t, &shares, loopback, Options{Kind: Multistream})
	listen(t, &shares, l.Addr(), Options{Kind: HTTP})
	remote := dial(t, l, says)
	c := hears(t, l, "")
	if c.head == nil {
		t.Fatal("not sampled")
	}
	return c, remote
}

func TestReplay(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	const says = "\x13/multistream/1.0.0\n"
	for name, read := range map[string]func(Conn) ([]byte, error){
		"all at once": func(c Conn) ([]byte, error) { return io.ReadAll(c) },
		"WriteTo": func(c Conn) ([]byte, error) {
			var b bytes.Buffer
			_, err := c.WriteTo(&b)
			return b.Bytes(), err
		},
		"byte by byte": func(c Conn) (all []byte, err error) {
			for b := make([]byte, 1); ; {
				if n, err := c.Read(nil); n != 0 || err != nil {
					return all, errors.New("an empty read")
				}
				n, err := c.Read(b)
				if all = append(all, b[:n]...); err == io.EOF {
					return all, nil
				} else if err != nil {
					return all, err
				}
			}
		},
		"a part, then WriteTo": func(c Conn) ([]byte, error) {
			b := make([]byte, 3)
			if _, err := io.ReadFull(c, b); err != nil {
				return b, err
			}
			rest := bytes.NewBuffer(b)
			_, err := c.WriteTo(rest)
			return rest.Bytes(), err
		},
	} {
		c, remote := sampled(t, says)
		remote.(*net.TCPConn).CloseWrite()
		if got, err := read(c); string(got) != says || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%s: then %v, want EOF", name, err)
		}
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestSampledConnIsWhole(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	c, remote := sampled(t, "\x13abc")
	c.SetReadDeadline(time.Now().Add(-time.Hour))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read after the deadline: %v", err)
	}
	c.SetReadDeadline(time.Time{})
	b := make([]byte, 4)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "\x13abc" {
		t.Errorf("%q, %v", b, err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Errorf("close write: %v", err)
	}
	gone(t, remote)
	if _, err := io.WriteString(remote, "more"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "more" {
		t.Errorf("%q, %v", b, err)
	}
	raw, err := c.SyscallConn()
	if err == nil {
		err = raw.Control(func(uintptr) {})
	}
	if err != nil {
		t.Errorf("the descriptor: %v", err)
	}

	closed, _ := sampled(t, "\x13")
	closed.Close()
	if _, err := closed.Read(b); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
	broken, _ := sampled(t, "\x13")
	if n, err := broken.WriteTo(brokenWriter{}); n != 0 || err != io.ErrShortWrite {
		t.Errorf("to a broken writer: %d, %v", n, err)
	}
}

// Readers at once get every byte once.
func TestConcurrentReaders(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	says := "\x13abcdefghijklmnopqrstuvwxyz"
	c, remote := sampled(t, says)
	remote.(*net.TCPConn).CloseWrite()
	var mu sync.Mutex
	seen := make(map[byte]int)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			b := make([]byte, 1)
			for {
				if _, err := c.Read(b); err != nil {
					return
				}
				mu.Lock()
				seen[b[0]]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != len(says) {
		t.Errorf("%d of %d bytes: %v", len(seen), len(says), seen)
	}
}

func BenchmarkRead(b *testing.B) {
	for _, tc := range []struct {
		name string
		c    func(*net.TCPConn) net.Conn
	}{
		{"untouched", func(c *net.TCPConn) net.Conn { return Conn{TCPConn: c} }},
		{"sampled", func(c *net.TCPConn) net.Conn { return Conn{TCPConn: c, head: new(head)} }},
		{"net.TCPConn", func(c *net.TCPConn) net.Conn { return c }},
	} {
		b.Run(tc.name, func(b *testing.B) {
			l, err := net.Listen("tcp", loopback.String())
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			remote, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			accepted, err := l.Accept()
			if err != nil {
				b.Fatal(err)
			}
			c, buf := tc.c(accepted.(*net.TCPConn)), make([]byte, 1024)
			var writing sync.WaitGroup
			writing.Go(func() {
				for chunk := make([]byte, 64<<10); ; {
					if _, err := remote.Write(chunk); err != nil {
						return
					}
				}
			})
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := io.ReadFull(c, buf); err != nil {
					b.Fatal(err)
				}
			}
			c.Close()
			remote.Close()
			writing.Wait()
		})
	}
}

func BenchmarkAccept(b *testing.B) {
	for name, n := range map[string]int{"untouched": 1, "sampled": 2} {
		b.Run(name, func(b *testing.B) {
			var shares core.ShareTable
			var all []*Listener
			at := loopback
			for kind := range Kind(n) {
				l, err := Listen(&shares, at, Options{Kind: kind})
				if err != nil {
					b.Fatal(err)
				}
				defer l.Close()
				all, at = append(all, l), l.Addr()
			}
			b.ReportAllocs()
			for b.Loop() {
				c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(at))
				if err != nil {
					b.Fatal(err)
				}
				io.WriteString(c, greetings[Multistream])
				a, err := all[0].Accept()
				if err != nil {
					b.Fatal(err)
				}
				c.SetLinger(0) // so that ports do not run out
				c.Close()
				a.Close()
			}
		})
	}
}
