// SPDX-License-Identifier: Apache-2.0 OR MIT

package tls

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core/wire"
)

const (
	// maxPlaintext is the most data that one record carries, in bytes.
	maxPlaintext = 16 << 10

	// batchSize is what records are gathered in before they are sent. It has room
	// for the five records of 64 KiB of data and a bit, and is a whole number of
	// the pages in which Go allocates.
	batchSize = 72 << 10

	// maxHandshake bounds what is read for a handshake, in bytes. With the
	// largest keys that are accepted, RSA of 8192 bits, it takes about 6 KiB.
	maxHandshake = 32 << 10
)

// buffers lends batches to the connections of a module.
type buffers struct{ pool sync.Pool }

func (p *buffers) get() *[batchSize]byte {
	if b, ok := p.pool.Get().(*[batchSize]byte); ok {
		return b
	}
	return new([batchSize]byte)
}

// socket is the connection as crypto/tls sees it. crypto/tls writes one record at
// a time; between cork and uncork those records are gathered.
type socket struct {
	net.Conn
	pool *buffers
	left int // how many bytes may still be read; negative once there is no limit
	seen int // how much of the first record's header was checked, in bytes

	mu     sync.Mutex       // guards what follows
	batch  *[batchSize]byte // nil if not corked
	filled int
	failed error // after which nothing is sent: a record may have been cut off
}

// Read implements [net.Conn].
func (s *socket) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, fmt.Errorf("handshake of more than %d bytes: %w", maxHandshake, wire.ErrTooLarge)
	}
	if s.left > 0 && len(p) > s.left {
		p = p[:s.left]
	}
	n, err := s.Conn.Read(p)
	if s.left > 0 {
		s.left -= n
		if strange := s.checkVersion(p[:n]); strange != nil {
			return 0, strange
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		// crypto/tls can go on after the deadlines that it recognises.
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

// checkVersion checks the version of the first record, 3.1 or 3.3: of all that is
// sent in a handshake it alone is neither signed nor checked by crypto/tls.
func (s *socket) checkVersion(p []byte) error {
	for _, b := range p[:min(len(p), max(0, 3-s.seen))] {
		if s.seen == 1 && b != 3 || s.seen == 2 && b != 1 && b != 3 {
			return errNotTLS
		}
		s.seen++
	}
	return nil
}

// Write implements [net.Conn].
func (s *socket) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return 0, s.failed
	}
	if s.batch != nil && s.filled+len(p) > batchSize {
		s.flush()
	}
	if s.batch == nil || len(p) > batchSize {
		n, err := s.Conn.Write(p)
		s.failed = err
		return n, err
	}
	s.filled += copy(s.batch[s.filled:], p)
	return len(p), s.failed
}

// cork begins a batch.
func (s *socket) cork() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batch = s.pool.get()
}

// uncork sends what is left of a batch and ends it.
func (s *socket) uncork() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flush()
	s.pool.pool.Put(s.batch)
	s.batch = nil
	return s.failed
}

// flush sends the batch. The caller holds the lock.
func (s *socket) flush() {
	if s.failed == nil && s.filled > 0 {
		_, s.failed = s.Conn.Write(s.batch[:s.filled])
	}
	s.filled = 0
}

// sending tells whether a write is under way.
func (s *socket) sending() bool {
	if !s.mu.TryLock() {
		return true
	}
	s.mu.Unlock()
	return false
}

// SetWriteDeadline implements [net.Conn]. It does nothing: crypto/tls alone calls
// it, to end a connection, and [Conn.Close] has its own idea of how long that may
// take.
func (s *socket) SetWriteDeadline(time.Time) error { return nil }
