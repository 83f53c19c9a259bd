// SPDX-License-Identifier: Apache-2.0 OR MIT

//go:build unix

package websocket

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	ma "github.com/multiformats/go-multiaddr"
)

// BenchmarkUpload and BenchmarkDownload send 64 KiB a write over loopback TCP,
// and read as much at a time, beside the library coder/websocket and plain TCP.
// CPU is what both sides take, in seconds per GiB; reads and writes are those of
// the client's or server's socket, per 64 KiB. A counted socket is not one that
// takes a header and a payload from two places, as a server's does uncounted.
func BenchmarkUpload(b *testing.B)   { benchmark(b, true) }
func BenchmarkDownload(b *testing.B) { benchmark(b, false) }

func benchmark(b *testing.B, upload bool) {
	for _, bc := range []struct {
		name string
		pair func(*testing.B) (client, server net.Conn, counts *[2]counter)
	}{
		{"xnode", ownPair},
		{"coder", coderPair},
		{"tcp", func(b *testing.B) (net.Conn, net.Conn, *[2]counter) {
			c, s := tcpPair(b)
			counts := new([2]counter)
			return counts[0].of(c), counts[1].of(s), counts
		}},
		{"xnode uncounted", func(b *testing.B) (net.Conn, net.Conn, *[2]counter) {
			c, s := connect(b, load(b, lenient), plain4)
			return c, s, nil
		}},
		{"xnode wss", func(b *testing.B) (net.Conn, net.Conn, *[2]counter) {
			c, s := connect(b, load(b, lenient), secure4)
			return c, s, nil
		}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			client, server, counts := bc.pair(b)
			from, to := 1, 0
			w, r := server, client
			if upload {
				from, to, w, r = 0, 1, client, server
			}
			before := cpu(b)
			transfer(b, w, r, 64<<10)
			b.ReportMetric((cpu(b)-before).Seconds()/(float64(b.N)*(64<<10)/(1<<30)), "cpu-s/GiB")
			if counts != nil {
				b.ReportMetric(float64(counts[from].writes.Load())/float64(b.N), "writes/op")
				b.ReportMetric(float64(counts[to].reads.Load())/float64(b.N), "reads/op")
			}
		})
	}
}

// cpu is what this process has taken so far.
func cpu(b *testing.B) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

func transfer(b *testing.B, w io.Writer, r io.Reader, size int) {
	b.ReportAllocs()
	b.SetBytes(int64(size))
	data := make([]byte, size)
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 72<<10)
		for left := b.N * size; left > 0; {
			n, err := r.Read(buf)
			if err != nil {
				b.Error(err)
				return
			}
			left -= n
		}
	})
	for range b.N {
		if _, err := w.Write(data); err != nil {
			b.Fatal(err)
		}
	}
	wg.Wait()
}

// counter counts the calls of a socket.
type counter struct {
	net.Conn
	reads, writes atomic.Int64
}

func (c *counter) of(conn net.Conn) *counter {
	c.Conn = conn
	return c
}

func (c *counter) Read(p []byte) (int, error) {
	c.reads.Add(1)
	return c.Conn.Read(p)
}

func (c *counter) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

func ownPair(b *testing.B) (client, server net.Conn, counts *[2]counter) {
	pool, counts := new(buffers), new([2]counter)
	c, s := tcpPair(b)
	return newConn(counts[0].of(c), true, nil, pool), newConn(counts[1].of(s), false, nil, pool), counts
}

func coderPair(b *testing.B) (client, server net.Conn, counts *[2]counter) {
	counts = new([2]counter)
	accepted := make(chan net.Conn, 1)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := coder.Accept(w, r, nil)
		if err != nil {
			b.Error(err)
			return
		}
		accepted <- coder.NetConn(b.Context(), c, coder.MessageBinary)
	}))
	srv.Listener = &countingListener{srv.Listener, &counts[1]}
	srv.Start()
	b.Cleanup(srv.Close)
	dial := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return counts[0].of(c), err
	}}}
	c, _, err := coder.Dial(b.Context(), "ws"+strings.TrimPrefix(srv.URL, "http"), &coder.DialOptions{HTTPClient: dial})
	if err != nil {
		b.Fatal(err)
	}
	client, server = coder.NetConn(b.Context(), c, coder.MessageBinary), <-accepted
	b.Cleanup(func() {
		var wg sync.WaitGroup
		wg.Go(func() { client.Close() })
		wg.Go(func() { server.Close() })
		wg.Wait()
	})
	return client, server, counts
}

// countingListener counts the calls of the first connection.
type countingListener struct {
	net.Listener
	counter *counter
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.counter.of(c), nil
}

// connect returns both ends of a connection that is dialled, which last until
// the test ends.
func connect(tb testing.TB, t *Transport, listen ma.Multiaddr) (client, server *conn) {
	tb.Helper()
	l, err := t.Listen(listen)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	c, err := t.Dial(tb.Context(), l.Multiaddr())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	s, err := l.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return c.(*conn), s.(*conn)
}

// BenchmarkHandshake is a dial and its acceptance, both sides.
func BenchmarkHandshake(b *testing.B) {
	for name, listen := range map[string]ma.Multiaddr{"ws": plain4, "wss": secure4} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			t := load(b, lenient)
			l, err := t.Listen(listen)
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			for b.Loop() {
				c, err := t.Dial(b.Context(), l.Multiaddr())
				if err != nil {
					b.Fatal(err)
				}
				s, err := l.Accept()
				if err != nil {
					b.Fatal(err)
				}
				c.Close()
				s.Close()
			}
		})
	}
}
