// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcstream

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/pion/sctp"
)

const (
	// mtu is how long SCTP packets are, in bytes. With what DTLS, UDP and IPv6
	// add they fit into the 1280 bytes that every IPv6 path carries.
	mtu = 1191
	// chunk is how much data such a packet has, and frameData how much a frame,
	// so that a frame fills its packets, and the last one has room for the
	// prefix of the next frame.
	chunk       = (mtu - 12 - chunkHeader) / 4 * 4
	chunkHeader = 16
	frameData   = maxFrame/chunk*chunk - (chunkHeader + 4) - (dataOverhead - maxPrefix)
	// maxUnread bounds the packets of data that wait for the reader of one
	// stream. Their bytes are bounded by the receive buffer; this is for what
	// is kept besides the bytes. More end the connection.
	maxUnread = 8192
	// maxRTO is the longest that SCTP waits before it sends again, in
	// milliseconds.
	maxRTO = 10_000
)

// associate makes the association of a session. It ends with ctx.
func associate(ctx context.Context, c Config, conn net.Conn) (*sctp.Association, error) {
	a, err := sctp.ClientContext(ctx,
		sctp.WithNetConn(conn),
		sctp.WithLoggerFactory(c.Logs),
		sctp.WithMTU(mtu),
		sctp.WithMaxMessageSize(maxFrame),
		sctp.WithMaxReceiveBufferSize(uint32(c.ReceiveBuffer)),
		sctp.WithMaxReassemblyQueueEntries(maxUnread),
		sctp.WithRTOMax(maxRTO),
		sctp.WithEnableZeroChecksum(true),  // DTLS has a better one
		sctp.WithEnableInterleaving(false), // frames are short
	)
	if err != nil {
		return nil, fmt.Errorf("sctp: %w", err)
	}
	return a, nil
}

const (
	// maxAhead is how many channels may have been opened and not accepted when
	// an association gets its next packet. It keeps 16 of them, and pretends
	// not to have received more, which costs the remote a second.
	maxAhead = 8
	// maxWait bounds the wait for them: some that are opened are none, because
	// they come a second time.
	maxWait = 20 * time.Millisecond
)

// paced is the connection of an association, which gets packets no faster than
// the channels that they open are accepted.
type paced struct {
	net.Conn
	ahead    atomic.Int64
	accepted chan struct{} // of size 1
}

func newPaced(conn net.Conn) *paced { return &paced{Conn: conn, accepted: make(chan struct{}, 1)} }

// accept notes that a channel has been accepted.
func (p *paced) accept() {
	p.ahead.Add(-1)
	select {
	case p.accepted <- struct{}{}:
	default:
	}
}

// Read implements [net.Conn].
func (p *paced) Read(b []byte) (int, error) {
	if p.ahead.Load() > maxAhead {
		p.wait()
	}
	n, err := p.Conn.Read(b)
	if opened := countOpened(b[:n]); opened > 0 {
		p.ahead.Add(opened)
	}
	return n, err
}

func (p *paced) wait() {
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	for p.ahead.Load() > maxAhead {
		select {
		case <-p.accepted:
		case <-timer.C:
			p.ahead.Store(0)
		}
	}
}

// countOpened returns how many messages that open a channel an SCTP packet has.
func countOpened(packet []byte) (n int64) {
	const header, data = 12, 0
	for b := packet[min(header, len(packet)):]; len(b) > chunkHeader; {
		size := int(binary.BigEndian.Uint16(b[2:]))
		if b[0] == data && b[chunkHeader] == channelOpen &&
			binary.BigEndian.Uint32(b[12:]) == uint32(sctp.PayloadTypeWebRTCDCEP) {
			n++
		}
		if size = (size + 3) / 4 * 4; size == 0 || size > len(b) {
			return n
		}
		b = b[size:]
	}
	return n
}
