// SPDX-License-Identifier: Apache-2.0 OR MIT

package kadwire

import (
	"sync"

	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	// MaxReply bounds a message that is built, in bytes. It is well below what
	// others read, so that an answer cannot be much larger than what it is for.
	MaxReply = 256 << 10
	// maxPeer bounds an encoded peer, in bytes.
	maxPeer = 8 << 10

	// room is for the length in front of a message.
	room = 4
	// keptBuffer is the largest buffer that is used again.
	keptBuffer = 32 << 10
)

// Buffer builds one message.
type Buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return &Buffer{make([]byte, room, 4<<10)} }}

// NewBuffer begins a message of a type. Cluster is zero, or that of the request
// that is answered.
func NewBuffer(t Type, key []byte, cluster uint32) *Buffer {
	w := buffers.Get().(*Buffer)
	w.b = w.b[:room]
	if t != 0 {
		w.b = protowire.AppendTag(w.b, fieldType, protowire.VarintType)
		w.b = protowire.AppendVarint(w.b, uint64(t))
	}
	if len(key) > 0 {
		w.bytes(fieldKey, key)
	}
	if cluster != 0 {
		w.b = protowire.AppendTag(w.b, fieldCluster, protowire.VarintType)
		w.b = protowire.AppendVarint(w.b, uint64(cluster))
	}
	return w
}

// Free gives the buffer back, which nobody may use from then on.
func (w *Buffer) Free() {
	if cap(w.b) <= keptBuffer {
		buffers.Put(w)
	}
}

func (w *Buffer) bytes(num protowire.Number, b []byte) {
	w.b = protowire.AppendTag(w.b, num, protowire.BytesType)
	w.b = protowire.AppendBytes(w.b, b)
}

// Record adds an encoded record.
func (w *Buffer) Record(record []byte) { w.bytes(fieldRecord, record) }

// Closer adds an encoded peer; see [AppendPeer]. It reports whether that fits.
func (w *Buffer) Closer(p []byte) bool { return w.peer(fieldCloser, p) }

// Provider adds an encoded peer. It reports whether that fits.
func (w *Buffer) Provider(p []byte) bool { return w.peer(fieldProviders, p) }

func (w *Buffer) peer(num protowire.Number, p []byte) bool {
	if len(w.b)+len(p)+8 > MaxReply {
		return false
	}
	w.bytes(num, p)
	return true
}

// Frame returns the message with its length in front.
func (w *Buffer) Frame() []byte {
	n := len(w.b) - room
	start := room - protowire.SizeVarint(uint64(n))
	protowire.AppendVarint(w.b[:start], uint64(n))
	return w.b[start:]
}

// AppendPeer encodes a peer, with as many of its addresses as may be sent.
func AppendPeer(b []byte, id peer.ID, addrs []ma.Multiaddr) []byte {
	start := len(b)
	b = protowire.AppendTag(b, peerID, protowire.BytesType)
	b = protowire.AppendString(b, string(id))
	for i, a := range addrs {
		encoded := a.Bytes()
		if i == MaxAddrs || len(b)-start+len(encoded)+8 > maxPeer {
			break
		}
		b = protowire.AppendTag(b, peerAddrs, protowire.BytesType)
		b = protowire.AppendBytes(b, encoded)
	}
	return b
}

// AppendConnection adds to an encoded peer what connection there is.
func AppendConnection(b []byte, c Connection) []byte {
	if c == NotConnected {
		return b
	}
	b = protowire.AppendTag(b, peerConnection, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(c))
}
