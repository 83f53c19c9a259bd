// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import (
	"io"
	"net"
)

// recordReader is a connection that can put what arrives to where it is to stay:
// into a slice for which it asks when it knows how much that is. So nobody holds
// memory who waits for something to arrive.
type recordReader interface {
	ReadRecord(room func(n int) []byte) (int, error)
}

// input is the reading side of a connection. It belongs to the receiver.
type input struct {
	conn    net.Conn
	records recordReader // nil if the connection is none
	room    func(n int) []byte
	ahead   *chunk // what was read and not used; nil for nothing
}

func (in *input) init(conn net.Conn) {
	in.conn = conn
	if records, ok := conn.(recordReader); ok {
		in.records, in.room = records, in.makeRoom
	}
}

// read is the connection's Read.
func (in *input) read(p []byte) (int, error) {
	if in.records == nil {
		return in.conn.Read(p)
	}
	if in.ahead == nil {
		n, err := in.records.ReadRecord(in.room)
		if err != nil {
			in.drop()
			return 0, err
		}
		in.ahead.w = n
	}
	n := copy(p, in.ahead.b[in.ahead.r:in.ahead.w])
	if in.ahead.r += n; in.ahead.r == in.ahead.w {
		in.drop()
	}
	return n, nil
}

func (in *input) makeRoom(n int) []byte {
	in.ahead = getChunk(n)
	return in.ahead.b[:n]
}

// drop gives back what was read ahead.
func (in *input) drop() {
	if in.ahead != nil {
		putChunk(in.ahead)
		in.ahead = nil
	}
}

// body returns the chunk that was read ahead if it holds the beginning of a body
// of n bytes and nothing else, and hardly more memory than that takes.
func (in *input) body(n int) *chunk {
	c := in.ahead
	if c == nil || c.w-c.r > n || c.w-c.r < len(c.b)/4*3 {
		return nil
	}
	return c
}

// readFull reads all of p. Whatever comes is a sign of life.
func (s *session) readFull(p []byte) error {
	for n := 0; n < len(p); {
		m, err := s.input.read(p[n:])
		if n += m; m > 0 {
			s.heard.Store(int64(s.now()))
		}
		if err != nil && n < len(p) {
			if err == io.EOF && n > 0 {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// readBody reads a body to where it belongs.
func (s *session) readBody(in arrival) error {
	left := in.body
	if in.stream != nil && left > 0 {
		if c := s.input.body(left); c != nil {
			have := c.w - c.r
			if rest, ok := in.stream.in.adopt(c, left); ok {
				s.input.ahead = nil
				err := s.fill(in.stream, rest, have)
				if left -= have + len(rest); err != nil {
					return err
				}
			}
		}
	}
	for left > 0 && in.stream != nil {
		room := in.stream.in.room(left)
		if room == nil {
			break
		}
		if err := s.fill(in.stream, room, 0); err != nil {
			return err
		}
		left -= len(room)
	}
	return s.discard(left)
}

// fill reads data into the room in a stream's inbox, behind what is there.
func (s *session) fill(st *stream, room []byte, have int) error {
	err := s.readFull(room)
	if err == nil {
		have += len(room)
	}
	st.in.put(have)
	return err
}

// discard reads a body that nobody wants.
func (s *session) discard(n int) error {
	if n == 0 {
		return nil
	}
	c := getChunk(min(n, 4<<10))
	defer putChunk(c)
	for n > 0 {
		part := c.b[:min(n, len(c.b))]
		if err := s.readFull(part); err != nil {
			return err
		}
		n -= len(part)
	}
	return nil
}
