// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"context"

	"github.com/xnode-p2p/xnode/core/peer"
)

// Topics is the role of a module that carries messages on topics. Another
// module reaches it with [Find].
type Topics interface {
	// Publish sends data on a topic. It returns to how many peers, which is
	// none if nobody is known who wants it.
	Publish(ctx context.Context, topic string, data []byte) (peers int, err error)
	// Subscribe wants the messages of a topic, until the subscription is
	// closed. The node's own are among them.
	Subscribe(topic string) (Subscription, error)
	// TopicNames lists the topics that the node is subscribed to, sorted.
	TopicNames() []string
	// TopicPeers lists the peers that are known to want the messages of a
	// topic, sorted; with an empty topic, all peers that there are.
	TopicPeers(topic string) []TopicPeer
}

// Subscription is a queue of messages. When it is full, new ones are dropped.
type Subscription interface {
	// Next waits for a message. It ends with ctx, and with an error that
	// satisfies errors.Is(err, net.ErrClosed) when the subscription is closed.
	Next(ctx context.Context) (*TopicMessage, error)
	// Dropped is how many messages there was no room for.
	Dropped() uint64
	// Close ends the subscription.
	Close() error
}

// TopicMessage is a message on a topic. It is shared: nobody changes it.
type TopicMessage struct {
	Topic string
	Data  []byte
	// ID is the message's; it may be any bytes.
	ID string
	// From is who wrote and signed it; empty if it has no author.
	From peer.ID
	// Seqno is the author's number for it; nil if it has none.
	Seqno []byte
	// ReceivedFrom is the peer that sent it; the node itself for its own.
	ReceivedFrom peer.ID
}

// TopicPeer is a peer that pub/sub runs with.
type TopicPeer struct {
	Peer peer.ID
	// Protocol is the ID of the protocol that it is spoken to in.
	Protocol string
	// Topics are those that it wants, sorted. Mesh are those of them in whose
	// mesh it is.
	Topics, Mesh []string
	// Score is what it is judged at; zero if there is no judgement.
	Score float64
}

// TopicVerdict is what a [TopicValidator] says.
type TopicVerdict uint8

// The verdicts.
const (
	// TopicAccept: the message is delivered and passed on.
	TopicAccept TopicVerdict = iota
	// TopicReject: it is not, and who sent it is to blame.
	TopicReject
	// TopicIgnore: it is not, and nobody is to blame.
	TopicIgnore
)

// TopicValidator is the kind of module that checks the messages of peers before
// they are delivered and passed on.
type TopicValidator interface {
	// ValidateMessage says what is to become of a message. It ends with ctx,
	// and may be called from many goroutines.
	ValidateMessage(ctx context.Context, m *TopicMessage) TopicVerdict
}
