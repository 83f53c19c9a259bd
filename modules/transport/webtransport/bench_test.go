// SPDX-License-Identifier: Apache-2.0 OR MIT

package webtransport

import (
	"io"
	"testing"

	"github.com/xnode-p2p/xnode/core/coretest"
)

// benchConn returns a connection to a listener that echoes.
func benchConn(b *testing.B) *conn {
	b.Helper()
	client, server := pair(b, `{}`)
	c, err := client.Dial(b.Context(), server.Multiaddr(), server.transport.node.ID(), coretest.NewMemory(-1))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return c.(*conn)
}

// echoLoop sends chunks and reads them back.
func echoLoop(b *testing.B, s io.ReadWriter, size int) {
	b.Helper()
	out, in := make([]byte, size), make([]byte, size)
	b.SetBytes(int64(2 * size))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Write(out); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(s, in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEcho sends data there and back, on a stream of ours and on one of the
// library's on a connection like it.
func BenchmarkEcho(b *testing.B) {
	const size = 64 << 10
	b.Run("xnode", func(b *testing.B) {
		s, err := benchConn(b).OpenStream(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		echoLoop(b, s, size)
	})
	b.Run("webtransport-go", func(b *testing.B) {
		s, err := benchConn(b).session.OpenStreamSync(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		echoLoop(b, s, size)
	})
}

// BenchmarkStream opens a stream, sends and reads a byte, and closes it.
func BenchmarkStream(b *testing.B) {
	one := make([]byte, 1)
	b.Run("xnode", func(b *testing.B) {
		c := benchConn(b)
		b.ReportAllocs()
		for b.Loop() {
			s, err := c.OpenStream(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			s.Write(one)
			s.CloseWrite()
			io.ReadAll(s)
			s.Close()
		}
	})
	b.Run("webtransport-go", func(b *testing.B) {
		session := benchConn(b).session
		b.ReportAllocs()
		for b.Loop() {
			s, err := session.OpenStreamSync(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			s.Write(one)
			s.Close()
			io.ReadAll(s)
		}
	})
}

// BenchmarkDial makes connections: QUIC, the session, and Noise.
func BenchmarkDial(b *testing.B) {
	client, server := pair(b, `{}`)
	b.ReportAllocs()
	for b.Loop() {
		c, err := client.Dial(b.Context(), server.Multiaddr(), server.transport.node.ID(), coretest.NewMemory(-1))
		if err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}
