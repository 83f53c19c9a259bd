// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package mesh is gossipsub's router, versions 1.0 to 1.3, as a state machine:
// who is in which mesh, who gets which message, what gossip is sent and what is
// asked for (https://github.com/libp2p/specs/tree/master/pubsub/gossipsub). It
// has no goroutine, no clock and no network. [Router.Step] takes one event and
// the time, and returns what is to be done; chance comes from the source of
// random numbers that it was made with, so that the same events lead to the
// same actions.
//
// Peers that speak floodsub alone get every message of their topics.
package mesh

import (
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/pubsub/internal/rpc"
)

// Version is the version of gossipsub that a peer speaks.
type Version uint8

// The versions.
const (
	Floodsub Version = 0
	V10      Version = 10
	V11      Version = 11
	V12      Version = 12
	V13      Version = 13
)

// Message is a message that has been validated, or is the node's own.
type Message struct {
	ID, Topic string
	// Raw is the message as it is encoded.
	Raw []byte
	// Author is who signed it; empty if it has no author.
	Author peer.ID
}

// Event is something that has happened.
type Event interface{ event() }

// The events.
type (
	// Joined: a peer can be sent to.
	Joined struct {
		Peer     peer.ID
		Version  Version
		Outbound bool // the node has dialled it
		Direct   bool // it always gets every message, and is in no mesh
	}
	// Left: a peer can no longer be sent to.
	Left struct{ Peer peer.ID }
	// Restarted: a peer wants no topic any more, until it says so again.
	Restarted struct{ Peer peer.ID }
	// Subscribed: a peer has said which topics it wants, or no longer.
	Subscribed struct {
		Peer          peer.ID
		Subscriptions []rpc.Subscription
	}
	// Controlled: a peer has sent control messages.
	Controlled struct {
		Peer    peer.ID
		Control *rpc.Control
		First   bool // it is in the first frame of the peer's stream
	}
	// Arrived: a message came for the first time and is about to be validated.
	Arrived struct {
		Peer      peer.ID
		ID, Topic string
		Size      int // bytes of the encoded message
	}
	// Accepted: a message that peer sent first is valid.
	Accepted struct {
		Peer    peer.ID
		Message *Message
	}
	// Rejected: a message is not valid, and peer is to blame. It has no ID if it
	// was rejected before it had one.
	Rejected struct {
		Peer      peer.ID
		ID, Topic string
		Reason    string // for who follows what happens
	}
	// Ignored: a message is neither valid nor is anybody to blame.
	Ignored struct {
		Peer      peer.ID
		ID, Topic string
		Reason    string // for who follows what happens
		// Throttled: there was no room to validate it.
		Throttled bool
	}
	// Duplicate: a peer has sent a message that had arrived before.
	Duplicate struct {
		Peer      peer.ID
		ID, Topic string
	}
	// Misbehaved: a peer did against the protocol what the router does not see.
	Misbehaved struct {
		Peer  peer.ID
		Count int
	}
	// Published: the node itself has published a message.
	Published struct{ Message *Message }
	// TopicJoined: the node wants a topic's messages from now on.
	TopicJoined struct{ Topic string }
	// TopicLeft: it wants them no longer.
	TopicLeft struct{ Topic string }
	// Heartbeat: it is time to look after everything.
	Heartbeat struct{}
)

func (Joined) event()      {}
func (Left) event()        {}
func (Restarted) event()   {}
func (Subscribed) event()  {}
func (Controlled) event()  {}
func (Arrived) event()     {}
func (Accepted) event()    {}
func (Rejected) event()    {}
func (Ignored) event()     {}
func (Duplicate) event()   {}
func (Misbehaved) event()  {}
func (Published) event()   {}
func (TopicJoined) event() {}
func (TopicLeft) event()   {}
func (Heartbeat) event()   {}

// Action is something that is to be done.
type Action interface{ action() }

// The actions.
type (
	// Send sends control messages to a peer.
	Send struct {
		Peer    peer.ID
		Control *rpc.Control
	}
	// Deliver sends a message to peers.
	Deliver struct {
		Peers   []peer.ID
		Message *Message
		// Asked is true if the peer has asked for the message.
		Asked bool
	}
	// Dial connects to peers that another one has recommended.
	Dial struct{ Peers []rpc.PeerInfo }
	// Reconnect connects to direct peers that are not here.
	Reconnect struct{ Peers []peer.ID }
	// Grafted says that a peer has come into the mesh of a topic.
	Grafted struct {
		Peer  peer.ID
		Topic string
	}
	// Pruned says that a peer has left the mesh of a topic.
	Pruned struct {
		Peer  peer.ID
		Topic string
	}
)

func (Send) action()      {}
func (Deliver) action()   {}
func (Dial) action()      {}
func (Reconnect) action() {}
func (Grafted) action()   {}
func (Pruned) action()    {}
