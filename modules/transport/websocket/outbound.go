// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"crypto/rand"
	"encoding/binary"
	"net"
)

const (
	// maxPayload is the most data that is sent in one message, in bytes.
	// Receivers that hold a message as a whole have a bound of their own.
	maxPayload = largeBuffer - maxHeader
	// copied is up to which size data are copied behind their header although
	// the socket could take both from where they are: for less, the copy is
	// cheaper.
	copied = 4 << 10
)

// outbound puts what is written to a connection into frames: each write is one
// message, or several if it is very long, and each message is one write.
type outbound struct {
	dst    net.Conn
	pool   *buffers
	masked bool  // frames are masked: they go to a server
	closed bool  // a close frame was sent
	failed error // after which nothing is sent: a frame may have been cut off

	small  [maxHeader + maxControl]byte // a header, and its payload if that fits
	parts  [2][]byte                    // a header and its payload
	vector net.Buffers                  // parts, or what is left of them
	key    [4]byte
}

// write sends p as binary messages.
func (out *outbound) write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		part := p[written:min(len(p), written+maxPayload)]
		n, err := out.frame(opBinary, part)
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// frame sends a message or a control frame. n counts the payload alone.
func (out *outbound) frame(opcode byte, payload []byte) (n int, err error) {
	if out.failed != nil {
		return 0, out.failed
	}
	key := uint32(0)
	if out.masked {
		rand.Read(out.key[:])
		key = binary.LittleEndian.Uint32(out.key[:])
	}
	head := appendHeader(out.small[:0], opcode, len(payload), out.masked, key)
	var sent int64
	if tcp, ok := out.dst.(*net.TCPConn); ok && !out.masked && len(payload) > copied {
		out.parts = [2][]byte{head, payload}
		out.vector = out.parts[:]
		sent, err = out.vector.WriteTo(tcp)
		out.parts[1] = nil
	} else {
		sent, err = out.copied(head, payload, key)
	}
	if err != nil && sent > 0 {
		out.failed = err
	}
	return max(0, int(sent)-len(head)), err
}

// copied sends a header and the payload, masked if it has to be, from one buffer.
// The header is at the beginning of out.small.
func (out *outbound) copied(head, payload []byte, key uint32) (int64, error) {
	buf, size := out.small[:], len(head)+len(payload)
	if size > len(buf) {
		buf = out.pool.get()
		defer out.pool.put(buf)
		copy(buf, head)
	}
	if body := buf[len(head):size]; out.masked {
		mask(body, payload, key)
	} else {
		copy(body, payload)
	}
	n, err := out.dst.Write(buf[:size])
	return int64(n), err
}

// close sends a close frame, unless that has been done.
func (out *outbound) close(code uint16) {
	if out.closed {
		return
	}
	out.closed = true
	if code == closeNoStatus {
		_, _ = out.frame(opClose, nil)
		return
	}
	_, _ = out.frame(opClose, binary.BigEndian.AppendUint16(nil, code))
}
