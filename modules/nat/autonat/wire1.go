// SPDX-License-Identifier: Apache-2.0 OR MIT

package autonat

import (
	"errors"
	"fmt"

	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

const (
	// maxMessage1 bounds a message of version 1, in bytes.
	maxMessage1 = 4 << 10
	// maxAddrs bounds the addresses of a request of either version. What a
	// message has beyond them fails to decode.
	maxAddrs = 64
	// maxText bounds what is kept of the text in an answer, in bytes.
	maxText = 128
)

// The kinds of message, and the answers, of version 1.
const (
	kindDial     = 0
	kindResponse = 1

	status1OK            = 0
	status1DialError     = 100
	status1Refused       = 101
	status1BadRequest    = 200
	status1InternalError = 300
)

// errMessage is about a message that is not what has to come.
var errMessage = errors.New("unexpected message")

// dial1 asks a peer to dial the one who asks.
type dial1 struct {
	peer  peer.ID
	addrs []ma.Multiaddr
}

// response1 is the answer.
type response1 struct {
	status uint64
	text   string
	addr   ma.Multiaddr // that was reached; may be nil
}

func (d dial1) marshal() []byte {
	info := appendBytes(nil, 1, []byte(d.peer))
	for _, a := range d.addrs {
		info = appendBytes(info, 2, a.Bytes())
	}
	return appendBytes(appendVarint(nil, 1, kindDial), 2, appendBytes(nil, 1, info))
}

func (r response1) marshal() []byte {
	b := appendVarint(nil, 1, r.status)
	if r.text != "" {
		b = appendBytes(b, 2, []byte(r.text))
	}
	if r.addr != nil {
		b = appendBytes(b, 3, r.addr.Bytes())
	}
	return appendBytes(appendVarint(nil, 1, kindResponse), 3, b)
}

// inner1 returns the part of a message of version 1 that belongs to its kind.
func inner1(b []byte, kind uint64, field protowire.Number) ([]byte, error) {
	var got uint64
	var inner []byte
	found := false
	for f, err := range wire.Fields(b) {
		if err == nil {
			switch f.Num {
			case 1:
				got, err = f.Uint64()
			case field:
				inner, err = f.Bytes()
				found = true
			}
		}
		if err != nil {
			return nil, err
		}
	}
	if got != kind || !found {
		return nil, fmt.Errorf("of kind %d: %w", got, errMessage)
	}
	return inner, nil
}

// unmarshalDial1 reads a request. Addresses that are none are left out.
func unmarshalDial1(b []byte) (d dial1, err error) {
	dial, err := inner1(b, kindDial, 2)
	if err != nil {
		return d, err
	}
	for f, err := range wire.Fields(dial) {
		var info []byte
		if err == nil && f.Num == 1 {
			if info, err = f.Bytes(); err == nil {
				d, err = unmarshalInfo1(info)
			}
		}
		if err != nil {
			return d, err
		}
	}
	return d, nil
}

func unmarshalInfo1(b []byte) (d dial1, err error) {
	quota := wire.Quota(maxAddrs)
	for f, err := range wire.Fields(b) {
		var value []byte
		if err == nil && (f.Num == 1 || f.Num == 2) {
			value, err = f.Bytes()
		}
		switch {
		case err != nil:
			return d, err
		case f.Num == 1:
			if d.peer, err = peer.FromBytes(value); err != nil {
				return d, err
			}
		case f.Num == 2:
			if err := quota.Take(); err != nil {
				return d, fmt.Errorf("addresses: %w", err)
			}
			if a, err := peer.DecodeAddr(value); err == nil {
				d.addrs = append(d.addrs, a)
			}
		}
	}
	return d, nil
}

func unmarshalResponse1(b []byte) (r response1, err error) {
	inner, err := inner1(b, kindResponse, 3)
	if err != nil {
		return r, err
	}
	for f, err := range wire.Fields(inner) {
		var value []byte
		if err == nil {
			switch f.Num {
			case 1:
				r.status, err = f.Uint64()
			case 2, 3:
				value, err = f.Bytes()
			}
		}
		switch {
		case err != nil:
			return r, err
		case f.Num == 2:
			r.text = wire.Text(string(value), maxText)
		case f.Num == 3:
			if a, err := peer.DecodeAddr(value); err == nil {
				r.addr = a
			}
		}
	}
	return r, nil
}

func appendVarint(b []byte, num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

func appendBytes(b []byte, num protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
}
