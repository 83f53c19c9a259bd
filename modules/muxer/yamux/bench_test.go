// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/memnet"
)

// BenchmarkThroughput writes 64 KiB at a time into one stream.
func BenchmarkThroughput(b *testing.B) {
	client, server := newPair(b, coretest.NewMemory(-1), coretest.NewMemory(-1))
	out, in := openBoth(b, client, server)
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			if _, err := in.Read(buf); err != nil {
				return
			}
		}
	})
	buf := make([]byte, 64<<10)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := out.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		b.Fatal(err)
	}
	wg.Wait()
	_ = in.Close()
	closePair(b, client, server)
}

// BenchmarkSmallWrites writes 100 bytes at a time: the cost of a frame.
func BenchmarkSmallWrites(b *testing.B) {
	b.Run("whenever", func(b *testing.B) { benchmarkSmallWrites(b, time.Time{}) })
	b.Run("in an hour", func(b *testing.B) { benchmarkSmallWrites(b, time.Now().Add(time.Hour)) })
}

func benchmarkSmallWrites(b *testing.B, limit time.Time) {
	client, server := newPair(b, coretest.NewMemory(-1), coretest.NewMemory(-1))
	out, in := openBoth(b, client, server)
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(io.Discard, in) })
	if err := out.SetWriteDeadline(limit); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 100)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := out.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		b.Fatal(err)
	}
	wg.Wait()
	_ = in.Close()
	closePair(b, client, server)
}

// BenchmarkStream opens a stream, has 32 bytes echoed and closes it. The
// allocations are those of both sides.
func BenchmarkStream(b *testing.B) {
	client, server := newPair(b, coretest.NewMemory(-1), coretest.NewMemory(-1))
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 32)
		for {
			st, err := server.AcceptStream()
			if err != nil {
				return
			}
			if _, err := io.ReadFull(st, buf); err != nil {
				b.Error(err)
			}
			if _, err := st.Write(buf); err != nil {
				b.Error(err)
			}
			if err := st.Close(); err != nil {
				b.Error(err)
			}
		}
	})
	buf := make([]byte, 32)
	b.ReportAllocs()
	for b.Loop() {
		st, err := client.OpenStream(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := st.Write(buf); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(st, buf); err != nil {
			b.Fatal(err)
		}
		if err := st.Close(); err != nil {
			b.Fatal(err)
		}
	}
	closePair(b, client, server)
	wg.Wait()
}

// BenchmarkIdleSession reports what one side of a session costs that does
// nothing, without its connection and without a goroutine that accepts.
func BenchmarkIdleSession(b *testing.B) {
	const pairs = 500
	m := coretest.MustLoad[*Muxer](b, "yamux", `{}`)
	for b.Loop() {
		var conns [2 * pairs]*memnet.Conn
		for i := range pairs {
			conns[2*i], conns[2*i+1] = memnet.Pipe()
		}
		var sessions [2 * pairs]*session
		before, goroutines := inUse(), runtime.NumGoroutine()
		for i, conn := range conns {
			sessions[i] = m.mux(conn, i%2 == 0, coretest.NewMemory(-1))
		}
		after := inUse()
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(2*pairs), "heap-B/session")
		b.ReportMetric(float64(after.StackInuse-before.StackInuse)/(2*pairs), "stack-B/session")
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/(2*pairs), "goroutines/session")
		for _, s := range sessions {
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		}
		runtime.KeepAlive(conns)
	}
}

func inUse() (m runtime.MemStats) {
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m
}

// Frames must cost no memory.
func TestFramesCostNoMemory(t *testing.T) {
	s := quiet(t, true)
	st := openQuiet(t, s)
	in := newHeader(typeWindowUpdate, 0, st.id, 1)
	one := []byte{1}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := st.Write(one); err != nil {
			t.Error(err)
		}
		if _, err := s.judge(&in); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a frame in each direction", n)
	}
}

// quiet returns a session that neither reads nor has a connection to write to.
func quiet(t testing.TB, initiator bool) *session {
	return newSession(coretest.MustLoad[*Muxer](t, "yamux", `{}`), discard{}, initiator, coretest.NewMemory(-1))
}

// openQuiet opens a stream and sends its first frame.
func openQuiet(t testing.TB, s *session) *stream {
	return open(t, s).(*stream)
}

type discard struct{ net.Conn }

func (discard) Write(b []byte) (int, error)        { return len(b), nil }
func (discard) SetWriteDeadline(_ time.Time) error { return nil }
