// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/peer"
)

// The events a node emits. Those of one connection come in the order
// [Connected], [Identified] or [IdentifyFailed], [Disconnected].

// Connected is emitted when a connection has been added to the table.
type Connected struct {
	Conn Conn
	// First is true if it is the only connection to its peer.
	First bool
}

// Disconnected is emitted when a connection has been removed from the table.
type Disconnected struct {
	Conn Conn
	// Last is true if no connection to its peer is left.
	Last bool
}

// Identified is emitted when identify has ended well on a connection; what it
// brought is in the peerstore by then.
type Identified struct {
	Conn Conn
	// ObservedAddr is the local address as the peer sees it; nil if it did
	// not say.
	ObservedAddr ma.Multiaddr
}

// IdentifyFailed is emitted when a connection's identify has not ended well.
type IdentifyFailed struct {
	Conn Conn
	Err  error
}

// PeerProtocolsChanged is emitted when a peer said that it speaks other
// protocols than before.
type PeerProtocolsChanged struct {
	Peer           peer.ID
	Added, Removed []string
}

// LocalAddrsChanged is emitted when the addresses told to peers have changed.
type LocalAddrsChanged struct {
	Addrs []ma.Multiaddr
}

// CandidateAddrsChanged is emitted when [Addrs].Candidates are others than before.
type CandidateAddrsChanged struct{}

// ListenersChanged is emitted by a transport when the Multiaddr of one of its
// listeners is another than before. The node looks at all of them anew.
type ListenersChanged struct{}

// NetworkChanged is emitted when the machine's interfaces or their addresses have
// changed. [LocalAddrsChanged], if that follows from it, comes before.
type NetworkChanged struct{}

// LocalProtocolsChanged is emitted when the served protocols have changed.
type LocalProtocolsChanged struct {
	Protocols []string
}

// HolePunched is emitted when an attempt to make a direct connection of a relayed
// one has ended.
type HolePunched struct {
	Peer peer.ID
	// Attempt counts from 1. It is 0 for a direct dial that needed no hole.
	Attempt int
	// Initiator is true on the side that asked for it.
	Initiator bool
	Role      PunchRole
	// Addrs are those of the peer that were dialled.
	Addrs []ma.Multiaddr
	// RTT is that of the relayed connection; 0 where it was not measured.
	RTT time.Duration
	// Took is the time from the first packet to the connection, or its end.
	Took time.Duration
	// Err is why there is no direct connection; nil if there is one.
	Err error
}

// PeerDiscovered is emitted by a [Discoverer] that has found a peer, or other
// addresses of one; they are in the peerstore by then, as far as that takes them.
type PeerDiscovered struct {
	Peer peer.AddrInfo
	// Source names what has found it: the module, such as "mdns".
	Source string
}

// Reachability says whether peers that this node has not dialled can dial it,
// over the public internet.
type Reachability uint8

// What is known of the reachability.
const (
	ReachabilityUnknown Reachability = iota
	ReachabilityPublic
	ReachabilityPrivate
)

// String returns "unknown", "public" or "private".
func (r Reachability) String() string {
	switch r {
	case ReachabilityPublic:
		return "public"
	case ReachabilityPrivate:
		return "private"
	}
	return "unknown"
}

// ReachabilityChanged is emitted by a module that finds out whether the node can
// be reached, when it knows otherwise than before.
type ReachabilityChanged struct {
	Reachability Reachability
}
