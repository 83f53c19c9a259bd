// SPDX-License-Identifier: Apache-2.0 OR MIT

package memnet

import (
	"errors"
	"io"
	"net"
	"strconv"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// DefaultBuffer is how many bytes a connection takes in each direction before a
// write waits for the reader.
const DefaultBuffer = 256 << 10

// network is the name of the network in addresses and errors.
const network = "memory"

// Addr is the number in a /memory address.
type Addr uint64

// Network implements [net.Addr].
func (Addr) Network() string { return network }

// String returns the address as a multiaddr.
func (a Addr) String() string { return "/memory/" + strconv.FormatUint(uint64(a), 10) }

// Multiaddr returns /memory/N.
func (a Addr) Multiaddr() ma.Multiaddr {
	return ma.StringCast(a.String()) // does not panic: every number is valid
}

// Conn is one end of a connection. What was written before Close still reaches
// the other end, which reads io.EOF after it; its writes fail with
// io.ErrClosedPipe.
type Conn struct {
	in, out       *half
	local, remote Addr
}

// Pipe returns the two ends of a connection without latency.
func Pipe() (*Conn, *Conn) { return pipe(DefaultBuffer, 0, 0, 0) }

func pipe(buffer int, delay time.Duration, a, b Addr) (*Conn, *Conn) {
	ab, ba := newHalf(buffer, delay), newHalf(buffer, delay)
	return &Conn{in: ba, out: ab, local: a, remote: b}, &Conn{in: ab, out: ba, local: b, remote: a}
}

// Read implements [net.Conn].
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.wrap("read", err)
}

// Write implements [net.Conn]. It returns early only with an error.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, c.wrap("write", err)
}

// Close implements [net.Conn].
func (c *Conn) Close() error {
	c.out.closeWrite()
	c.in.closeRead()
	return nil
}

// CloseWrite ends the sending side: the other end reads io.EOF.
func (c *Conn) CloseWrite() error {
	c.out.closeWrite()
	return nil
}

// CloseRead ends the receiving side: what still arrives is dropped.
func (c *Conn) CloseRead() error {
	c.in.closeRead()
	return nil
}

// Abort drops what is in flight and makes every operation fail at once: with
// local on this end, with remote on the other. Latency does not hold it up.
func (c *Conn) Abort(local, remote error) {
	c.in.abort(local, remote)
	c.out.abort(remote, local)
}

// LocalAddr implements [net.Conn].
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements [net.Conn].
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// LocalMultiaddr implements [manet.Conn].
func (c *Conn) LocalMultiaddr() ma.Multiaddr { return c.local.Multiaddr() }

// RemoteMultiaddr implements [manet.Conn].
func (c *Conn) RemoteMultiaddr() ma.Multiaddr { return c.remote.Multiaddr() }

// SetDeadline implements [net.Conn].
func (c *Conn) SetDeadline(t time.Time) error {
	c.in.setReadDeadline(t)
	c.out.setWriteDeadline(t)
	return nil
}

// SetReadDeadline implements [net.Conn].
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.setReadDeadline(t)
	return nil
}

// SetWriteDeadline implements [net.Conn].
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.setWriteDeadline(t)
	return nil
}

// wrap adds the operation and the ends to the errors of a queue; io.EOF and the
// errors of [Conn.Abort] stay as they are.
func (c *Conn) wrap(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) || c.aborted(err) {
		return err
	}
	return &net.OpError{Op: op, Net: network, Source: c.local, Addr: c.remote, Err: err}
}

func (c *Conn) aborted(err error) bool {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	return c.in.readErr != nil && c.in.readErr == err
}

var _ manet.Conn = (*Conn)(nil)
