// SPDX-License-Identifier: Apache-2.0 OR MIT

package websocket

import (
	"encoding/binary"
	"fmt"
)

// The opcodes of RFC 6455, section 11.8.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// The reasons for closing that are used here, RFC 6455, section 7.4.1.
const (
	closeNormal      = 1000
	closeGoingAway   = 1001
	closeProtocol    = 1002
	closeUnsupported = 1003
	closeNoStatus    = 1005
	closePolicy      = 1008
)

const (
	// maxHeader is the longest header of a frame, in bytes.
	maxHeader = 2 + 8 + 4
	// maxControl is the longest payload of a control frame, in bytes.
	maxControl = 125

	finBit   = 0x80
	rsvBits  = 0x70
	codeBits = 0x0F
	maskBit  = 0x80
)

// header is what stands before the payload of a frame.
type header struct {
	fin    bool
	opcode byte
	masked bool
	key    uint32 // little endian, as it is laid over the payload
	length uint64
}

// isControl tells whether the frame is one of those that may stand between the
// frames of a message.
func (h *header) isControl() bool { return h.opcode&0x8 != 0 }

// parseHeader reads the header that b begins with. size is what it takes, or 0
// if b ends before the header does.
func parseHeader(b []byte) (h header, size int, err error) {
	if len(b) < 2 {
		return header{}, 0, nil
	}
	h.fin, h.opcode, h.masked = b[0]&finBit != 0, b[0]&codeBits, b[1]&maskBit != 0
	if b[0]&rsvBits != 0 {
		return h, 0, &protocolError{closeProtocol, "reserved bits are set, but no extension was agreed on"}
	}
	short, size := b[1]&^maskBit, 2
	switch short {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	start := size
	if h.masked {
		size += 4
	}
	if len(b) < size {
		return header{}, 0, nil
	}
	switch short {
	case 126:
		h.length = uint64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		h.length = binary.BigEndian.Uint64(b[2:])
	default:
		h.length = uint64(short)
	}
	if h.masked {
		h.key = binary.LittleEndian.Uint32(b[start:])
	}
	return h, size, nil
}

// check says what is wrong with a header, given who sends it and whether a
// message is under way of which it must be a part.
func (h *header) check(masked, fragmented bool) error {
	switch {
	case h.masked != masked && masked:
		return &protocolError{closeProtocol, "a client's frame is not masked"}
	case h.masked != masked:
		return &protocolError{closeProtocol, "a server's frame is masked"}
	case h.length>>63 != 0:
		return &protocolError{closeProtocol, "the length of a frame has its first bit set"}
	}
	switch h.opcode {
	case opClose, opPing, opPong:
		if !h.fin || h.length > maxControl {
			return &protocolError{closeProtocol, "a control frame is in parts or too long"}
		}
	case opContinuation:
		if !fragmented {
			return &protocolError{closeProtocol, "a message begins with a continuation"}
		}
	case opBinary:
		if fragmented {
			return &protocolError{closeProtocol, "a message begins within another"}
		}
	case opText:
		return &protocolError{closeUnsupported, "a text message; libp2p sends binary ones"}
	default:
		return &protocolError{closeProtocol, fmt.Sprintf("opcode %#x is unknown", h.opcode)}
	}
	return nil
}

// appendHeader adds the header of a frame that is a whole message.
func appendHeader(b []byte, opcode byte, length int, masked bool, key uint32) []byte {
	second := byte(0)
	if masked {
		second = maskBit
	}
	b = append(b, finBit|opcode)
	switch {
	case length < 126:
		b = append(b, second|byte(length))
	case length < 1<<16:
		b = append(b, second|126)
		b = binary.BigEndian.AppendUint16(b, uint16(length))
	default:
		b = append(b, second|127)
		b = binary.BigEndian.AppendUint64(b, uint64(length))
	}
	if masked {
		b = binary.LittleEndian.AppendUint32(b, key)
	}
	return b
}

// protocolError is what a peer has done against RFC 6455, and the code that the
// connection is closed with for it.
type protocolError struct {
	code uint16
	text string
}

// Error implements error.
func (e *protocolError) Error() string { return "websocket: " + e.text }
