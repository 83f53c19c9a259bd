// SPDX-License-Identifier: Apache-2.0 OR MIT

package yamux

import "encoding/binary"

// headerSize is the length of every frame but the body of data.
const headerSize = 12

// The types of frame.
const (
	typeData byte = iota
	typeWindowUpdate
	typePing
	typeGoAway
)

// The flags of a frame.
const (
	flagSYN uint16 = 1 << iota
	flagACK
	flagFIN
	flagRST

	allFlags = flagSYN | flagACK | flagFIN | flagRST
)

// Reasons in a GoAway that the specification knows. libp2p has more, those of
// [core.ConnCode]. 0 lets the streams that are open go on.
const (
	goAwayProtocolError = 1
	goAwayInternalError = 2
)

// header is a frame without its body. Length is the size of the body for data,
// the credit for a window update, an opaque value for a ping and the reason
// for a GoAway. For a reset it is the code: that is an addition of libp2p.
type header [headerSize]byte

func newHeader(kind byte, flags uint16, id, length uint32) header {
	h := header{1: kind}
	h.setFlags(flags)
	h.setID(id)
	h.setLength(length)
	return h
}

func (h *header) version() byte  { return h[0] }
func (h *header) kind() byte     { return h[1] }
func (h *header) flags() uint16  { return binary.BigEndian.Uint16(h[2:4]) }
func (h *header) id() uint32     { return binary.BigEndian.Uint32(h[4:8]) }
func (h *header) length() uint32 { return binary.BigEndian.Uint32(h[8:12]) }

func (h *header) setFlags(f uint16)  { binary.BigEndian.PutUint16(h[2:4], f) }
func (h *header) setID(id uint32)    { binary.BigEndian.PutUint32(h[4:8], id) }
func (h *header) setLength(n uint32) { binary.BigEndian.PutUint32(h[8:12], n) }

// body is how many bytes follow the header.
func (h *header) body() uint32 {
	if h.kind() == typeData {
		return h.length()
	}
	return 0
}
