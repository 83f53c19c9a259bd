// SPDX-License-Identifier: Apache-2.0 OR MIT

package mplex

import (
	"io"
	"runtime"
	"sync"
	"testing"

	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/memnet"
)

// BenchmarkThroughput writes 64 KiB at a time into one stream.
func BenchmarkThroughput(b *testing.B) { benchmarkWrite(b, 64<<10) }

// BenchmarkSmallWrites writes 100 bytes at a time: the cost of a frame.
func BenchmarkSmallWrites(b *testing.B) { benchmarkWrite(b, 100) }

func benchmarkWrite(b *testing.B, size int) {
	client, server := newPair(b, `{"patience": "10s"}`)
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
	buf := make([]byte, size)
	b.SetBytes(int64(size))
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
}

// BenchmarkStream opens a stream, has 32 bytes echoed and closes it. The
// allocations are those of both sides.
func BenchmarkStream(b *testing.B) {
	client, server := newPair(b, `{}`)
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
	_ = server.Close()
	wg.Wait()
}

// BenchmarkIdleSession reports what one side of a session costs that does
// nothing, without its connection and without a goroutine that accepts.
func BenchmarkIdleSession(b *testing.B) {
	const pairs = 500
	m := coretest.MustLoad[*Muxer](b, "mplex", `{}`)
	for b.Loop() {
		var conns [2 * pairs]*memnet.Conn
		for i := range pairs {
			conns[2*i], conns[2*i+1] = memnet.Pipe()
		}
		var sessions [2 * pairs]*session
		before := inUse()
		for i, conn := range conns {
			sessions[i] = m.mux(conn, coretest.NewMemory(-1))
		}
		after := inUse()
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(2*pairs), "heap-B/session")
		b.ReportMetric(float64(after.StackInuse-before.StackInuse)/(2*pairs), "stack-B/session")
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
