// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// closeTime is how long Close waits for a socket to take the close frame.
const closeTime = 500 * time.Millisecond

// conn is a WebSocket connection as a stream of bytes. Reads and writes may
// happen at the same time, and several writers may write: each Write is sent
// whole. An error of Write that comes when a part has been sent, a deadline too,
// is final for writing.
type conn struct {
	net.Conn // the TCP or TLS connection; for deadlines

	local, remote ma.Multiaddr
	remoteAddr    net.Addr // nil if it is that of the socket
	closed        atomic.Bool
	pinged        atomic.Pointer[[]byte] // the payload of a ping to be answered

	readMu sync.Mutex // guards in
	in     inbound

	writeMu sync.Mutex // guards out
	out     outbound
}

// newConn makes a connection of a socket after the handshake. What was read
// from it behind the handshake is rest.
func newConn(socket net.Conn, client bool, rest []byte, pool *buffers) *conn {
	c := &conn{Conn: socket}
	c.in.init(socket, rest, pool, !client)
	c.in.pong = c.pong
	c.out.dst, c.out.pool, c.out.masked = socket, pool, client
	return c
}

// Read implements [net.Conn].
func (c *conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.readMu.Lock()
	defer c.readMu.Unlock()
	if c.closed.Load() {
		return 0, c.explain(c.in.failed)
	}
	n, err := c.in.read(p)
	if c.in.failed != nil {
		c.part(c.in.failed)
	}
	return n, c.explain(err)
}

// part says goodbye to a remote that has closed the connection, or with which
// something is wrong.
func (c *conn) part(why error) {
	if !c.writeMu.TryLock() {
		return // the writer finds out by itself
	}
	defer c.writeMu.Unlock()
	code := uint16(closeNormal)
	var wrong *protocolError
	if errors.As(why, &wrong) {
		code = wrong.code
	}
	c.out.close(code)
	if c.out.failed == nil {
		c.out.failed = errParted
	}
}

// errParted is what Write returns after the WebSocket has been closed.
var errParted = fmt.Errorf("the WebSocket is closed: %w", io.ErrClosedPipe)

// pong answers a ping. If somebody writes at the moment, that one does it
// afterwards: a write that waits must not hold up reading.
func (c *conn) pong(payload []byte) {
	answer := bytes.Clone(payload)
	c.pinged.Store(&answer)
	c.answer()
}

// answer sends the answer to the latest ping that has none yet, unless somebody
// writes, who then calls it.
func (c *conn) answer() {
	for c.pinged.Load() != nil && c.writeMu.TryLock() {
		if payload := c.pinged.Swap(nil); payload != nil {
			_, _ = c.out.frame(opPong, *payload) // writing fails too, then
		}
		c.writeMu.Unlock()
	}
}

// Write implements [net.Conn].
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.write(p)
	c.answer()
	return n, c.explain(err)
}

func (c *conn) write(p []byte) (int, error) {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	return c.out.write(p)
}

// Close implements [net.Conn]. It sends a close frame if nobody is writing.
func (c *conn) Close() error {
	if !c.closed.CompareAndSwap(false, true) {
		return nil
	}
	socket := c.Conn
	secure, ok := c.Conn.(*tls.Conn)
	if ok {
		socket = secure.NetConn()
	}
	if c.writeMu.TryLock() {
		if c.out.failed == nil {
			_ = c.SetWriteDeadline(time.Now().Add(closeTime))
			c.out.close(closeNormal)
		}
		if c.out.failed == nil && secure != nil {
			_ = secure.CloseWrite() // the socket has just taken a frame
		}
		c.writeMu.Unlock()
	}
	return socket.Close()
}

// explain makes sure that errors after Close say so.
func (c *conn) explain(err error) error {
	if !c.closed.Load() || errors.Is(err, net.ErrClosed) {
		return err
	}
	if err == nil {
		return net.ErrClosed
	}
	return fmt.Errorf("%w: %w", net.ErrClosed, err)
}

// RemoteAddr implements [net.Conn].
func (c *conn) RemoteAddr() net.Addr {
	if c.remoteAddr != nil {
		return c.remoteAddr
	}
	return c.Conn.RemoteAddr()
}

// LocalMultiaddr implements [manet.Conn].
func (c *conn) LocalMultiaddr() ma.Multiaddr { return c.local }

// RemoteMultiaddr implements [manet.Conn].
func (c *conn) RemoteMultiaddr() ma.Multiaddr { return c.remote }

var _ manet.Conn = (*conn)(nil)
