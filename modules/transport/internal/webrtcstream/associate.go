// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcstream

import (
	"context"
	"fmt"
	"net"

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
