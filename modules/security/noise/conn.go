// SPDX-License-Identifier: Apache-2.0 OR MIT

package noise

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	flynn "github.com/flynn/noise"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// Conn is a connection secured with Noise. Reads and writes may happen at the
// same time, and several writers may write: each Write is sent whole.
//
// A record that is not authentic closes the connection, and an error of Write,
// a deadline too, is final for writing, as part of a record may have been sent.
type Conn struct {
	net.Conn // addresses and deadlines

	remote     *proof
	muxer      string
	certHashes [][]byte
	closed     atomic.Bool

	readMu sync.Mutex // guards in
	in     inbound

	writeMu sync.Mutex // guards out
	out     outbound
}

// establish makes c ready for data when the handshake is over.
func (c *Conn) establish(r remote, muxer string, in, out *flynn.CipherState, pool *buffers) error {
	c.remote, c.muxer, c.certHashes = r.proof, muxer, r.certHashes
	c.in.max = maxFrame
	c.out.dst, c.out.pool = c.Conn, pool
	return errors.Join(c.in.sealer.init(in), c.out.sealer.init(out))
}

// RemotePeer implements [core.SecureConn].
func (c *Conn) RemotePeer() peer.ID { return c.remote.id }

// RemotePublicKey implements [core.SecureConn].
func (c *Conn) RemotePublicKey() peer.PublicKey { return c.remote.key }

// Muxer implements [core.SecureConn].
func (c *Conn) Muxer() string { return c.muxer }

// RemoteCertHashes are the multihashes of TLS certificates that the remote sent
// in the handshake, for WebTransport. At most 32 of at most 128 bytes each.
func (c *Conn) RemoteCertHashes() [][]byte { return c.certHashes }

// Read implements [net.Conn].
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return c.reading(func(in *inbound) (int, error) { return in.read(p) })
}

// ReadRecord is Read for who wants all that arrived together where it is to stay.
// When it is known how much that is, room is asked for a slice of that length; an
// error may still follow.
func (c *Conn) ReadRecord(room func(n int) []byte) (int, error) {
	return c.reading(func(in *inbound) (int, error) { return in.readRecord(room) })
}

// reading calls f, which reads.
func (c *Conn) reading(f func(*inbound) (int, error)) (int, error) {
	c.readMu.Lock()
	defer c.readMu.Unlock()
	if c.closed.Load() {
		return 0, c.explain(c.in.failed)
	}
	n, err := f(&c.in)
	if c.in.failed != nil {
		_ = c.Close() // what made it fail is the error that counts
		return n, err
	}
	return n, c.explain(err)
}

// Write implements [net.Conn].
func (c *Conn) Write(p []byte) (int, error) {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	n, err := c.out.write(p)
	return n, c.explain(err)
}

// Close implements [net.Conn].
func (c *Conn) Close() error {
	c.closed.Store(true)
	return c.Conn.Close()
}

// explain makes sure that errors after Close say so.
func (c *Conn) explain(err error) error {
	if !c.closed.Load() || errors.Is(err, net.ErrClosed) {
		return err
	}
	if err == nil {
		return net.ErrClosed
	}
	return fmt.Errorf("%w: %w", net.ErrClosed, err)
}

var _ core.SecureConn = (*Conn)(nil)
