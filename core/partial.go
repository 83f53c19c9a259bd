// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import "github.com/xnode-p2p/xnode/core/peer"

// PartialTopics is the role of [Topics] that speak gossipsub's extension for
// partial messages: peers tell each other which parts of a message they have, and
// send those that the other one has not. What a part is, and how parts are put
// together and checked, is for who plays [PartialHandler] to say; the parts of one
// message have a group.
type PartialTopics interface {
	// HandlePartial has partial messages of a topic handled until stop is
	// called. With requests the node asks its peers for parts instead of whole
	// messages, which it still takes; without, it only sends parts to those that
	// do. There is one handler for a topic at a time. It is an error if the
	// configuration does not enable the extension.
	HandlePartial(topic string, requests bool, h PartialHandler) (stop func(), err error)
	// PublishPartial asks parts about each peer that is to hear of a group: those
	// in the mesh, and those that have spoken of it. On a topic that the node has
	// not subscribed to, others that want its parts take the place of a mesh.
	// With to it asks about those alone, wherever they are, as far as they are
	// connected and speak the extension. It returns to how many there was
	// something to send. The topic has a handler. A group is forgotten some
	// heartbeats after it was last published.
	PublishPartial(topic string, group []byte, parts func(PartialPeer) PartialParts, to ...peer.ID) (peers int, err error)
}

// PartialHandler handles the partial messages of a topic.
type PartialHandler interface {
	// ReceivePartial says what is to become of what a peer has sent: it blames
	// nobody but who sent it. It is called for one peer after the other's, from
	// many goroutines, and while it runs nothing else of the peer is handled. It
	// may publish.
	ReceivePartial(m *PartialMessage) TopicVerdict
	// GossipPartial is told, in a heartbeat, of peers outside the mesh that have
	// not heard of a group which the node has published. They are among those
	// that the next PublishPartial asks about.
	GossipPartial(topic string, group []byte, peers []peer.ID)
}

// PartialMessage is what a peer sends of a message.
type PartialMessage struct {
	Topic string
	// Group is what the parts of one message have in common.
	Group []byte
	// Data is some parts; nil if there are none.
	Data []byte
	// Metadata is which parts the peer has and wants; nil if it did not say.
	Metadata []byte
	// From is the peer.
	From peer.ID
}

// PartialPeer is a peer that is to hear of a group.
type PartialPeer struct {
	Peer peer.ID
	// Requests is whether it wants parts; otherwise it is to get metadata alone.
	Requests bool
	// Metadata is the peer's latest, or what took its place with
	// [PartialParts].Known; nil if there is none.
	Metadata []byte
	// Sent is the metadata that was last sent to it; nil if there is none.
	Sent []byte
}

// PartialParts is what is sent to a peer. Without Data and Metadata nothing is.
type PartialParts struct {
	// Data is some parts. It is left out for a peer that does not want them.
	Data []byte
	// Metadata is which parts the node has and wants.
	Metadata []byte
	// Known takes the place of the peer's metadata, such as that with the parts
	// which it is now being sent. Nil leaves it as it is.
	Known []byte
}
