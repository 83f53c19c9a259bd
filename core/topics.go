// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"context"
	"io"
	"iter"
	"time"

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
	// Counts is how much there has been since the module started.
	Counts() TopicCounts
	// TraceTopics yields what happens, until ctx ends or the module closes.
	// What comes faster than it is taken is left out and counted.
	TraceTopics(ctx context.Context) iter.Seq[TopicEvent]
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

// TopicCounts counts messages.
type TopicCounts struct {
	// Published are the node's own, Delivered those of peers that were new and
	// valid; Sent how often any was queued for a peer, Dropped how often there
	// was no room.
	Published, Delivered, Sent, Dropped uint64
	// Duplicates had come before; Rejected were not valid; Ignored were left
	// out with nobody to blame.
	Duplicates, Rejected, Ignored uint64
}

// TopicEvent is something that happened in pub/sub.
type TopicEvent struct {
	Time time.Time
	Kind TopicEventKind
	// Peer is the other side; empty for what concerns the node alone.
	Peer peer.ID
	// Topic is empty where there is none.
	Topic string
	// IDs are those of the messages concerned, or the groups of partial ones.
	IDs []string
	// Reason is why a message is rejected or ignored.
	Reason string
	// Missed is how many events were left out before this one.
	Missed int
}

// TopicEventKind says what happened.
type TopicEventKind string

// What can happen.
const (
	TopicPeerJoined      TopicEventKind = "peer_joined"    // pub/sub has begun with a peer
	TopicPeerLeft        TopicEventKind = "peer_left"      // it has ended
	TopicSubscribed      TopicEventKind = "subscribed"     // a peer, or the node, wants a topic
	TopicUnsubscribed    TopicEventKind = "unsubscribed"   // no longer
	TopicPublished       TopicEventKind = "published"      // the node has published a message
	TopicDelivered       TopicEventKind = "delivered"      // a message of a peer is valid and new
	TopicDuplicate       TopicEventKind = "duplicate"      // a peer sent what had come before
	TopicRejected        TopicEventKind = "rejected"       // a peer sent what is not valid
	TopicIgnored         TopicEventKind = "ignored"        // a message is dropped, and nobody to blame
	TopicDropped         TopicEventKind = "dropped"        // a peer's queue had no room for a message
	TopicThrottled       TopicEventKind = "throttled"      // messages of a peer are left out, as there are too many
	TopicGrafted         TopicEventKind = "grafted"        // a peer has come into the mesh
	TopicPruned          TopicEventKind = "pruned"         // it has left the mesh
	TopicGraftSent       TopicEventKind = "graft_sent"     // control messages, to a peer
	TopicPruneSent       TopicEventKind = "prune_sent"     //
	TopicIHaveSent       TopicEventKind = "ihave_sent"     //
	TopicIWantSent       TopicEventKind = "iwant_sent"     //
	TopicIDontWantSent   TopicEventKind = "idontwant_sent" //
	TopicPartialSent     TopicEventKind = "partial_sent"   //
	TopicGraftReceived   TopicEventKind = "graft"          // and from it
	TopicPruneReceived   TopicEventKind = "prune"          //
	TopicIHaveReceived   TopicEventKind = "ihave"          //
	TopicIWantReceived   TopicEventKind = "iwant"          //
	TopicIDontWantHeard  TopicEventKind = "idontwant"      //
	TopicPartialReceived TopicEventKind = "partial"        //
)

// TopicRecorder is the role of [Topics] that write down what happens in the format
// that go-libp2p-pubsub's traces have.
type TopicRecorder interface {
	// RecordTopics writes events to w as they happen, each a protobuf TraceEvent
	// behind its length, until ctx ends or the module closes. What comes faster
	// than it is taken is left out; missed is how many were.
	RecordTopics(ctx context.Context, w io.Writer) (missed uint64, err error)
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

// TopicValidator is the kind of module that checks messages: those of peers
// before they are delivered and passed on, the node's own before they are
// published. One that is also a [Service] is started and closed by the module
// that asks it.
type TopicValidator interface {
	// ValidateMessage says what is to become of a message, which it does not
	// change. It ends with ctx, and may be called from many goroutines. The
	// data may be any bytes, and a message need not have an author; if it
	// does, its signature is right. What it says after ctx has ended does not
	// count: the message is ignored.
	ValidateMessage(ctx context.Context, m *TopicMessage) TopicVerdict
}

// OrderedTopicValidator is a [TopicValidator] that is asked while the peer's
// next message waits, and so about messages of one peer in the order in which
// they came. It is for those that are done at once; others are asked about many
// messages side by side, and hold up nobody.
type OrderedTopicValidator interface {
	TopicValidator

	// ValidatesInOrder is there to be there, and is not called.
	ValidatesInOrder()
}
