// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcdirect

import (
	"io"
	"sync"
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// benchPair returns both ends of a connection over loopback.
func benchPair(b *testing.B) (client, server core.MuxedConn) {
	b.Helper()
	nodes := newNodes(b, 2)
	l, err := nodes[1].transport.listen(loopback, new(coretest.Admissions).Admit)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	var wg sync.WaitGroup
	wg.Go(func() { server, _, _ = l.Accept() })
	client, err = nodes[0].transport.Dial(b.Context(), l.Multiaddr(), nodes[1].ID(), coretest.NewMemory(-1))
	if err != nil {
		b.Fatal(err)
	}
	wg.Wait()
	b.Cleanup(func() {
		wg.Go(func() { client.Close() })
		wg.Go(func() { server.Close() })
		wg.Wait()
	})
	return client, server
}

// BenchmarkThroughput writes 64 KiB at a time on one stream.
func BenchmarkThroughput(b *testing.B) {
	client, server := benchPair(b)
	const size = 64 << 10
	b.SetBytes(size)
	b.ReportAllocs()
	st, err := client.OpenStream(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		in, err := server.AcceptStream()
		if err != nil {
			b.Error(err)
			return
		}
		if _, err := io.Copy(io.Discard, in); err != nil {
			b.Error(err)
		}
		in.Close()
	})
	data := make([]byte, size)
	for b.Loop() {
		if _, err := st.Write(data); err != nil {
			b.Fatal(err)
		}
	}
	st.Close()
	wg.Wait()
}

// BenchmarkEcho opens a stream, sends 32 bytes there and back, and closes it.
func BenchmarkEcho(b *testing.B) {
	client, server := benchPair(b)
	b.ReportAllocs()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			st, err := server.AcceptStream()
			if err != nil {
				return
			}
			wg.Go(func() {
				_, _ = io.Copy(st, st)
				st.Close()
			})
		}
	})
	for b.Loop() {
		st, err := client.OpenStream(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := st.Write(make([]byte, 32)); err != nil {
			b.Fatal(err)
		}
		st.CloseWrite()
		if _, err := io.ReadAll(st); err != nil {
			b.Fatal(err)
		}
		st.Close()
	}
	client.Close()
	wg.Wait()
}

// BenchmarkHandshake is both sides of a connection.
func BenchmarkHandshake(b *testing.B) {
	nodes := newNodes(b, 2)
	l, err := nodes[1].transport.listen(loopback, new(coretest.Admissions).Admit)
	if err != nil {
		b.Fatal(err)
	}
	wait := serve(l)
	b.ReportAllocs()
	for b.Loop() {
		c, err := nodes[0].transport.Dial(b.Context(), l.Multiaddr(), nodes[1].ID(), coretest.NewMemory(-1))
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		c.Close()
		b.StartTimer()
	}
	l.Close()
	wait()
}
