// SPDX-License-Identifier: Apache-2.0 OR MIT

package tls

import (
	ctls "crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// farewell is how long the alert that ends a connection may wait for room.
const farewell = 200 * time.Millisecond

// Conn is a connection secured with TLS. Reads and writes may happen at the same
// time, and several writers may write: each Write is sent whole.
//
// An error of Write, a deadline too, is final for writing, as part of a record may
// have been sent.
type Conn struct {
	net.Conn // addresses and deadlines

	tls    *ctls.Conn
	socket *socket
	remote *proof
	muxer  string
	closed atomic.Bool

	writeMu sync.Mutex // held by whoever writes
}

// newConn returns a connection that is ready for its handshake.
func newConn(conn net.Conn, config *ctls.Config, client bool, pool *buffers) *Conn {
	c := &Conn{Conn: conn, socket: &socket{Conn: conn, pool: pool, left: maxHandshake}}
	if client {
		c.tls = ctls.Client(c.socket, config)
	} else {
		c.tls = ctls.Server(c.socket, config)
	}
	return c
}

func (c *Conn) handshake() error {
	err := c.tls.Handshake()
	c.socket.left = -1
	return plain(err)
}

// RemotePeer implements [core.SecureConn].
func (c *Conn) RemotePeer() peer.ID { return c.remote.id }

// RemotePublicKey implements [core.SecureConn].
func (c *Conn) RemotePublicKey() peer.PublicKey { return c.remote.key }

// Muxer implements [core.SecureConn].
func (c *Conn) Muxer() string { return c.muxer }

// Read implements [net.Conn].
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.tls.Read(p)
	return n, c.explain(err)
}

// Write implements [net.Conn]. What takes more than one record is sent as few
// times as possible.
func (c *Conn) Write(p []byte) (int, error) {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	if len(p) <= maxPlaintext {
		n, err := c.tls.Write(p)
		return n, c.explain(err)
	}
	c.socket.cork()
	n, err := c.tls.Write(p)
	if sent := c.socket.uncork(); sent != nil {
		return 0, c.explain(sent)
	}
	return n, c.explain(err)
}

// Close implements [net.Conn]. The remote is told, unless something else is being
// sent: that fails, as it may be waiting for a remote that does not read.
func (c *Conn) Close() error {
	if c.closed.Swap(true) || c.socket.sending() {
		return c.Conn.Close()
	}
	// Who does not read need not be told.
	_ = c.Conn.SetWriteDeadline(time.Now().Add(farewell))
	_ = c.tls.CloseWrite()
	return c.Conn.Close()
}

// explain puts an error into plain words, and makes sure that errors after Close
// say so.
func (c *Conn) explain(err error) error {
	if err == nil || !c.closed.Load() || errors.Is(err, net.ErrClosed) {
		return plain(err)
	}
	return fmt.Errorf("%w: %w", net.ErrClosed, err)
}

var _ core.SecureConn = (*Conn)(nil)
