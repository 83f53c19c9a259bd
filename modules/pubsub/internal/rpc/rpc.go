// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package rpc is the wire of pub/sub: the one message that peers send each
// other, of floodsub and of all versions of gossipsub
// (https://github.com/libp2p/specs/blob/master/pubsub/README.md,
// https://github.com/libp2p/specs/tree/master/pubsub/gossipsub).
//
//	RPC            1 subscriptions: repeated {1 subscribe, 2 topic, 3 requests partial, 4 sends partial}
//	               2 publish: repeated Message
//	               3 control
//	              10 partial: {1 topic, 2 group, 3 message, 4 metadata of parts}
//	Message        1 from, 2 data, 3 seqno, 4 topic, 5 signature, 6 key
//	control        1 ihave: repeated {1 topic, 2 ids}     2 iwant: repeated {1 ids}
//	               3 graft: repeated {1 topic}            4 prune: repeated {1 topic, 2 peers, 3 backoff in s}
//	               5 idontwant: repeated {1 ids}          6 extensions: {10 partial messages}
//
// Decoding copies nothing but the topics of control messages: what it returns
// are parts of the frame. It counts while it reads, so that a frame of a few
// bytes cannot become a structure of many.
package rpc

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// RPC is what one frame holds.
type RPC struct {
	Subscriptions []Subscription
	Publish       []Message
	Control       Control
	Partial       *Partial
	// Excess is how many entries were left out, since the frame had more of
	// them, or longer ones, than [Limits] allow.
	Excess int
}

// Subscription says that a peer wants the messages of a topic, or no longer.
type Subscription struct {
	Topic     string
	Subscribe bool
	// RequestsPartial: the peer prefers partial messages. SendsPartial: it can
	// send them; whoever requests them can too.
	RequestsPartial, SendsPartial bool
}

// Message is a published message. Its slices are nil if their field is missing,
// and not nil if it is empty.
type Message struct {
	From, Data, Seqno []byte
	Topic             string
	Signature, Key    []byte
	// Raw is the message as it is encoded: the fields above in their order,
	// and nothing else.
	Raw []byte
	// HasTopic says whether the topic's field is there at all.
	HasTopic bool
}

// Control are the messages that keep the mesh and gossip.
type Control struct {
	IHave      []IHave
	IWant      [][]byte // IDs of messages
	Graft      []string // topics
	Prune      []Prune
	IDontWant  [][]byte // IDs of messages
	Extensions *Extensions
	// IWants and IDontWants count the entries that those IDs stood in.
	IWants, IDontWants int
}

// IHave says which messages of a topic a peer has.
type IHave struct {
	Topic string
	IDs   [][]byte
}

// Prune takes its receiver out of the sender's mesh of a topic.
type Prune struct {
	Topic string
	// Backoff is how long the receiver shall not come back. It is at most
	// [MaxBackoff]; zero means that the sender did not say.
	Backoff time.Duration
	// Peers are others of the topic to turn to.
	Peers []PeerInfo
}

// PeerInfo is a peer that a [Prune] recommends.
type PeerInfo struct {
	ID, Record []byte // the binary ID; its signed record, if there is one
}

// Extensions are the optional parts of gossipsub 1.3 that a peer speaks.
type Extensions struct {
	PartialMessages bool
}

// Partial is a message of the extension for partial messages.
type Partial struct {
	Topic                    string
	Group, Message, Metadata []byte
}

// MaxBackoff bounds the back-off that a [Prune] can ask for.
const MaxBackoff = time.Hour

// Limits bound what is taken from one frame. Entries beyond are left out, and
// counted in [RPC].Excess; a frame that has more control bytes than Control is
// an error.
type Limits struct {
	Subscriptions int // entries
	Messages      int // published messages
	Topic         int // bytes of a topic's name
	ID            int // bytes of a message's ID
	IDs           int // IDs of all control messages together
	Topics        int // entries of IHave, Graft and Prune, each
	Peers         int // peers of one Prune
	Record        int // bytes of a peer's record
	Metadata      int // bytes of the metadata of a partial message
	Control       int // bytes of the control message
}

// DefaultLimits are the usual ones.
var DefaultLimits = Limits{
	Subscriptions: 1000,
	Messages:      4096,
	Topic:         256,
	ID:            128,
	IDs:           10_000,
	Topics:        1000,
	Peers:         16,
	Record:        4 << 10,
	Metadata:      4 << 10,
	Control:       512 << 10,
}

// Numbers of the fields.
const (
	rpcSubscriptions protowire.Number = 1
	rpcPublish       protowire.Number = 2
	rpcControl       protowire.Number = 3
	rpcPartial       protowire.Number = 10

	subSubscribe       protowire.Number = 1
	subTopic           protowire.Number = 2
	subRequestsPartial protowire.Number = 3
	subSendsPartial    protowire.Number = 4

	messageFrom      protowire.Number = 1
	messageData      protowire.Number = 2
	messageSeqno     protowire.Number = 3
	messageTopic     protowire.Number = 4
	messageSignature protowire.Number = 5
	messageKey       protowire.Number = 6

	controlIHave      protowire.Number = 1
	controlIWant      protowire.Number = 2
	controlGraft      protowire.Number = 3
	controlPrune      protowire.Number = 4
	controlIDontWant  protowire.Number = 5
	controlExtensions protowire.Number = 6

	ihaveTopic protowire.Number = 1
	ihaveIDs   protowire.Number = 2
	idsIDs     protowire.Number = 1
	graftTopic protowire.Number = 1

	pruneTopic   protowire.Number = 1
	prunePeers   protowire.Number = 2
	pruneBackoff protowire.Number = 3
	peerID       protowire.Number = 1
	peerRecord   protowire.Number = 2

	extPartialMessages protowire.Number = 10

	partialTopic    protowire.Number = 1
	partialGroup    protowire.Number = 2
	partialMessage  protowire.Number = 3
	partialMetadata protowire.Number = 4
)
