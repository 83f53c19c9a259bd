// SPDX-License-Identifier: Apache-2.0 OR MIT

package tls

import (
	ctls "crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// BenchmarkHandshake is both sides of a handshake, without the network: between
// peers that know each other, between peers that meet for the first time, and
// crypto/tls alone, which checks of the certificates nothing but that the remote
// holds their keys.
func BenchmarkHandshake(b *testing.B) {
	one, two := coretest.NewIdentity(1), coretest.NewIdentity(2)
	shake := func(b *testing.B, client, server *TLS) {
		x, y := net.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := client.Secure(b.Context(), x, core.Handshake{Identity: one, Initiator: true, Muxers: muxers}); err != nil {
				b.Error(err)
			}
		})
		if _, err := server.Secure(b.Context(), y, core.Handshake{Identity: two, Muxers: muxers}); err != nil {
			b.Error(err)
		}
		wg.Wait()
	}
	b.Run("again", func(b *testing.B) {
		b.ReportAllocs()
		client, server := new(TLS), new(TLS)
		for b.Loop() {
			shake(b, client, server)
		}
	})
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		client, server := new(TLS), new(TLS)
		shake(b, client, server)
		for b.Loop() {
			client.identities.current.verified = verified{}
			server.identities.current.verified = verified{}
			shake(b, client, server)
		}
	})
	b.Run("crypto/tls", func(b *testing.B) {
		b.ReportAllocs()
		client, server := bareConfig(b, one), bareConfig(b, two)
		for b.Loop() {
			x, y := net.Pipe()
			var wg sync.WaitGroup
			wg.Go(func() {
				if err := ctls.Client(x, client).Handshake(); err != nil {
					b.Error(err)
				}
			})
			if err := ctls.Server(y, server).Handshake(); err != nil {
				b.Error(err)
			}
			wg.Wait()
		}
	})
}

// muxers are what the benchmarks agree on.
var muxers = []string{"/yamux/1.0.0"}

// bareConfig is the least that crypto/tls needs.
func bareConfig(b *testing.B, id core.Identity) *ctls.Config {
	own, err := NewIdentity(id)
	if err != nil {
		b.Fatal(err)
	}
	return &ctls.Config{
		MinVersion:             ctls.VersionTLS13,
		InsecureSkipVerify:     true,
		ClientAuth:             ctls.RequireAnyClientCert,
		SessionTicketsDisabled: true,
		Certificates:           []ctls.Certificate{own.current.Certificate},
		NextProtos:             muxers,
	}
}

// BenchmarkThroughput sends over loopback TCP. Writes and reads are those of the
// sockets.
func BenchmarkThroughput(b *testing.B) {
	for _, size := range []struct {
		name  string
		bytes int
	}{{"64KiB", 64 << 10}, {"64KiB and a frame's header", 64<<10 + 12}, {"one record", maxPlaintext}, {"1KiB", 1 << 10}} {
		b.Run(size.name, func(b *testing.B) {
			x, y := countedPair(b)
			client, server := new(TLS), new(TLS)
			var wg sync.WaitGroup
			var w core.SecureConn
			wg.Go(func() {
				var err error
				w, err = client.Secure(b.Context(), x, core.Handshake{Identity: coretest.NewIdentity(1), Initiator: true})
				if err != nil {
					b.Error(err)
				}
			})
			r, err := server.Secure(b.Context(), y, core.Handshake{Identity: coretest.NewIdentity(2)})
			wg.Wait()
			if err != nil {
				b.Fatal(err)
			}
			transfer(b, w, r, x, y, size.bytes)
		})
	}
	b.Run("crypto/tls 64KiB", func(b *testing.B) {
		x, y := countedPair(b)
		client, server := bareConfig(b, coretest.NewIdentity(1)), bareConfig(b, coretest.NewIdentity(2))
		transfer(b, ctls.Client(x, client), ctls.Server(y, server), x, y, 64<<10)
	})
}

func transfer(b *testing.B, w io.Writer, r io.Reader, below, beneath *counted, size int) {
	b.ReportAllocs()
	b.SetBytes(int64(size))
	data := make([]byte, size)
	below.writes.Store(0)
	beneath.reads.Store(0)
	b.ResetTimer()
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 64<<10)
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
	b.ReportMetric(float64(below.writes.Load())/float64(b.N), "writes/op")
	b.ReportMetric(float64(beneath.reads.Load())/float64(b.N), "reads/op")
}

// counted counts what crosses the border to the operating system.
type counted struct {
	net.Conn
	reads, writes atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	c.reads.Add(1)
	return c.Conn.Read(p)
}

func (c *counted) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// countedPair returns two ends of a TCP connection.
func countedPair(b *testing.B) (x, y *counted) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	dialled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		dialled.Close()
		accepted.Close()
	})
	return &counted{Conn: dialled}, &counted{Conn: accepted}
}
