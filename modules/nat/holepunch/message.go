// SPDX-License-Identifier: Apache-2.0 OR MIT

package holepunch

import (
	"errors"
	"fmt"
	"io"

	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

const (
	// maxMessage bounds a message, in bytes.
	maxMessage = 4096
	// maxAddrs bounds the addresses that are told, and those that are dialled.
	maxAddrs = 8
)

// The kinds of message.
const (
	connectKind = 100
	syncKind    = 300
)

// errMessage says that bytes are not a message of the protocol, or not the one
// that is due.
var errMessage = errors.New("malformed message")

// message is a message of the protocol.
type message struct {
	kind  uint64
	addrs []ma.Multiaddr
}

func (m message) write(w io.Writer) error { return wire.WriteMessage(w, m.marshal()) }

func (m message) marshal() []byte {
	b := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), m.kind)
	for _, a := range m.addrs {
		b = protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), a.Bytes())
	}
	return b
}

func read(r io.Reader) (m message, err error) {
	b, err := wire.ReadMessage(r, maxMessage)
	if err != nil {
		return m, err
	}
	return unmarshal(b)
}

// unmarshal decodes a message. Addresses that are not understood, and those that
// are too many, are left out.
func unmarshal(b []byte) (m message, err error) {
	for f, err := range wire.Fields(b) {
		if err == nil {
			switch f.Num {
			case 1:
				m.kind, err = f.Uint64()
			case 2:
				var v []byte
				if v, err = f.Bytes(); err == nil && len(m.addrs) < maxAddrs {
					if a, err := peer.DecodeAddr(v); err == nil {
						m.addrs = append(m.addrs, a)
					}
				}
			}
		}
		if err != nil {
			return m, fmt.Errorf("%w: %w", errMessage, err)
		}
	}
	if m.kind != connectKind && m.kind != syncKind {
		return m, fmt.Errorf("%w: type %d", errMessage, m.kind)
	}
	return m, nil
}
