// SPDX-License-Identifier: Apache-2.0 OR MIT

package evil

import (
	"encoding/binary"
	"io"
)

// The types and flags of yamux frames.
const (
	Data         byte = 0
	WindowUpdate byte = 1
	Ping         byte = 2
	GoAway       byte = 3

	SYN uint16 = 1
	ACK uint16 = 2
	FIN uint16 = 4
	RST uint16 = 8
)

// Frame is a frame of yamux. Length counts for frames without a body.
type Frame struct {
	Kind   byte
	Flags  uint16
	ID     uint32
	Length uint32
	Body   []byte
}

// Bytes encodes the frame.
func (f Frame) Bytes() []byte {
	length := f.Length
	if f.Body != nil {
		length = uint32(len(f.Body))
	}
	b := []byte{0, f.Kind}
	b = binary.BigEndian.AppendUint16(b, f.Flags)
	b = binary.BigEndian.AppendUint32(b, f.ID)
	b = binary.BigEndian.AppendUint32(b, length)
	return append(b, f.Body...)
}

// Frames sends frames in one write.
func (c *Conn) Frames(frames ...Frame) error {
	var b []byte
	for _, f := range frames {
		b = append(b, f.Bytes()...)
	}
	return c.Send(b)
}

// ReadFrame reads a frame.
func (c *Conn) ReadFrame() (Frame, error) {
	var h [12]byte
	if _, err := io.ReadFull(c.r, h[:]); err != nil {
		return Frame{}, err
	}
	f := Frame{Kind: h[1], Flags: binary.BigEndian.Uint16(h[2:]), ID: binary.BigEndian.Uint32(h[4:]), Length: binary.BigEndian.Uint32(h[8:])}
	if f.Kind != Data {
		return f, nil
	}
	f.Body = make([]byte, f.Length)
	_, err := io.ReadFull(c.r, f.Body)
	return f, err
}

// Until reads frames until one fits; it answers pings meanwhile.
func (c *Conn) Until(fits func(Frame) bool) (Frame, error) {
	for {
		f, err := c.ReadFrame()
		if err != nil || fits(f) {
			return f, err
		}
		if f.Kind == Ping && f.Flags == SYN {
			c.Frames(Frame{Kind: Ping, Flags: ACK, Length: f.Length})
		}
	}
}

// ResetOf fits the reset of a stream.
func ResetOf(id uint32) func(Frame) bool {
	return func(f Frame) bool { return f.ID == id && f.Flags&RST != 0 }
}

// Drain answers pings and drops everything else until the connection ends.
func (c *Conn) Drain() {
	c.Until(func(Frame) bool { return false })
}
