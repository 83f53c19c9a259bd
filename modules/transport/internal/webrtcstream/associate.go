// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcstream

import (
	"context"
	"fmt"
	"net"

	"github.com/pion/logging"
	"github.com/pion/sctp"
)

const (
	// mtu is how long SCTP packets are, in bytes. With what DTLS, UDP and IPv6
	// add they fit into the 1280 bytes that every IPv6 path carries.
	mtu = 1191
	// chunk is how much data such a packet has, and frameData how much a frame,
	// so that a frame fills its packets.
	chunk     = (mtu - 12 - 16) / 4 * 4
	frameData = maxFrame/chunk*chunk - dataOverhead
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
		sctp.WithNetConn(conn),
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
