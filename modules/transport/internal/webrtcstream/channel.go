// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcstream

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pion/sctp"
)

// The messages that open a data channel, RFC 8832.
const (
	channelAck  = 0x02
	channelOpen = 0x03
	// openSize is how long the message is before the label and the protocol.
	openSize = 12
	// reliableOrdered is the only sort of channel that a stream can be.
	reliableOrdered = 0x00
	// initLabel is that of the channel which the specification has browsers
	// open, and close, so that there is one to connect for.
	initLabel = "init"
)

// errChannel means that the remote does not open a channel as it should.
var errChannel = errors.New("not an opening of a data channel")

// openMessage opens a reliable and ordered channel with no label and no protocol.
func openMessage() []byte {
	b := make([]byte, openSize)
	b[0], b[1] = channelOpen, reliableOrdered
	return b
}

// parseOpen returns the label of a channel that a message opens, or why it cannot
// carry a stream. The label and the protocol may be anything.
func parseOpen(b []byte, kind sctp.PayloadProtocolIdentifier) (label []byte, err error) {
	switch {
	case kind != sctp.PayloadTypeWebRTCDCEP || len(b) < openSize || b[0] != channelOpen:
		return nil, errChannel
	case b[1] != reliableOrdered:
		return nil, fmt.Errorf("%w: channel type %#x", errChannel, b[1])
	}
	n, protocol := int(binary.BigEndian.Uint16(b[8:])), int(binary.BigEndian.Uint16(b[10:]))
	if len(b) != openSize+n+protocol {
		return nil, errChannel
	}
	return b[openSize : openSize+n], nil
}
