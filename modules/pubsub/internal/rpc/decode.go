// SPDX-License-Identifier: Apache-2.0 OR MIT

package rpc

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core/wire"
)

// Decode reads a frame, without its length. The result shares memory with b.
func Decode(b []byte, limits *Limits) (*RPC, error) {
	r := new(RPC)
	return r, r.Decode(b, limits)
}

// Reset forgets everything but the memory for messages.
func (r *RPC) Reset() {
	clear(r.Publish)
	*r = RPC{Publish: r.Publish[:0]}
}

// Decode reads a frame as the function of that name does. What was there before
// is gone, and its memory used again.
func (r *RPC) Decode(b []byte, limits *Limits) error {
	r.Reset()
	d := decoder{Limits: limits, idsLeft: limits.IDs, rpc: r}
	for f, err := range wire.Fields(b) {
		if err != nil {
			return err
		}
		var decode func([]byte) error
		switch f.Num {
		case rpcSubscriptions:
			decode = d.subscription
		case rpcPublish:
			decode = d.message
		case rpcControl:
			decode = d.control
		case rpcPartial:
			decode = d.partial
		default:
			continue
		}
		v, err := f.Bytes()
		if err == nil {
			err = decode(v)
		}
		if err != nil {
			return fmt.Errorf("field %d: %w", f.Num, err)
		}
	}
	return nil
}

type decoder struct {
	*Limits
	rpc          *RPC
	idsLeft      int
	controlBytes int
}

// full counts an entry as excess if there is no room for it.
func (d *decoder) full(have, limit int) bool {
	if have < limit {
		return false
	}
	d.rpc.Excess++
	return true
}

// topic takes a name. It is a copy, since names are kept.
func (d *decoder) topic(dst *string, f wire.Field) (ok bool, err error) {
	v, err := f.Bytes()
	if err != nil {
		return false, err
	}
	if len(v) > d.Topic {
		d.rpc.Excess++
		return false, nil
	}
	*dst = string(v)
	return true, nil
}

func flag(dst *bool, f wire.Field) error {
	v, err := f.Uint64()
	*dst = v != 0
	return err
}

func (d *decoder) subscription(b []byte) error {
	if d.full(len(d.rpc.Subscriptions), d.Subscriptions) {
		return nil
	}
	var s Subscription
	named := false
	for f, err := range wire.Fields(b) {
		if err != nil {
			return err
		}
		switch f.Num {
		case subSubscribe:
			err = flag(&s.Subscribe, f)
		case subTopic:
			named, err = d.topic(&s.Topic, f)
		case subRequestsPartial:
			err = flag(&s.RequestsPartial, f)
		case subSendsPartial:
			err = flag(&s.SendsPartial, f)
		}
		if err != nil {
			return err
		}
	}
	if named {
		s.SendsPartial = s.SendsPartial || s.RequestsPartial
		d.rpc.Subscriptions = append(d.rpc.Subscriptions, s)
	}
	return nil
}

func (d *decoder) message(b []byte) error {
	if d.full(len(d.rpc.Publish), d.Messages) {
		return nil
	}
	m, err := DecodeMessage(b)
	if err != nil {
		return err
	}
	if len(m.Topic) > d.Topic {
		d.rpc.Excess++
		return nil
	}
	d.rpc.Publish = append(d.rpc.Publish, m)
	return nil
}

// DecodeMessage reads a published message. If its encoding is not the one that
// [Message].Raw describes, it is encoded anew.
func DecodeMessage(b []byte) (Message, error) {
	var m Message
	last := protowire.Number(0)
	ordered := true
	for f, err := range wire.Fields(b) {
		if err != nil {
			return m, err
		}
		if f.Num <= last || f.Num > messageKey {
			ordered = false
		}
		last = f.Num
		if f.Num > messageKey {
			continue
		}
		v, err := f.Bytes()
		if err != nil {
			return m, err
		}
		switch f.Num {
		case messageFrom:
			m.From = v
		case messageData:
			m.Data = v
		case messageSeqno:
			m.Seqno = v
		case messageTopic:
			m.Topic, m.HasTopic = string(v), true
		case messageSignature:
			m.Signature = v
		case messageKey:
			m.Key = v
		}
	}
	if ordered && len(b) == m.size() {
		m.Raw = b
	} else {
		m.Encode()
	}
	return m, nil
}

func (d *decoder) partial(b []byte) error {
	if d.full(btoi(d.rpc.Partial != nil), 1) {
		return nil
	}
	var p Partial
	named := false
	for f, err := range wire.Fields(b) {
		if err != nil {
			return err
		}
		switch f.Num {
		case partialTopic:
			named, err = d.topic(&p.Topic, f)
		case partialGroup:
			p.Group, err = f.Bytes()
		case partialMessage:
			p.Message, err = f.Bytes()
		case partialMetadata:
			p.Metadata, err = f.Bytes()
		}
		if err != nil {
			return err
		}
	}
	if len(p.Group) > d.ID || len(p.Metadata) > d.Metadata {
		d.rpc.Excess++
		return nil
	}
	if named {
		d.rpc.Partial = &p
	}
	return nil
}
