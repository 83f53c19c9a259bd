// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcstream

import (
	"encoding/binary"
	"sync"
)

const (
	// chunkSACK is the type of a chunk that acknowledges, and sackHeader how
	// much of it there always is: header, number, window and two counts.
	chunkSACK  = 3
	sackHeader = 16
	// windowAt is where an acknowledgement has the window.
	windowAt = 8
)

// credit tells the remote that there is room again. The SCTP library says how
// much room there is with each acknowledgement, and nothing when data is read
// later: a remote that has been told that there is none would find out by trying,
// which takes a fraction of a second each time.
type credit struct {
	buffer int // how much room there is at most, in bytes

	mu     sync.Mutex
	latest []byte // the packet with the latest acknowledgement, and nothing else
	window int    // what it says
	read   int    // how much was read since
}

// sent notes the acknowledgements in a packet that goes out.
func (c *credit) sent(packet []byte) {
	for at := packetHeader; at+sackHeader <= len(packet); {
		b := packet[at:]
		size := (int(binary.BigEndian.Uint16(b[2:])) + 3) / 4 * 4
		if size == 0 || size > len(b) {
			return
		}
		if b[0] == chunkSACK && size >= sackHeader {
			c.note(packet[:packetHeader], b[:size])
		}
		at += size
	}
}

func (c *credit) note(header, sack []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.latest = append(append(c.latest[:0], header...), sack...)
	c.window = int(binary.BigEndian.Uint32(sack[windowAt:]))
	c.read = 0
}

// consumed notes that n bytes were read, and returns a packet that says so, nil
// if the remote has room enough or there is not yet enough to say.
func (c *credit) consumed(n int) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read += n
	if c.latest == nil || c.window >= c.buffer/2 || c.read < c.buffer/4 {
		return nil
	}
	c.window = min(c.buffer, c.window+c.read)
	c.read = 0
	packet := append([]byte(nil), c.latest...)
	binary.BigEndian.PutUint32(packet[packetHeader+windowAt:], uint32(c.window))
	binary.LittleEndian.PutUint32(packet[8:], checksum(packet))
	return packet
}
