// SPDX-License-Identifier: Apache-2.0 OR MIT

package noise

import (
	"io"
	"net"
	"sync"
	"testing"

	flynn "github.com/flynn/noise"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// BenchmarkHandshake is both sides of a handshake, without the network: between
// peers that know each other, between peers that meet for the first time, and
// as a library that keeps nothing would do it.
func BenchmarkHandshake(b *testing.B) {
	one, two := newSelf(b, peer.Ed25519), newSelf(b, peer.Ed25519)
	shake := func(b *testing.B, i, r *Noise) {
		x, y := net.Pipe()
		_, _, ierr, rerr := meet(b, x, y,
			side{noise: i, h: core.Handshake{Identity: one, Muxers: []string{"/yamux/1.0.0"}}},
			side{noise: r, h: core.Handshake{Identity: two, Muxers: []string{"/yamux/1.0.0"}}})
		if ierr != nil || rerr != nil {
			b.Fatal(ierr, rerr)
		}
	}
	b.Run("again", func(b *testing.B) {
		b.ReportAllocs()
		i, r := new(Noise), new(Noise)
		for b.Loop() {
			shake(b, i, r)
		}
	})
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		i, r := new(Noise), new(Noise)
		for b.Loop() {
			i.verified = verified{}
			r.verified = verified{}
			shake(b, i, r)
		}
	})
	b.Run("plain library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			x, y := net.Pipe()
			var wg sync.WaitGroup
			for _, end := range []struct {
				conn      net.Conn
				who       self
				initiator bool
			}{{x, one, true}, {y, two, false}} {
				wg.Go(func() {
					s := newStranger(b, end.conn, end.initiator)
					if _, _, err := s.run(end.initiator, s.claim(b, end.who)); err != nil {
						b.Error(err)
						return
					}
					p, err := decodePayload(s.inbound)
					if err != nil {
						b.Error(err)
						return
					}
					var none verified
					if _, err := none.check([32]byte(s.state.PeerStatic()), p.identity, p.signature); err != nil {
						b.Error(err)
					}
				})
			}
			wg.Wait()
		}
	})
}

// BenchmarkThroughput sends 64 KiB a write over loopback TCP.
func BenchmarkThroughput(b *testing.B) {
	for name, size := range map[string]int{"64KiB": 64 << 10, "one record": maxPlaintext, "1KiB": 1 << 10} {
		b.Run(name, func(b *testing.B) {
			x, y := tcpPair(b)
			i, r := secured(b, x, y)
			transfer(b, i, r, size)
		})
	}
	b.Run("plain library 64KiB", func(b *testing.B) {
		x, y := tcpPair(b)
		key := [32]byte{1}
		suite := flynn.NewCipherSuite(flynn.DH25519, flynn.CipherChaChaPoly, flynn.HashSHA256)
		transfer(b,
			&plainLibrary{Conn: x, state: flynn.UnsafeNewCipherState(suite, key, 0)},
			&plainLibrary{Conn: y, state: flynn.UnsafeNewCipherState(suite, key, 0)}, 64<<10)
	})
}

func transfer(b *testing.B, w io.Writer, r io.Reader, size int) {
	b.ReportAllocs()
	b.SetBytes(int64(size))
	data := make([]byte, size)
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
}

// plainLibrary sends and receives records in the obvious way.
type plainLibrary struct {
	net.Conn
	state *flynn.CipherState
	rest  []byte
}

func (c *plainLibrary) Write(p []byte) (int, error) {
	for q := p; len(q) > 0; {
		n := min(len(q), maxPlaintext)
		record, err := c.state.Encrypt(make([]byte, 0, n+16), nil, q[:n])
		if err != nil {
			return 0, err
		}
		if err := writeFrame(c.Conn, record); err != nil {
			return 0, err
		}
		q = q[n:]
	}
	return len(p), nil
}

func (c *plainLibrary) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		record, err := readFrame(c.Conn)
		if err != nil {
			return 0, err
		}
		if c.rest, err = c.state.Decrypt(record[:0], nil, record); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}
