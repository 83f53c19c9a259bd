// SPDX-License-Identifier: Apache-2.0 OR MIT

package http

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"

	"github.com/xnode-p2p/xnode/core"
)

// conn is a stream as a connection.
type conn struct {
	core.Stream
	closed chan struct{}
	once   sync.Once
	// lost is over when nobody reads what is written: after Close, or when reading
	// has failed. The end of what is read does not mean that.
	lost context.Context
	lose context.CancelFunc
}

func newConn(s core.Stream) *conn {
	c := &conn{Stream: s, closed: make(chan struct{})}
	c.lost, c.lose = context.WithCancel(context.Background())
	return c
}

// Read implements [net.Conn].
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Stream.Read(b)
	if err != nil && err != io.EOF && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.lose()
	}
	return n, err
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	defer c.once.Do(func() { close(c.closed) })
	c.lose()
	return c.Stream.Close()
}

// LocalAddr implements [net.Conn].
func (c *conn) LocalAddr() net.Addr { return peerAddr("") }

// RemoteAddr implements [net.Conn]: who the peer is.
func (c *conn) RemoteAddr() net.Addr { return peerAddr(c.Stream.Conn().RemotePeer().String()) }

// peerAddr is a peer's ID as an address.
type peerAddr string

// Network implements [net.Addr].
func (peerAddr) Network() string { return "libp2p" }

// String implements [net.Addr].
func (a peerAddr) String() string { return string(a) }

// queue is a listener of connections that others have accepted.
type queue struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
	addr  net.Addr
}

func newQueue(addr net.Addr) *queue {
	return &queue{conns: make(chan net.Conn), done: make(chan struct{}), addr: addr}
}

// put hands a connection over, or closes it if nobody takes any more.
func (q *queue) put(c net.Conn) error {
	select {
	case q.conns <- c:
		return nil
	case <-q.done:
		_ = c.Close()
		return net.ErrClosed
	}
}

// Accept implements [net.Listener].
func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (q *queue) Close() error {
	q.once.Do(func() { close(q.done) })
	return nil
}

// Addr implements [net.Listener].
func (q *queue) Addr() net.Addr { return q.addr }
