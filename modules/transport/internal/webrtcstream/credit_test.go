// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcstream

import (
	"encoding/binary"
	"testing"
)

// sackPacket is a packet with data and an acknowledgement of a window.
func sackPacket(window uint32) []byte {
	b := append(make([]byte, packetHeader), 0, 3, 0, 17, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 53, 'x', 0, 0, 0)
	b = append(b, chunkSACK, 0, 0, sackHeader, 9, 9, 9, 9)
	b = binary.BigEndian.AppendUint32(b, window)
	return append(b, 0, 0, 0, 0)
}

func TestCredit(t *testing.T) {
	c := &credit{buffer: 1000}
	if c.consumed(900) != nil {
		t.Error("an acknowledgement before there was one")
	}
	c.sent(sackPacket(800))
	if c.consumed(900) != nil {
		t.Error("the remote has room enough")
	}
	c.sent(sackPacket(100))
	if c.consumed(100) != nil {
		t.Error("a window update for 100 bytes")
	}
	b := c.consumed(200)
	if len(b) != packetHeader+sackHeader || b[packetHeader] != chunkSACK || b[packetHeader+4] != 9 {
		t.Fatalf("the update is %x", b)
	}
	if got := binary.BigEndian.Uint32(b[packetHeader+windowAt:]); got != 400 {
		t.Errorf("the window is %d, want 400", got)
	}
	if binary.LittleEndian.Uint32(b[8:]) != checksum(b) {
		t.Error("wrong checksum")
	}
	c.consumed(300)
	if c.consumed(10_000) != nil {
		t.Error("the window of 700 is not enough")
	}
}

func FuzzCredit(f *testing.F) {
	f.Add(sackPacket(5))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &credit{buffer: 1000}
		c.sent(b)
		if p := c.consumed(1000); p != nil && len(p) > len(b) {
			t.Fatalf("%x becomes %x", b, p)
		}
	})
}
