// SPDX-License-Identifier: Apache-2.0 OR MIT

package pnet

import (
	"crypto/rand"
	"io"
	"net"
	"sync"
)

// bufferSize is how much is encrypted at a time, in bytes: what Noise writes at
// a time, and a nonce.
const bufferSize = 72<<10 + nonceSize

// buffers lends buffers for what is written.
type buffers struct{ pool sync.Pool }

func (p *buffers) get() *[bufferSize]byte {
	if b, ok := p.pool.Get().(*[bufferSize]byte); ok {
		return b
	}
	return new([bufferSize]byte)
}

func (p *buffers) put(b *[bufferSize]byte) { p.pool.Put(b) }

// conn is a connection in a private network. Reads and writes may happen at the
// same time. After an error that passes, such as a deadline, both can go on
// where they stopped, as on the connection below.
type conn struct {
	net.Conn
	key     secret
	buffers *buffers

	// The two directions stand behind pointers so that a printed conn does
	// not show their keys.
	in  *inbound
	out *outbound
}

type inbound struct {
	mu        sync.Mutex
	nonce     [nonceSize]byte
	got       int        // how much of the nonce has come
	keystream *keystream // nil until all of it has
}

type outbound struct {
	mu        sync.Mutex
	nonce     [nonceSize]byte
	sent      int        // how much of the nonce has been written
	keystream *keystream // nil until the first Write, or Read
}

func newConn(c net.Conn, key secret, b *buffers) *conn {
	return &conn{Conn: c, key: key, buffers: b, in: new(inbound), out: new(outbound)}
}

// Read implements [net.Conn].
func (c *conn) Read(p []byte) (int, error) {
	in := c.in
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.keystream == nil && len(p) > 0 {
		c.greet()
		if err := c.readNonce(); err != nil {
			return 0, err
		}
	}
	n, err := c.Conn.Read(p)
	if n > 0 {
		in.keystream.xor(p[:n], p[:n])
	}
	return n, err
}

// readNonce reads what is missing of the remote's nonce.
func (c *conn) readNonce() error {
	in := c.in
	n, err := io.ReadFull(c.Conn, in.nonce[in.got:])
	if in.got += n; in.got == nonceSize {
		in.keystream = newKeystream(c.key(), &in.nonce)
		return nil
	}
	if err == io.EOF && in.got > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

// greet sends the nonce if that has not happened: js-libp2p waits for the
// remote's before it sends its own. Whoever writes meanwhile does it. An error
// is for the next Write to find: what the remote has sent can be read still.
func (c *conn) greet() {
	out := c.out
	if !out.mu.TryLock() {
		return
	}
	defer out.mu.Unlock()
	if out.sent < nonceSize {
		c.beginLocked()
		n, _ := c.Conn.Write(out.nonce[out.sent:])
		out.sent += n
	}
}

// beginLocked draws the nonce, once.
func (c *conn) beginLocked() {
	if c.out.keystream == nil {
		_, _ = rand.Read(c.out.nonce[:]) // it cannot fail
		c.out.keystream = newKeystream(c.key(), &c.out.nonce)
	}
}

// Write implements [net.Conn]. The nonce goes before the first bytes, in one
// write with them.
func (c *conn) Write(p []byte) (written int, err error) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if len(p) > 0 {
		c.beginLocked()
	}
	for written < len(p) {
		n, err := c.writeSome(p[written:])
		if written += n; err != nil {
			return written, err
		}
	}
	if len(p) == 0 {
		return c.Conn.Write(nil)
	}
	return written, nil
}

// writeSome writes as much of p as fits into a buffer.
func (c *conn) writeSome(p []byte) (int, error) {
	out := c.out
	b := c.buffers.get()
	defer c.buffers.put(b)
	head := copy(b[:], out.nonce[out.sent:])
	size := min(len(p), len(b)-head)
	out.keystream.xor(b[head:], p[:size])
	n, err := c.Conn.Write(b[:head+size])
	out.sent += min(n, head)
	done := max(n-head, 0)
	out.keystream.back(size - done)
	return done, err
}

var _ net.Conn = (*conn)(nil)
