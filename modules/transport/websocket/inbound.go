// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

const (
	// maxEmptyReads is how often in a row a connection may return nothing.
	maxEmptyReads = 100
	// maxIdle is how many frames without data, empty ones and pings among them,
	// a remote may send within idleTime beyond those with data. Nobody but the
	// WebSocket sees them, so nobody else can count them.
	maxIdle  = 1000
	idleTime = 10 * time.Second
)

// inbound takes the frames off what arrives on a connection. A payload is given
// out as it comes: no frame and no message is ever held as a whole, so their
// lengths need no bound.
//
// Who waits for data waits with the small buffer; once a read fills it, the next
// ones go to a large one, and in bulk 64 KiB of data are about one read.
type inbound struct {
	src    io.Reader
	pool   *buffers
	masked bool // frames must be masked: they come from a client

	buf  []byte // small or from the pool; buf[r:w] is read and not yet used
	r, w int
	more bool  // the last read filled the small buffer, or brought as much
	late error // what the last read returned besides data

	left       uint64 // what is still to come of the frame at hand, in bytes
	key        uint32 // for that
	fragmented bool   // the message at hand goes on in another frame
	failed     error  // after which nothing is accepted any more

	idle      int       // frames without data, less those with data; at most maxIdle
	idleSince time.Time // when they were last counted from nothing; zero at first

	// pinged is the payload of the latest ping that has no answer yet.
	pinged []byte
	// pong is called with it before the connection is read from again: a flood
	// of pings costs one answer a read.
	pong func(payload []byte)

	small [smallBuffer]byte
}

// init prepares in to read from src, from which rest has been read already.
func (in *inbound) init(src io.Reader, rest []byte, pool *buffers, masked bool) {
	in.src, in.pool, in.masked = src, pool, masked
	in.buf = in.small[:]
	if len(rest) > len(in.small) {
		in.buf = rest
	}
	in.w = copy(in.buf, rest)
}

// read returns data. Its errors are final, except those of the connection that
// pass, such as deadlines; these lose nothing.
func (in *inbound) read(p []byte) (int, error) {
	for in.left == 0 {
		if in.failed != nil {
			return 0, in.failed
		}
		if err := in.next(); err != nil {
			return 0, err
		}
	}
	if in.r == in.w {
		if err := in.fill(); err != nil {
			return 0, err
		}
	}
	n := int(min(uint64(len(p)), uint64(in.w-in.r), in.left))
	src := in.buf[in.r : in.r+n]
	if in.masked {
		in.key = mask(p[:n], src, in.key)
	} else {
		copy(p, src)
	}
	in.r += n
	in.left -= uint64(n)
	return n, nil
}

// next reads the header of a frame, and all of it if it is a control frame.
func (in *inbound) next() error {
	h, size, err := parseHeader(in.buf[in.r:in.w])
	if err != nil {
		return in.fail(err)
	}
	if size == 0 {
		return in.fill()
	}
	if err := h.check(in.masked, in.fragmented); err != nil {
		return in.fail(err)
	}
	if !h.isControl() {
		in.r += size
		in.left, in.key, in.fragmented = h.length, h.key, !h.fin
		if h.length == 0 {
			return in.idled()
		}
		in.idle = max(0, in.idle-1)
		return nil
	}
	end := in.r + size + int(h.length)
	if in.w < end {
		return in.fill()
	}
	payload := in.buf[in.r+size : end]
	if h.masked {
		mask(payload, payload, h.key)
	}
	in.r = end
	switch h.opcode {
	case opPing:
		in.pinged = append(in.pinged[:0], payload...)
	case opClose:
		return in.fail(parseClose(payload))
	}
	return in.idled()
}

// idled counts a frame without data.
func (in *inbound) idled() error {
	if in.idle++; in.idle < maxIdle {
		return nil
	}
	now := time.Now()
	if now.Sub(in.idleSince) < idleTime {
		return in.fail(&protocolError{closePolicy, "a flood of frames without data"})
	}
	in.idle, in.idleSince = 0, now
	return nil
}

func (in *inbound) fail(err error) error {
	in.failed = err
	return err
}

// fill reads once. What is in the buffer already, a part of a header or of a
// control frame, stays.
func (in *inbound) fill() error {
	if in.pinged != nil {
		in.pong(in.pinged)
		in.pinged = nil
	}
	in.makeRoom()
	err := in.late
	in.late = nil
	for range maxEmptyReads {
		if err != nil {
			break
		}
		var n int
		n, err = in.src.Read(in.buf[in.w:])
		if n > 0 {
			in.w += n
			in.more = in.w >= busy
			in.late = err
			return nil
		}
	}
	switch {
	case err == nil:
		return io.ErrNoProgress
	case err == io.EOF && (in.left > 0 || in.w > in.r):
		return fmt.Errorf("frame cut off: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// makeRoom chooses the buffer for the next read and moves what is left to its
// beginning: at most a header and a control frame's payload, less a byte.
func (in *inbound) makeRoom() {
	old := in.buf
	switch {
	case in.more && len(old) != largeBuffer:
		in.buf = in.pool.get()
	case !in.more:
		in.buf = in.small[:]
	}
	in.r, in.w = 0, copy(in.buf, old[in.r:in.w])
	if len(old) != len(in.buf) {
		in.pool.put(old)
	}
}

// parseClose reads the payload of a close frame. The error is [io.EOF] if the
// remote has ended the connection in peace.
func parseClose(payload []byte) error {
	if len(payload) == 0 {
		return io.EOF
	}
	if len(payload) == 1 {
		return &protocolError{closeProtocol, "a close frame with half a code"}
	}
	code, reason := binary.BigEndian.Uint16(payload), payload[2:]
	if code == closeNormal || code == closeGoingAway {
		return io.EOF
	}
	return &closedError{code, string(reason)}
}

// closedError means that the remote has closed the connection because something
// is wrong.
type closedError struct {
	code   uint16
	reason string // at most maxControl bytes
}

// Error implements error.
func (e *closedError) Error() string {
	return fmt.Sprintf("websocket closed by the remote: code %d, %q", e.code, e.reason)
}

// Unwrap makes it an end that was not expected.
func (e *closedError) Unwrap() error { return io.ErrUnexpectedEOF }
