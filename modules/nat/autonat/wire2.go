// SPDX-License-Identifier: Apache-2.0 OR MIT

package autonat

import (
	"fmt"

	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

const (
	// maxMessage2 bounds a message of a dial request of version 2, in bytes.
	maxMessage2 = 8 << 10
	// maxDialBack bounds a message of a dial back, in bytes.
	maxDialBack = 64
)

// The answers of version 2, to a request and about the dial.
const (
	status2InternalError = 0
	status2Rejected      = 100
	status2Refused       = 101
	status2OK            = 200

	dialError     = 100
	dialBackError = 101
	dialOK        = 200
)

// The fields of a message of version 2, of which each has one.
const (
	fieldDialRequest  = 1
	fieldDialResponse = 2
	fieldDataRequest  = 3
	fieldDataResponse = 4
)

// request2 asks a server to dial one of the addresses and tell the nonce there.
type request2 struct {
	// addrs has nil for what is no address, so that indexes stay right.
	addrs []ma.Multiaddr
	nonce uint64
}

// dataRequest2 asks for bytes before an address is dialled.
type dataRequest2 struct {
	index uint64
	bytes uint64
}

// response2 says how it went.
type response2 struct {
	status uint64
	index  uint64
	dial   uint64
}

func (r request2) marshal() []byte {
	var b []byte
	for _, a := range r.addrs {
		b = appendBytes(b, 1, a.Bytes())
	}
	return appendBytes(nil, fieldDialRequest, appendNonce(b, 2, r.nonce))
}

func (r dataRequest2) marshal() []byte {
	return appendBytes(nil, fieldDataRequest, appendVarint(appendVarint(nil, 1, r.index), 2, r.bytes))
}

func (r response2) marshal() []byte {
	b := appendVarint(nil, 1, r.status)
	b = appendVarint(b, 2, r.index)
	return appendBytes(nil, fieldDialResponse, appendVarint(b, 3, r.dial))
}

// marshalData is a message that carries data.
func marshalData(data []byte) []byte {
	return appendBytes(nil, fieldDataResponse, appendBytes(nil, 1, data))
}

func marshalDialBack(nonce uint64) []byte { return appendNonce(nil, 1, nonce) }

func appendNonce(b []byte, num protowire.Number, nonce uint64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(b, num, protowire.Fixed64Type), nonce)
}

// message2 returns which message of version 2 this is, and what is in it. If
// there are several, the last one counts.
func message2(b []byte) (field protowire.Number, inner []byte, err error) {
	for f, err := range wire.Fields(b) {
		if err == nil && f.Num >= fieldDialRequest && f.Num <= fieldDataResponse {
			field = f.Num
			inner, err = f.Bytes()
		}
		if err != nil {
			return 0, nil, err
		}
	}
	return field, inner, nil
}

// expect2 returns what is in a message that must be a certain one.
func expect2(b []byte, want protowire.Number) ([]byte, error) {
	field, inner, err := message2(b)
	if err == nil && field != want {
		err = fmt.Errorf("field %d: %w", field, errMessage)
	}
	return inner, err
}

func unmarshalRequest2(b []byte) (r request2, err error) {
	inner, err := expect2(b, fieldDialRequest)
	if err != nil {
		return r, err
	}
	quota := wire.Quota(maxAddrs)
	for f, err := range wire.Fields(inner) {
		var value []byte
		if err == nil {
			switch f.Num {
			case 1:
				if value, err = f.Bytes(); err == nil {
					err = quota.Take()
				}
			case 2:
				r.nonce, err = f.Fixed()
			}
		}
		if err != nil {
			return r, err
		}
		if f.Num == 1 {
			a, err := peer.DecodeAddr(value)
			if err != nil {
				a = nil
			}
			r.addrs = append(r.addrs, a)
		}
	}
	return r, nil
}

// unmarshalAnswer2 reads the answer to a request: how it went, or a wish for data.
func unmarshalAnswer2(b []byte) (response *response2, data *dataRequest2, err error) {
	field, inner, err := message2(b)
	if err != nil {
		return nil, nil, err
	}
	var values [4]uint64 // by their numbers
	for f, err := range wire.Fields(inner) {
		if err == nil && f.Num < 4 {
			values[f.Num], err = f.Uint64()
		}
		if err != nil {
			return nil, nil, err
		}
	}
	switch field {
	case fieldDialResponse:
		return &response2{status: values[1], index: values[2], dial: values[3]}, nil, nil
	case fieldDataRequest:
		return nil, &dataRequest2{index: values[1], bytes: values[2]}, nil
	}
	return nil, nil, fmt.Errorf("field %d: %w", field, errMessage)
}

// dataLength is how much data a message carries.
func dataLength(b []byte) (n int, err error) {
	inner, err := expect2(b, fieldDataResponse)
	if err != nil {
		return 0, err
	}
	for f, err := range wire.Fields(inner) {
		var data []byte
		if err == nil && f.Num == 1 {
			data, err = f.Bytes()
			n = len(data)
		}
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}

func unmarshalDialBack(b []byte) (nonce uint64, err error) {
	for f, err := range wire.Fields(b) {
		if err == nil && f.Num == 1 {
			nonce, err = f.Fixed()
		}
		if err != nil {
			return 0, err
		}
	}
	return nonce, nil
}
