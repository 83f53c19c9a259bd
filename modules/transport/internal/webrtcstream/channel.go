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
)

// errChannel means that the remote does not open a channel as it should.
var errChannel = errors.New("not an opening of a data channel")

// openMessage opens a reliable and ordered channel with no label and no protocol.
func openMessage() []byte {
	b := make([]byte, openSize)
	b[0], b[1] = channelOpen, reliableOrdered
	return b
}

// checkOpen tells whether a message opens a channel that can carry a stream. The
// label and the protocol may be anything.
func checkOpen(b []byte, kind sctp.PayloadProtocolIdentifier) error {
	switch {
	case kind != sctp.PayloadTypeWebRTCDCEP || len(b) < openSize || b[0] != channelOpen:
		return errChannel
	case b[1] != reliableOrdered:
		return fmt.Errorf("%w: channel type %#x", errChannel, b[1])
	}
	label, protocol := binary.BigEndian.Uint16(b[8:]), binary.BigEndian.Uint16(b[10:])
	if len(b) != openSize+int(label)+int(protocol) {
		return errChannel
	}
	return nil
}
