// SPDX-License-Identifier: Apache-2.0 OR MIT

package quic

import (
	"context"
	"io"
	"sync"
	"testing"

	quicgo "github.com/quic-go/quic-go"

	"github.com/xnode-p2p/xnode/core"
)

// halfStream is what the streams of the module and of quic-go have in common.
type halfStream interface {
	io.ReadWriter
	closeWrite() error
}

type ours struct{ core.MuxedStream }

func (s ours) closeWrite() error { return s.CloseWrite() }

type raw struct{ *quicgo.Stream }

func (s raw) closeWrite() error { return s.Close() }

// pair is both ends of a connection.
type pair struct {
	open   func(context.Context) (halfStream, error)
	accept func(context.Context) (halfStream, error)
}

// benchmark runs f on the module's connections and on bare ones of quic-go, with
// the same certificates and windows.
func benchmark(b *testing.B, f func(*testing.B, pair)) {
	for name, of := range map[string]func(client, server core.MuxedConn) pair{
		"quic-v1": func(client, server core.MuxedConn) pair {
			return pair{
				func(ctx context.Context) (halfStream, error) {
					s, err := client.OpenStream(ctx)
					return ours{s}, err
				},
				func(context.Context) (halfStream, error) {
					s, err := server.AcceptStream()
					return ours{s}, err
				},
			}
		},
		"raw quic-go": func(client, server core.MuxedConn) pair {
			return pair{
				func(ctx context.Context) (halfStream, error) {
					s, err := client.(*conn).quic.OpenStreamSync(ctx)
					return raw{s}, err
				},
				func(ctx context.Context) (halfStream, error) {
					s, err := server.(*conn).quic.AcceptStream(ctx)
					return raw{s}, err
				},
			}
		},
	} {
		b.Run(name, func(b *testing.B) {
			client, server := newVictim(b, `{}`).connect(b)
			f(b, of(client, server))
			client.Close()
			server.Close()
		})
	}
}

// BenchmarkStream opens a stream, has 32 bytes echoed, and closes it.
func BenchmarkStream(b *testing.B) {
	benchmark(b, func(b *testing.B, p pair) {
		ctx := b.Context()
		var wg sync.WaitGroup
		wg.Go(func() {
			buf := make([]byte, 100)
			for range b.N {
				s, err := p.accept(ctx)
				if err != nil {
					return
				}
				n, _ := io.ReadFull(s, buf[:32])
				s.Write(buf[:n])
				s.closeWrite()
				s.Read(buf) // the end
			}
		})
		buf := make([]byte, 32)
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			s, err := p.open(ctx)
			if err != nil {
				b.Fatal(err)
			}
			s.Write(buf)
			s.closeWrite()
			if _, err := io.ReadFull(s, buf); err != nil {
				b.Fatal(err)
			}
			s.Read(buf) // the end
		}
		wg.Wait()
	})
}

// BenchmarkThroughput writes 64 KiB at a time into one stream.
func BenchmarkThroughput(b *testing.B) {
	benchmark(b, func(b *testing.B, p pair) {
		ctx := b.Context()
		buf := make([]byte, 64<<10)
		var wg sync.WaitGroup
		wg.Go(func() {
			s, err := p.accept(ctx)
			if err != nil {
				b.Error(err)
				return
			}
			in := make([]byte, 64<<10)
			for err == nil {
				_, err = s.Read(in)
			}
		})
		s, err := p.open(ctx)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(buf)))
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			if _, err := s.Write(buf); err != nil {
				b.Fatal(err)
			}
		}
		s.closeWrite()
		wg.Wait()
	})
}

// BenchmarkHandshake connects and closes.
func BenchmarkHandshake(b *testing.B) {
	v := newVictim(b, `{}`)
	client := start(b, newNode(b, 2), `{}`)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		c, err := client.Dial(b.Context(), v.listener.Multiaddr(), v.node.ID(), nil)
		if err != nil {
			b.Fatal(err)
		}
		s, _, err := v.listener.Accept()
		if err != nil {
			b.Fatal(err)
		}
		c.Close()
		s.Close()
	}
}
