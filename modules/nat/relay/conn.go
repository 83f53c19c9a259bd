// SPDX-License-Identifier: Apache-2.0 OR MIT

package relay

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

// lingering is how long after Close the other end may go on to send. Then the
// stream is reset: that nobody reads any more, not every muxer can tell.
const lingering = 5 * time.Second

// conn is a connection through a relay: the stream to the relay, once that has
// joined it with one of the other peer's.
type conn struct {
	stream        core.Stream
	local, remote ma.Multiaddr
	peer          peer.ID // behind the relay, as the relay has it
	limit         Limit
	reading       chan struct{} // full while the stream is read from
	close         func() error
	closed        chan struct{}
}

// newConn returns a connection to p. Close calls after, if that is not nil; it is
// to see to it that finish is called.
func newConn(s core.Stream, remote ma.Multiaddr, p peer.ID, limit Limit, after func(*conn)) *conn {
	relay := s.Conn()
	if remote == nil {
		remote = behind(relay.RemoteMultiaddr(), relay.RemotePeer())
	}
	c := &conn{
		stream: s,
		local:  behind(relay.LocalMultiaddr(), relay.RemotePeer()),
		remote: remote,
		peer:   p,
		limit:  limit,
		closed: make(chan struct{}),

		reading: make(chan struct{}, 1),
	}
	c.close = sync.OnceValue(func() error {
		err := s.CloseWrite()
		close(c.closed)
		s.SetDeadline(time.Unix(1, 0)) // for those who read or write just now
		if after != nil {
			after(c)
		}
		return err
	})
	return c
}

// finish ends the stream of a closed connection, once the other end has closed it
// too, has had its time, or the context ends.
func (c *conn) finish(ctx context.Context) {
	c.reading <- struct{}{}
	defer func() { <-c.reading }()
	c.stream.SetReadDeadline(time.Now().Add(lingering))
	defer context.AfterFunc(ctx, func() { c.stream.Reset(core.StreamNoError) })()
	if _, err := wire.Copy(io.Discard, c.stream); err != nil {
		c.stream.Reset(core.StreamNoError)
		return
	}
	c.stream.Close()
}

// done reports whether the connection has been closed.
func (c *conn) done() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// Read implements [net.Conn].
func (c *conn) Read(b []byte) (n int, err error) {
	select {
	case c.reading <- struct{}{}:
		defer func() { <-c.reading }()
	case <-c.closed: // it may be that finish reads
	}
	if !c.done() {
		if n, err = c.stream.Read(b); err == nil || n > 0 || !c.done() {
			return n, err
		}
	}
	return 0, fmt.Errorf("read %s: %w", c.remote, net.ErrClosed)
}

// Write implements [net.Conn].
func (c *conn) Write(b []byte) (n int, err error) {
	if !c.done() {
		if n, err = c.stream.Write(b); err == nil || !c.done() {
			return n, err
		}
	}
	return n, fmt.Errorf("write %s: %w", c.remote, net.ErrClosed)
}

// Close implements [net.Conn].
func (c *conn) Close() error { return c.close() }

// Limited implements [core.LimitedConn].
func (c *conn) Limited() bool { return c.limit.Limited() }

// SetDeadline implements [net.Conn].
func (c *conn) SetDeadline(t time.Time) error { return c.set(c.stream.SetDeadline, t) }

// SetReadDeadline implements [net.Conn].
func (c *conn) SetReadDeadline(t time.Time) error { return c.set(c.stream.SetReadDeadline, t) }

// SetWriteDeadline implements [net.Conn].
func (c *conn) SetWriteDeadline(t time.Time) error { return c.set(c.stream.SetWriteDeadline, t) }

// set sets a deadline. After Close they are those of finish.
func (c *conn) set(deadline func(time.Time) error, t time.Time) error {
	if c.done() {
		return fmt.Errorf("set deadline of %s: %w", c.remote, net.ErrClosed)
	}
	return deadline(t)
}

// LocalAddr implements [net.Conn].
func (c *conn) LocalAddr() net.Addr { return addr{c.local} }

// RemoteAddr implements [net.Conn].
func (c *conn) RemoteAddr() net.Addr { return addr{c.remote} }

// LocalMultiaddr implements [manet.Conn].
func (c *conn) LocalMultiaddr() ma.Multiaddr { return c.local }

// RemoteMultiaddr implements [manet.Conn].
func (c *conn) RemoteMultiaddr() ma.Multiaddr { return c.remote }

// addr is an address behind a relay, as package net wants it.
type addr struct{ ma.Multiaddr }

// Network implements [net.Addr].
func (addr) Network() string { return "p2p-circuit" }

var (
	_ manet.Conn       = (*conn)(nil)
	_ core.LimitedConn = (*conn)(nil)
)
