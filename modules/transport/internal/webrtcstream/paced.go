// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcstream

import (
	"encoding/binary"
	"hash/crc32"
	"net"
	"sync/atomic"
	"time"

	"github.com/pion/sctp"
)

const (
	// maxAhead is how many channels may have been opened and not accepted when
	// an association gets its next packet, and how many a packet may open. It
	// keeps 16 of them, and pretends not to have received more, which costs
	// the remote a second.
	maxAhead = 8
	// maxWait bounds the wait for them: some that are opened are none, because
	// they come a second time.
	maxWait = 20 * time.Millisecond
	// packetHeader is that of an SCTP packet: ports, tag and checksum.
	packetHeader = 12
	// chunkData is the type of a chunk of data.
	chunkData = 0
)

// castagnoli is the polynomial of SCTP's checksum.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// paced is the connection of an association, which gets packets no faster than
// the channels that they open are accepted, and tells of room that there is again.
type paced struct {
	net.Conn
	ahead    atomic.Int64
	accepted chan struct{} // of size 1
	rest     []byte        // of a packet that opens too many at once; for the one reader
	credit   credit
}

func newPaced(conn net.Conn, buffer int) *paced {
	return &paced{Conn: conn, accepted: make(chan struct{}, 1), credit: credit{buffer: buffer}}
}

// Write implements [net.Conn].
func (p *paced) Write(b []byte) (int, error) {
	p.credit.sent(b)
	return p.Conn.Write(b)
}

// consumed notes that somebody has read n bytes of what has arrived.
func (p *paced) consumed(n int) {
	if packet := p.credit.consumed(n); packet != nil {
		_, _ = p.Conn.Write(packet) // the association will find out
	}
}

// accept notes that a channel has been accepted.
func (p *paced) accept() {
	p.ahead.Add(-1)
	select {
	case p.accepted <- struct{}{}:
	default:
	}
}

// Read implements [net.Conn].
func (p *paced) Read(b []byte) (n int, err error) {
	if p.ahead.Load() >= maxAhead {
		p.wait()
	}
	if len(p.rest) > 0 {
		n = copy(b, p.rest)
	} else if n, err = p.Conn.Read(b); err != nil {
		return n, err
	}
	opened, end := cut(b[:n])
	p.ahead.Add(opened)
	p.rest = remainder(b[:n], end)
	if end < n {
		n = end
		binary.LittleEndian.PutUint32(b[8:], checksum(b[:n]))
	}
	return n, nil
}

func (p *paced) wait() {
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	for p.ahead.Load() >= maxAhead {
		select {
		case <-p.accepted:
		case <-timer.C:
			p.ahead.Store(0)
		}
	}
}

// cut returns how many channels an SCTP packet opens, and where it is to be cut
// so that it opens no more than maxAhead.
func cut(packet []byte) (opened int64, end int) {
	for at := packetHeader; at+chunkHeader < len(packet); {
		b := packet[at:]
		if b[0] == chunkData && b[chunkHeader] == channelOpen &&
			binary.BigEndian.Uint32(b[12:]) == uint32(sctp.PayloadTypeWebRTCDCEP) {
			if opened == maxAhead {
				return opened, at
			}
			opened++
		}
		size := (int(binary.BigEndian.Uint16(b[2:])) + 3) / 4 * 4
		if size == 0 || size > len(b) {
			break
		}
		at += size
	}
	return opened, len(packet)
}

// remainder makes a packet of what comes after end; nil if that is nothing.
func remainder(packet []byte, end int) []byte {
	if end == len(packet) {
		return nil
	}
	rest := append(append(make([]byte, 0, len(packet)), packet[:packetHeader]...), packet[end:]...)
	binary.LittleEndian.PutUint32(rest[8:], checksum(rest))
	return rest
}

// checksum is that of a packet.
func checksum(packet []byte) uint32 {
	sum := crc32.Update(0, castagnoli, packet[:8])
	sum = crc32.Update(sum, castagnoli, []byte{0, 0, 0, 0})
	return crc32.Update(sum, castagnoli, packet[packetHeader:])
}
