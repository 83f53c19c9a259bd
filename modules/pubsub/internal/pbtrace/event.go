// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package pbtrace encodes what happens in pub/sub as go-libp2p-pubsub's traces
// have it, so that the tools for those read it too
// (https://github.com/libp2p/go-libp2p-pubsub/blob/master/pb/trace.proto): a
// sequence of protobuf messages, each behind its length.
package pbtrace

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

// Type says what happened.
type Type uint8

// The types, by their numbers.
const (
	PublishMessage Type = iota
	RejectMessage
	DuplicateMessage
	DeliverMessage
	OnNewOutboundStream
	OnClosedOutboundStream
	RecvRPC
	SendRPC
	DropRPC
	Join
	Leave
	Graft
	Prune
	SendRPCCompleted
)

// Event is something that happened. Which fields count depends on its type.
type Event struct {
	Type Type
	Time time.Time
	// Self is the node.
	Self peer.ID
	// Peer is the other side: who a message came from or goes to, who is grafted.
	Peer      peer.ID
	ID, Topic string
	Reason    string // why a message is rejected
	Protocol  string // of a new stream
	RPC       *RPC
	Took      time.Duration // writing did
}

// RPC is what is told of one.
type RPC struct {
	Messages      []Message
	Subscriptions []rpc.Subscription
	Control       *rpc.Control
}

// Message is what is told of a message.
type Message struct{ ID, Topic string }

// fields are those of an event's own message, by the numbers of what they hold;
// zero where it holds none.
type fields struct{ id, topic, peer, reason, protocol, rpc, took protowire.Number }

// layout has the messages of the types, and the numbers of their fields within
// TraceEvent are their types plus 4, which is so for all of them.
var layout = [...]fields{
	PublishMessage:         {id: 1, topic: 2},
	RejectMessage:          {id: 1, peer: 2, reason: 3, topic: 4},
	DuplicateMessage:       {id: 1, peer: 2, topic: 3},
	DeliverMessage:         {id: 1, topic: 2, peer: 3},
	OnNewOutboundStream:    {peer: 1, protocol: 2},
	OnClosedOutboundStream: {peer: 1},
	RecvRPC:                {peer: 1, rpc: 2},
	SendRPC:                {peer: 1, rpc: 2},
	DropRPC:                {peer: 1, rpc: 2},
	Join:                   {topic: 1},
	Leave:                  {topic: 2},
	Graft:                  {peer: 1, topic: 2},
	Prune:                  {peer: 1, topic: 2},
	SendRPCCompleted:       {peer: 1, rpc: 2, took: 3},
}

// Append appends the event, behind its length.
func (e *Event) Append(b []byte) []byte {
	out := appendVarint(nil, 1, uint64(e.Type))
	out = appendString(out, 2, string(e.Self))
	out = appendVarint(out, 3, uint64(e.Time.UnixNano()))
	out = appendBytes(out, protowire.Number(e.Type)+4, e.detail())
	return protowire.AppendBytes(b, out)
}

func (e *Event) detail() (b []byte) {
	f := &layout[e.Type]
	// The order is that of the numbers.
	for n := protowire.Number(1); n <= 4; n++ {
		switch n {
		case f.id:
			if e.ID != "" {
				b = appendString(b, n, e.ID)
			}
		case f.topic:
			b = appendString(b, n, e.Topic)
		case f.peer:
			b = appendString(b, n, string(e.Peer))
		case f.reason:
			b = appendString(b, n, e.Reason)
		case f.protocol:
			b = appendString(b, n, e.Protocol)
		case f.rpc:
			if e.RPC != nil {
				b = appendBytes(b, n, e.RPC.encode())
			}
		case f.took:
			b = appendVarint(b, n, uint64(e.Took))
		}
	}
	return b
}

func (r *RPC) encode() (b []byte) {
	for _, m := range r.Messages {
		b = appendBytes(b, 1, appendString(appendString(nil, 1, m.ID), 2, m.Topic))
	}
	for _, s := range r.Subscriptions {
		b = appendBytes(b, 2, appendString(appendVarint(nil, 1, protowire.EncodeBool(s.Subscribe)), 2, s.Topic))
	}
	if r.Control != nil {
		b = appendBytes(b, 3, encodeControl(r.Control))
	}
	return b
}

func encodeControl(c *rpc.Control) (b []byte) {
	ids := func(b []byte, num protowire.Number, list [][]byte) []byte {
		for _, id := range list {
			b = appendBytes(b, num, id)
		}
		return b
	}
	for _, h := range c.IHave {
		b = appendBytes(b, 1, ids(appendString(nil, 1, h.Topic), 2, h.IDs))
	}
	if len(c.IWant) > 0 {
		b = appendBytes(b, 2, ids(nil, 1, c.IWant))
	}
	for _, topic := range c.Graft {
		b = appendBytes(b, 3, appendString(nil, 1, topic))
	}
	for i := range c.Prune {
		p := appendString(nil, 1, c.Prune[i].Topic)
		for _, info := range c.Prune[i].Peers {
			p = appendBytes(p, 2, info.ID)
		}
		b = appendBytes(b, 4, p)
	}
	if len(c.IDontWant) > 0 {
		b = appendBytes(b, 5, ids(nil, 1, c.IDontWant))
	}
	return b
}

func appendVarint(b []byte, num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

func appendBytes(b []byte, num protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
}

func appendString(b []byte, num protowire.Number, v string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), v)
}
