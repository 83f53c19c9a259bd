// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtc

import (
	"errors"
	"fmt"
	"io"

	"github.com/xnode-p2p/xnode/core/wire"
)

// maxMessage bounds a message of the signalling protocol, in bytes. The
// descriptions of browsers have less than 2,000.
const maxMessage = 16 << 10

// errMessage means that the remote does not keep to the signalling protocol.
var errMessage = errors.New("malformed signalling message")

// kind is the type of a message. Others than these are passed over: some
// implementations have more.
type kind uint64

// The types of messages.
const (
	sdpOffer kind = iota
	sdpAnswer
	iceCandidate
)

// String returns the name that the specification has.
func (k kind) String() string {
	switch k {
	case sdpOffer:
		return "SDP_OFFER"
	case sdpAnswer:
		return "SDP_ANSWER"
	case iceCandidate:
		return "ICE_CANDIDATE"
	}
	return fmt.Sprintf("type %d", uint64(k))
}

// message is one message of the signalling protocol.
type message struct {
	kind kind
	data string
}

// The fields of a message.
const (
	kindField = 1
	dataField = 2
)

// marshal encodes a message. The type is written even if it is 0.
func (m message) marshal() []byte {
	b := append(make([]byte, 0, len(m.data)+8), kindField<<3)
	b = wire.AppendUvarint(b, uint64(m.kind))
	b = append(b, dataField<<3|2)
	b = wire.AppendUvarint(b, uint64(len(m.data)))
	return append(b, m.data...)
}

// parseMessage decodes a message.
func parseMessage(b []byte) (m message, err error) {
	for f, err := range wire.Fields(b) {
		if err == nil {
			err = m.take(f)
		}
		if err != nil {
			return message{}, fmt.Errorf("%w: %w", errMessage, err)
		}
	}
	return m, nil
}

func (m *message) take(f wire.Field) error {
	switch f.Num {
	case kindField:
		v, err := f.Uint64()
		m.kind = kind(v)
		return err
	case dataField:
		b, err := f.Bytes()
		m.data = string(b)
		return err
	}
	return nil
}

func readMessage(r io.Reader) (message, error) {
	b, err := wire.ReadMessage(r, maxMessage)
	if err != nil {
		return message{}, err
	}
	return parseMessage(b)
}

func writeMessage(w io.Writer, m message) error { return wire.WriteMessage(w, m.marshal()) }
