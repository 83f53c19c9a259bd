// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"context"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/peer"
)

// Prober finds out whether peers can be dialled, apart from all that the node is
// connected with.
type Prober interface {
	// Probe dials one address of p, as a peer that is made up for this and from
	// a port of its own: no router takes what it sends for an answer to what
	// the peer has sent to this node, and the peer does not take it for this
	// node. It leaves no trace in what the node knows of addresses. An address
	// that begins with a name is not dialled.
	Probe(ctx context.Context, p peer.ID, a ma.Multiaddr) (Probe, error)
	// CanProbe says why a probe would not even be begun, or nil.
	CanProbe(p peer.ID, a ma.Multiaddr) error
}

// Probe is the connection of a [Prober]. It is in no table and belongs to who
// asked for it; streams that the other side opens are refused.
type Probe interface {
	// OpenStream opens a stream and negotiates the protocol on it.
	OpenStream(ctx context.Context, protocol string) (MuxedStream, error)
	// Close closes the connection.
	Close() error
}

// DialAs makes a dial one as somebody else than the node, and from a port that
// nothing else uses. It is a [Prober]'s means; a transport that dials with an
// identity or from a certain port follows it.
func DialAs(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, dialAsKey, id)
}

// DialIdentity returns who dials: whom [DialAs] named, or else node. alias tells
// whether the dial is to be from a port of its own.
func DialIdentity(ctx context.Context, node Identity) (who Identity, alias bool) {
	if id, ok := ctx.Value(dialAsKey).(Identity); ok {
		return id, true
	}
	return node, false
}
