// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"context"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
)

// The roles of a node: what a running module may ask of it. A module keeps the
// narrowest role it needs in its fields, so that a test can fake it.

// Identity is who the node is.
type Identity interface {
	ID() peer.ID
	PublicKey() peer.PublicKey
	// Sign signs data with the node's private key.
	Sign(data []byte) ([]byte, error)
}

// Streams opens and serves streams.
type Streams interface {
	// NewStream opens a stream to p and negotiates the first of protocols
	// that p speaks, connecting first if necessary. Its errors are those of
	// [Dialer].Connect, [*ProtocolError] and [ErrLimited].
	NewStream(ctx context.Context, p peer.ID, protocols ...string) (Stream, error)
	// Handle serves a protocol until remove is called. The latest handler of
	// a protocol serves it; remove takes away this registration alone,
	// resets the streams this handler still serves and waits for them, so
	// it must not be called from the handler itself.
	Handle(protocol string, h StreamHandler, opts ...HandleOption) (remove func())
}

// Dialer connects to peers.
type Dialer interface {
	// Connect returns a connection to p, dialling the given and the known
	// addresses if there is none, and then those that a running
	// [PeerRouting] finds (see [NoLookup]). It fails with a [*DialError].
	Connect(ctx context.Context, p peer.AddrInfo) (Conn, error)
}

// Peers is what is known of other peers.
type Peers interface {
	// KnownPeers lists the peers with addresses, in no order.
	KnownPeers() []peer.ID
	// PeerAddrs are the addresses of p that have not expired, without /p2p.
	PeerAddrs(p peer.ID) []ma.Multiaddr
	// AddPeerAddrs remembers addresses of p for ttl, subject to the limits of
	// the peerstore. See the TTL constants.
	AddPeerAddrs(p peer.ID, ttl time.Duration, addrs ...ma.Multiaddr)
	// PeerProtocols are the protocols p said it speaks, sorted.
	PeerProtocols(p peer.ID) []string
	// PeerAgent is what p said it is; empty if unknown.
	PeerAgent(p peer.ID) string
	// PeerRecord is the newest signed record of p, or nil.
	PeerRecord(p peer.ID) *record.Envelope
	// ConsumePeerRecord verifies a signed peer record that must be of
	// expect, and takes its addresses, for ttl, if it is newer than what is known.
	ConsumePeerRecord(envelope []byte, expect peer.ID, ttl time.Duration) error
}

// How long addresses of a peer are kept.
const (
	// PermanentTTL is for addresses that the configuration names.
	PermanentTTL = time.Duration(1<<63 - 1)
	// ConnectedTTL is for addresses of a peer while it is connected; they
	// turn into RecentTTL when it disconnects.
	ConnectedTTL = PermanentTTL - 1
	// RecentTTL is for addresses of a peer that was connected lately.
	RecentTTL = 15 * time.Minute
	// DiscoveredTTL is for addresses that somebody else told of.
	DiscoveredTTL = 10 * time.Minute
	// TempTTL is for addresses that are about to be dialled.
	TempTTL = 2 * time.Minute
)

// Conns is the table of connections.
type Conns interface {
	// Conns lists all connections, in no order.
	Conns() []Conn
	// ConnsTo lists the connections to p, direct ones first.
	ConnsTo(p peer.ID) []Conn
	// Protect keeps connections to p from being trimmed until unprotect.
	Protect(p peer.ID, tag string) (unprotect func())
	// Tag gives the connections to p a value; those of the lowest sum of
	// values are trimmed first. Zero removes the tag.
	Tag(p peer.ID, tag string, value int)
}

// Addrs is where the node can be reached.
type Addrs interface {
	// ListenAddrs are the bound addresses.
	ListenAddrs() []ma.Multiaddr
	// Addrs are the addresses told to other peers, without /p2p.
	Addrs() []ma.Multiaddr
	// Announce adds addresses to Addrs until withdraw is called.
	Announce(addrs ...ma.Multiaddr) (withdraw func())
	// Suggest adds addresses that may be the node's, such as those that a
	// router promises, to Candidates until withdraw is called. They are among
	// Addrs as soon as a [ReachReporter] says that they can be reached, or at
	// once if none runs.
	Suggest(addrs ...ma.Multiaddr) (withdraw func())
	// Candidates are the addresses at which the node may be reached: Addrs,
	// what is suggested or was seen by some peers, and those that are not told
	// to peers because they cannot be reached.
	Candidates() []ma.Multiaddr
}

// Names looks up addresses that are names.
type Names interface {
	// Resolve returns the addresses that a /dns, /dns4, /dns6 or /dnsaddr
	// address stands for, those of a /dnsaddr with their /p2p/ID; any other
	// address stands for itself. It takes ten seconds at most, and fails with
	// the last of what went wrong if it finds nothing.
	Resolve(ctx context.Context, a ma.Multiaddr) ([]ma.Multiaddr, error)
}

// Events carries events (events.go). The function [On] subscribes to those of
// one type.
type Events interface {
	// Emit calls every subscriber of event's type, in the order of their
	// subscription, and returns when they have.
	Emit(event any)
	// Subscribe calls f for every event. f must not block. stop waits for a
	// call of f that is under way, unless it is called from f.
	Subscribe(f func(event any)) (stop func())
}

// On calls f for every event of type T until stop is called. f must not block:
// it runs on the goroutine of whoever emits the event.
func On[T any](e Events, f func(T)) (stop func()) {
	return e.Subscribe(func(event any) {
		if ev, ok := event.(T); ok {
			f(ev)
		}
	})
}

// Modules finds the other modules of the node.
type Modules interface {
	// Modules lists the running modules in the order of their start.
	Modules() []any
}

// Find returns the first running module that is a T, as errors.As does for
// errors: Find[PeerRouting](n) finds whatever routes peers.
func Find[T any](n Modules) (T, bool) {
	for _, m := range n.Modules() {
		if t, ok := m.(T); ok {
			return t, true
		}
	}
	var zero T
	return zero, false
}

// Node is all roles together. It appears only in [Service].Start.
type Node interface {
	Identity
	Streams
	Dialer
	Peers
	Conns
	Addrs
	Names
	Events
	Modules
	Shares
	Prober
}
