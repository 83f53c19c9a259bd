// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcstream

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"runtime"

	"github.com/pion/logging"
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

// Associate makes an SCTP association on a connection that keeps the bounds of
// packets, DTLS. It ends with ctx. The association owns conn, if there is one.
// receiveBuffer is how much the remote may send that nobody has read, in bytes.
func Associate(ctx context.Context, conn net.Conn, receiveBuffer int, logs logging.LoggerFactory) (*sctp.Association, error) {
	a, err := sctp.ClientContext(ctx,
		sctp.WithNetConn(&yielding{Conn: conn}),
		sctp.WithLoggerFactory(logs),
		sctp.WithMTU(mtu),
		sctp.WithMaxMessageSize(maxFrame),
		sctp.WithMaxReceiveBufferSize(uint32(receiveBuffer)),
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

// yielding is a connection whose reader lets others go first after it has read a
// packet that opens a channel. An association keeps 16 channels that nobody has
// accepted, and pretends not to have received more, which costs the remote a
// second.
type yielding struct {
	net.Conn
	yield bool
}

// Read implements [net.Conn].
func (y *yielding) Read(p []byte) (int, error) {
	if y.yield {
		runtime.Gosched()
	}
	n, err := y.Conn.Read(p)
	y.yield = opensChannel(p[:n])
	return n, err
}

// opensChannel tells whether an SCTP packet has the message that opens a channel.
func opensChannel(packet []byte) bool {
	const header, data, dataHeader = 12, 0, 16
	for b := packet[min(header, len(packet)):]; len(b) >= dataHeader; {
		size := int(binary.BigEndian.Uint16(b[2:]))
		if b[0] == data && size > dataHeader && len(b) > dataHeader &&
			binary.BigEndian.Uint32(b[12:]) == uint32(sctp.PayloadTypeWebRTCDCEP) && b[dataHeader] == channelOpen {
			return true
		}
		if size = (size + 3) / 4 * 4; size == 0 || size > len(b) {
			return false
		}
		b = b[size:]
	}
	return false
}
