// SPDX-License-Identifier: Apache-2.0 OR MIT

package coretest

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/xnode-p2p/xnode/core/memnet"
)

func (s *securitySuite) testBothDirections(t *testing.T) {
	c, r := s.connect(t)
	exchange(t, c, r)
	exchange(t, r, c)
	if c.LocalAddr() == nil || c.RemoteAddr() == nil {
		t.Error("a net.Addr is nil")
	}
}

func (s *securitySuite) testLargeTransfer(t *testing.T) {
	c, r := s.connect(t)
	const size = 10 << 20 / scale
	var wg sync.WaitGroup
	for i, conn := range []net.Conn{c, r} {
		wg.Go(func() {
			want := random(byte(i), size)
			if n, err := conn.Write(want); n != size || err != nil {
				t.Errorf("wrote %d of %d bytes: %v", n, size, err)
			}
			if !bytes.Equal(want, random(byte(i), size)) {
				t.Error("Write changed its argument")
			}
		})
		wg.Go(func() {
			got := make([]byte, size)
			if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, random(byte(1-i), size)) {
				t.Errorf("what arrives is not what was sent (%v)", err)
			}
		})
	}
	wg.Wait()
}

// testSmallReads reads and writes in all sorts of sizes.
func (s *securitySuite) testSmallReads(t *testing.T) {
	c, r := s.connect(t)
	want := random(1, 150_000)
	var wg sync.WaitGroup
	wg.Go(func() {
		for rest, n := want, 0; len(rest) > 0; n = (n*7 + 1) % 70_000 {
			k := min(n, len(rest))
			if _, err := c.Write(rest[:k]); err != nil {
				t.Errorf("write of %d bytes: %v", k, err)
				return
			}
			rest = rest[k:]
		}
		c.Close()
	})
	got := make([]byte, len(want))
	if _, err := io.ReadFull(iotest.OneByteReader(r), got[:50_000]); err != nil {
		t.Errorf("byte by byte: %v", err)
	}
	if _, err := io.ReadFull(iotest.HalfReader(r), got[50_000:]); err != nil {
		t.Errorf("half by half: %v", err)
	}
	wg.Wait()
	if !bytes.Equal(got, want) {
		t.Error("what arrives is not what was sent")
	}
}

// testConcurrentWrites has writes of several goroutines arrive whole.
func (s *securitySuite) testConcurrentWrites(t *testing.T) {
	c, r := s.connect(t)
	const writers, each, size = 4, 20, 1000
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for range each {
				c.Write(bytes.Repeat([]byte{byte(i)}, size))
			}
		})
	}
	for range writers * each {
		got := make([]byte, size)
		if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, bytes.Repeat(got[:1], size)) {
			t.Fatalf("two writes were mixed, or: %v", err)
		}
	}
	wg.Wait()
}

func (s *securitySuite) testReadDeadline(t *testing.T) {
	c, r := s.connect(t)
	for _, d := range []time.Duration{soon, -time.Hour} {
		c.SetReadDeadline(time.Now().Add(d))
		if _, err := c.Read(make([]byte, 1)); !isTimeout(err) {
			t.Errorf("read: %v, want a timeout", err)
		}
	}
	c.SetDeadline(time.Time{})
	exchange(t, c, r)
}

func (s *securitySuite) testWriteDeadline(t *testing.T) {
	c, _ := s.connect(t)
	c.SetWriteDeadline(time.Now().Add(soon))
	if n, err := jamConn(c); !isTimeout(err) {
		t.Errorf("write of %d bytes: %v, want a timeout", n, err)
	}
}

func (s *securitySuite) testClose(t *testing.T) {
	a, b := memnet.Pipe()
	c, r := s.connectOn(t, a, b)
	want := random(1, 100_000)
	c.Write(want)
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("what was written before: %v", err)
	}
	if _, err := r.Read(got); err == nil {
		t.Error("read from a closed connection")
	}
	if _, err := a.Write([]byte{0}); err == nil {
		t.Error("the connection underneath is open")
	}
	if _, err := c.Read(got); err == nil {
		t.Error("read after Close")
	}
	if _, err := c.Write(got); err == nil {
		t.Error("wrote after Close")
	}
	c.Close() // does no harm
}

// secretMessage is what an attacker would like to read or change.
var secretMessage = bytes.Repeat([]byte("nobody but you shall read this. "), 30)

// attacked sends secretMessage through a wiretap whose change sees nothing but
// that message, and returns what is read on the other side.
func (s *securitySuite) attacked(t *testing.T, change func(p []byte) []byte) ([]byte, error) {
	t.Helper()
	var mu sync.Mutex
	armed := false
	w := newWiretap(func(toServer bool, _ int, p []byte) []byte {
		mu.Lock()
		defer mu.Unlock()
		if !armed || !toServer {
			return p
		}
		return change(p)
	})
	defer w.close()
	c, r := s.connectOn(t, w.client, w.server)
	exchange(t, c, r) // so that the handshake is over for both
	mu.Lock()
	armed = true
	mu.Unlock()
	if _, err := c.Write(secretMessage); err != nil {
		t.Errorf("write: %v", err)
	}
	c.Close()
	return io.ReadAll(r)
}

// checkPrefix fails if something was read that was not sent.
func checkPrefix(t *testing.T, what string, got []byte) {
	t.Helper()
	if !bytes.HasPrefix(secretMessage, got) {
		t.Errorf("%s: bytes were read that nobody wrote", what)
	}
}

func (s *securitySuite) testTamperedData(t *testing.T) {
	for _, at := range []int{0, 1, 2, 3, 10, 100, len(secretMessage), -1} {
		got, err := s.attacked(t, func(p []byte) []byte {
			i := at
			if i < 0 || i >= len(p) {
				i = len(p) - 1
			}
			p[i] ^= 0x10
			return p
		})
		checkPrefix(t, "changed", got)
		if err == nil {
			t.Errorf("byte %d was changed, and nobody noticed", at)
		}
	}
}

func (s *securitySuite) testReplayedData(t *testing.T) {
	got, err := s.attacked(t, func(p []byte) []byte { return append(bytes.Clone(p), p...) })
	checkPrefix(t, "replayed", got)
	// Who has read the end of the connection need not look at what follows.
	if err == nil && !bytes.Equal(got, secretMessage) {
		t.Error("a record was sent twice, and nobody noticed")
	}
}

func (s *securitySuite) testTruncatedData(t *testing.T) {
	got, err := s.attacked(t, func(p []byte) []byte { return p[:len(p)-1] })
	checkPrefix(t, "cut off", got)
	if err == nil {
		t.Error("a record was cut off, and nobody noticed")
	}
}

func (s *securitySuite) testEavesdropper(t *testing.T) {
	var seen []byte
	got, _ := s.attacked(t, func(p []byte) []byte {
		seen = append(seen, p...)
		return p
	})
	if !bytes.Equal(got, secretMessage) {
		t.Errorf("%d bytes were read of %d", len(got), len(secretMessage))
	}
	if len(seen) < len(secretMessage) || bytes.Contains(seen, secretMessage[:16]) {
		t.Errorf("an eavesdropper reads it (%d bytes)", len(seen))
	}
}
