// SPDX-License-Identifier: Apache-2.0 OR MIT

package mplex

import (
	"fmt"
	"io"

	"github.com/xnode-p2p/xnode/core/wire"
)

// The flags, which are the types of frame. Those for one side of a stream are
// sent by that side: the initiator, who opened the stream, or the receiver.
const (
	flagNewStream byte = iota
	flagMessageReceiver
	flagMessageInitiator
	flagCloseReceiver
	flagCloseInitiator
	flagResetReceiver
	flagResetInitiator
)

const (
	// maxMessage is the most data in a frame, in bytes, by the specification.
	maxMessage = 1 << 20
	// maxName is the longest name of a stream that is accepted, in bytes.
	// Names are for debugging; they are dropped.
	maxName = 1 << 10
	// maxID is the highest ID used here. The specification allows 60 bits,
	// but js-libp2p reads 31 of a header, 3 of which are the flag.
	maxID = 1<<28 - 1
	// maxHeader is the longest header of a frame that is sent: the ID with
	// the flag, and the length.
	maxHeader = 5 + 3
)

// key names a stream of a connection. Both sides count from 0.
type key struct {
	id   uint64
	ours bool // opened by this side
}

// frame is what stands before the data of a frame.
type frame struct {
	id     uint64
	flag   byte
	length int // of the data that follows, in bytes
}

// key says which stream a received frame is about.
func (f frame) key() key {
	// The remote's initiator is not this side.
	return key{id: f.id, ours: f.flag%2 == 1}
}

// readFrame reads the head of a frame. Its length is within what the flag
// allows. If r ends before the first byte the error is [io.EOF] itself.
func readFrame(r io.ByteReader) (frame, error) {
	head, err := wire.ReadUvarint(r)
	if err != nil {
		return frame{}, err
	}
	f := frame{id: head >> 3, flag: byte(head & 7)}
	length, err := wire.ReadUvarint(r)
	if err == io.EOF {
		return frame{}, io.ErrUnexpectedEOF
	}
	if err != nil {
		return frame{}, err
	}
	limit := uint64(0)
	switch f.flag {
	case flagNewStream:
		limit = maxName
	case flagMessageInitiator, flagMessageReceiver:
		limit = maxMessage
	case flagCloseInitiator, flagCloseReceiver, flagResetInitiator, flagResetReceiver:
	default:
		return frame{}, &violation{fmt.Sprintf("unknown flag %d", f.flag)}
	}
	if length > limit {
		return frame{}, &violation{fmt.Sprintf("%d bytes in a frame of flag %d, limit %d", length, f.flag, limit)}
	}
	f.length = int(length)
	return f, nil
}

// appendFrame appends the head of a frame.
func appendFrame(b []byte, f frame) []byte {
	b = wire.AppendUvarint(b, f.id<<3|uint64(f.flag))
	return wire.AppendUvarint(b, uint64(f.length))
}

// violation is a breach of the protocol by the remote.
type violation struct{ text string }

// Error implements error.
func (v *violation) Error() string { return v.text }
