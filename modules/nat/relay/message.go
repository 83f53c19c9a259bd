// SPDX-License-Identifier: Apache-2.0 OR MIT

package relay

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

const (
	// maxMessage bounds a message, in bytes.
	maxMessage = 4096
	// maxAddrs bounds the addresses that are taken from a reservation.
	maxAddrs = 16
)

// errMessage says that bytes are not a message of the protocol.
var errMessage = errors.New("malformed message")

// dialect is one of the two protocols, whose messages differ in numbers only.
type dialect struct {
	name                                     string
	reserve, connect, answer                 uint64 // kinds; there is no reserve in stop
	peer, reservation, limit, statusOfAnswer protowire.Number
}

// The dialects. Field 1 is the kind in both.
var (
	hop  = &dialect{"hop", 0, 1, 2, 2, 3, 4, 5}
	stop = &dialect{"stop", math.MaxUint64, 0, 1, 2, 0, 3, 4}
)

// message is a message of either protocol.
type message struct {
	kind   uint64
	peer   peer.ID // empty if none is named
	place  *placeMessage
	limit  Limit
	status Status
}

// placeMessage is a reservation as it stands in a message.
type placeMessage struct {
	expires time.Time
	addrs   []ma.Multiaddr
	voucher []byte
}

// Limit is what a relay lets one connection through it have. The zero Limit is
// none.
type Limit struct {
	// Duration is how long the connection may last; 0 is for ever.
	Duration time.Duration
	// Data is how many bytes it may carry in each direction; 0 is any number.
	Data uint64
}

// Limited reports whether there is a limit at all.
func (l Limit) Limited() bool { return l != Limit{} }

// write sends a message.
func (d *dialect) write(w io.Writer, m *message) error {
	return wire.WriteMessage(w, d.marshal(m))
}

// read receives a message.
func (d *dialect) read(r io.Reader) (*message, error) {
	b, err := wire.ReadMessage(r, maxMessage)
	if err != nil {
		return nil, err
	}
	return d.unmarshal(b)
}

// marshal encodes a message. The kind is written even if it is 0: peers tell it
// from none.
func (d *dialect) marshal(m *message) []byte {
	b := appendUint(nil, 1, m.kind)
	if m.peer != "" {
		b = appendPart(b, d.peer, appendPart(nil, 1, []byte(m.peer)))
	}
	if m.place != nil {
		p := appendUint(nil, 1, uint64(m.place.expires.Unix()))
		for _, a := range m.place.addrs {
			p = appendPart(p, 2, a.Bytes())
		}
		if m.place.voucher != nil {
			p = appendPart(p, 3, m.place.voucher)
		}
		b = appendPart(b, d.reservation, p)
	}
	if m.limit.Limited() {
		l := appendUint(nil, 1, uint64(m.limit.Duration/time.Second))
		b = appendPart(b, d.limit, appendUint(l, 2, m.limit.Data))
	}
	if m.kind == d.answer {
		b = appendUint(b, d.statusOfAnswer, uint64(m.status))
	}
	return b
}

func appendUint(b []byte, num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

func appendPart(b []byte, num protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
}

// unmarshal decodes a message. Of a part that occurs twice the last one counts.
func (d *dialect) unmarshal(b []byte) (*message, error) {
	m := &message{}
	known := false
	for f, err := range wire.Fields(b) {
		if err == nil {
			switch f.Num {
			case 1:
				m.kind, err = f.Uint64()
				known = true
			case d.peer:
				m.peer, err = readPeer(f)
			case d.reservation:
				m.place, err = readPlace(f)
			case d.limit:
				m.limit, err = readLimit(f)
			case d.statusOfAnswer:
				var v uint64
				v, err = f.Uint64()
				m.status = Status(min(v, math.MaxInt32))
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w: %w", d.name, errMessage, err)
		}
	}
	if !known {
		return nil, fmt.Errorf("%s: %w: no type", d.name, errMessage)
	}
	return m, nil
}

// readPeer decodes the ID of a peer. Its addresses are of no use: a relay does
// not dial, and nobody else is told them.
func readPeer(part wire.Field) (id peer.ID, err error) {
	b, err := part.Bytes()
	if err != nil {
		return "", err
	}
	for f, err := range wire.Fields(b) {
		if err != nil {
			return "", err
		}
		if f.Num != 1 {
			continue
		}
		v, err := f.Bytes()
		if err != nil {
			return "", err
		}
		if id, err = peer.FromBytes(v); err != nil {
			return "", err
		}
	}
	if id == "" {
		return "", errors.New("a peer without ID")
	}
	return id, nil
}

// readPlace decodes a reservation. Addresses that are not understood, and those
// that are too many, are left out.
func readPlace(part wire.Field) (*placeMessage, error) {
	b, err := part.Bytes()
	if err != nil {
		return nil, err
	}
	p := &placeMessage{}
	for f, err := range wire.Fields(b) {
		if err != nil {
			return nil, err
		}
		switch f.Num {
		case 1:
			v, err := f.Uint64()
			if err != nil {
				return nil, err
			}
			p.expires = time.Unix(int64(min(v, math.MaxInt32*2)), 0)
		case 2:
			v, err := f.Bytes()
			if err != nil {
				return nil, err
			}
			if a, err := peer.DecodeAddr(v); err == nil && len(p.addrs) < maxAddrs {
				p.addrs = append(p.addrs, a)
			}
		case 3:
			if p.voucher, err = f.Bytes(); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

// readLimit decodes a limit. What is too long for a clock is none.
func readLimit(part wire.Field) (l Limit, err error) {
	b, err := part.Bytes()
	if err != nil {
		return l, err
	}
	for f, err := range wire.Fields(b) {
		if err != nil {
			return l, err
		}
		switch f.Num {
		case 1:
			v, err := f.Uint64()
			if err != nil {
				return l, err
			}
			if l.Duration = 0; v <= math.MaxUint32 {
				l.Duration = time.Duration(v) * time.Second
			}
		case 2:
			if l.Data, err = f.Uint64(); err != nil {
				return l, err
			}
		}
	}
	return l, nil
}
