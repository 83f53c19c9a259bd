// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xnode-p2p/xnode/core/memnet"
)

// patience is how long the handshakes of the attacks may take, in the time of a
// bubble.
const patience = 10 * time.Second

// alone runs one side of a handshake against a stranger, on fake time. It must
// fail, and by patience at the latest.
func (s *securitySuite) alone(t *testing.T, initiator bool, stranger func(conn *memnet.Conn)) (err error) {
	synctest.Test(t, func(t *testing.T) {
		conn, evil := memnet.Pipe()
		c, r := sides(conn, conn)
		if !initiator {
			c = r
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { stranger(evil) })
		start := time.Now()
		s.handshake(ctx, false, c)
		evil.Close()
		wg.Wait()
		if d := time.Since(start); d > patience {
			t.Errorf("it took %v, although the context ended after %v", d, patience)
		}
		if err = c.err; err == nil {
			c.secure.Close()
			t.Error("a handshake with a stranger succeeds")
		}
	})
	return err
}

func (s *securitySuite) testSilence(t *testing.T) {
	for _, initiator := range []bool{true, false} {
		err := s.alone(t, initiator, func(conn *memnet.Conn) { io.Copy(io.Discard, conn) })
		if err != nil && !errors.Is(err, context.DeadlineExceeded) && !isTimeout(err) {
			t.Errorf("initiator %v: %v, want a timeout", initiator, err)
		}
		s.alone(t, initiator, func(conn *memnet.Conn) { // a byte a second
			for {
				if _, err := conn.Write([]byte{0}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
	}
}

func (s *securitySuite) testGarbage(t *testing.T) {
	for seed := range byte(20) {
		for _, initiator := range []bool{true, false} {
			s.alone(t, initiator, func(conn *memnet.Conn) {
				var wg sync.WaitGroup
				wg.Go(func() { io.Copy(io.Discard, conn) })
				conn.Write(random(seed, 100_000))
				conn.CloseWrite()
				wg.Wait()
			})
		}
	}
}

// testReflected has a stranger that sends back what it gets.
func (s *securitySuite) testReflected(t *testing.T) {
	for _, initiator := range []bool{true, false} {
		s.alone(t, initiator, func(conn *memnet.Conn) { io.Copy(conn, conn) })
	}
}

// lengths returns how many bytes a handshake takes in each direction.
func (s *securitySuite) lengths(t *testing.T) (toServer, toClient int) {
	t.Helper()
	var mu sync.Mutex
	w := newWiretap(func(up bool, offset int, p []byte) []byte {
		mu.Lock()
		defer mu.Unlock()
		if up {
			toServer = offset + len(p)
		} else {
			toClient = offset + len(p)
		}
		return p
	})
	c, r := sides(w.client, w.server)
	s.handshake(t.Context(), false, c, r)
	if c.err != nil || r.err != nil {
		t.Fatalf("handshake: %v, %v", c.err, r.err)
	}
	w.close()
	return toServer, toClient
}

// testTruncated ends the connection somewhere in a handshake.
func (s *securitySuite) testTruncated(t *testing.T) {
	s.everywhere(t, func(cut int, offset int, p []byte) []byte {
		if offset+len(p) <= cut {
			return p
		}
		return nil
	})
}

// testTamperedHandshake changes a bit somewhere in a handshake.
func (s *securitySuite) testTamperedHandshake(t *testing.T) {
	s.everywhere(t, func(at int, offset int, p []byte) []byte {
		if offset <= at && at < offset+len(p) {
			p[at-offset] ^= 0x04
		}
		return p
	})
}

// everywhere runs handshakes on fake time, with an attacker at some byte of them,
// in each direction. Nothing must come of any.
func (s *securitySuite) everywhere(t *testing.T, change func(at, offset int, p []byte) []byte) {
	up, down := s.lengths(t)
	for _, toServer := range []bool{true, false} {
		all := down
		if toServer {
			all = up
		}
		for at := 0; at < all; at += 1 + at/40*scale {
			synctest.Test(t, func(t *testing.T) {
				w := newWiretap(func(dir bool, offset int, p []byte) []byte {
					if dir != toServer {
						return p
					}
					return change(at, offset, p)
				})
				defer w.close()
				c, r := sides(w.client, w.server)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				s.handshake(ctx, false, c, r)
				if c.err == nil && r.err == nil && usable(c.secure, r.secure) {
					t.Errorf("an attack at byte %d of %d, to the server: %v, does no harm", at, all, toServer)
				}
			})
		}
	}
}

// usable tells whether a byte gets through in each direction.
func usable(a, b net.Conn) bool {
	for _, dir := range [][2]net.Conn{{a, b}, {b, a}} {
		dir[0].Write([]byte{1})
		dir[1].SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadFull(dir[1], make([]byte, 1)); err != nil {
			return false
		}
	}
	return true
}
