// SPDX-License-Identifier: Apache-2.0 OR MIT

package tcpport

import (
	"io"
	"net"
	"sync"
	"time"
)

// Conn is an accepted connection. Nothing of it has been read, as far as Read
// and WriteTo show; who reads from its descriptor misses the bytes that told the
// kind of a connection to a shared port. Copies are the same connection.
type Conn struct {
	*net.TCPConn

	head      *head // nil if nothing was read
	traceless bool  // see Close
}

// partingTime bounds how long the last bytes of a traceless connection may take.
const partingTime = time.Second

// Close implements [net.Conn]. A connection that was dialled from a port that is
// listened on, or punched, is reset once the other side has got everything: after
// the usual end the system would remember its two ports for a minute, and not let
// another connection be dialled between them.
func (c Conn) Close() error {
	if c.traceless {
		begun := time.Now()
		for pause := time.Millisecond; underWay(c.TCPConn) && time.Since(begun) < partingTime; pause = min(2*pause, 50*time.Millisecond) {
			time.Sleep(pause)
		}
	}
	return c.TCPConn.Close()
}

// head holds the bytes that have been read already.
type head struct {
	mu   sync.Mutex
	data [maxHead]byte
	from int // what of data has not been given to a reader: data[from:to]
	to   int
}

// read returns 0 if there is nothing left.
func (h *head) read(p []byte) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := copy(p, h.data[h.from:h.to])
	h.from += n
	return n
}

func (h *head) empty() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.from == h.to
}

// Read implements [net.Conn].
func (c Conn) Read(p []byte) (int, error) {
	if c.head == nil || c.head.empty() {
		return c.TCPConn.Read(p)
	}
	if err := c.readable(); err != nil {
		return 0, err
	}
	if n := c.head.read(p); n > 0 || len(p) == 0 {
		return n, nil
	}
	return c.TCPConn.Read(p)
}

// readable fails if the connection is closed or its deadline over.
func (c Conn) readable() error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(uintptr) bool { return true })
}

// WriteTo implements [io.WriterTo].
func (c Conn) WriteTo(w io.Writer) (n int64, err error) {
	if c.head != nil {
		var b [maxHead]byte
		written, err := w.Write(b[:c.head.read(b[:])])
		if n = int64(written); err != nil {
			return n, err
		}
	}
	m, err := c.TCPConn.WriteTo(w)
	return n + m, err
}

var (
	_ net.Conn    = Conn{}
	_ io.WriterTo = Conn{}
)
