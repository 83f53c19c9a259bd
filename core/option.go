// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"context"
	"time"
)

// HandleOption changes how a protocol is served.
type HandleOption func(*HandleOptions)

// HandleOptions are the settings that [HandleOption] functions change.
type HandleOptions struct {
	// Match, if set, serves other protocol IDs too.
	Match func(protocol string) bool
	// Limited is true if the protocol may run over limited connections.
	Limited bool
	// MaxStreamsPerPeer bounds the streams of this protocol that one peer
	// may have open. Zero means the node's limit.
	MaxStreamsPerPeer int
}

// HandleMatching serves all protocol IDs for which match is true.
func HandleMatching(match func(protocol string) bool) HandleOption {
	return func(o *HandleOptions) { o.Match = match }
}

// HandleLimited serves the protocol over limited connections too.
func HandleLimited() HandleOption {
	return func(o *HandleOptions) { o.Limited = true }
}

// HandleAtMost bounds the streams of the protocol that one peer may have open.
func HandleAtMost(streamsPerPeer int) HandleOption {
	return func(o *HandleOptions) { o.MaxStreamsPerPeer = streamsPerPeer }
}

type contextKey int

const (
	allowLimitedKey contextKey = iota
	noDialKey
	forceDirectKey
	dialNameKey
	noLookupKey
	punchKey
	dialAsKey
	throughRelayKey
)

// AllowLimited lets NewStream use a limited connection.
func AllowLimited(ctx context.Context) context.Context {
	return context.WithValue(ctx, allowLimitedKey, true)
}

// LimitedAllowed reports whether ctx comes from [AllowLimited].
func LimitedAllowed(ctx context.Context) bool { return ctx.Value(allowLimitedKey) != nil }

// NoDial makes NewStream and Connect use existing connections only; they fail
// with [ErrNotConnected] if there is none.
func NoDial(ctx context.Context) context.Context {
	return context.WithValue(ctx, noDialKey, true)
}

// DialForbidden reports whether ctx comes from [NoDial].
func DialForbidden(ctx context.Context) bool { return ctx.Value(noDialKey) != nil }

// NoLookup makes NewStream and Connect dial addresses that are known or given,
// and no others: a [PeerRouting] is not asked for more. The dials that it makes
// itself while it looks for a peer must come from such a context.
func NoLookup(ctx context.Context) context.Context {
	return context.WithValue(ctx, noLookupKey, true)
}

// LookupForbidden reports whether ctx comes from [NoLookup].
func LookupForbidden(ctx context.Context) bool { return ctx.Value(noLookupKey) != nil }

// ForceDirect makes Connect dial although there is a connection through a
// relay, and leave relays out.
func ForceDirect(ctx context.Context) context.Context {
	return context.WithValue(ctx, forceDirectKey, true)
}

// DirectForced reports whether ctx comes from [ForceDirect].
func DirectForced(ctx context.Context) bool { return ctx.Value(forceDirectKey) != nil }

// ThroughRelay makes Connect return any connection there is, or else one through a
// relay: it dials the given addresses that are behind one, and no others, apart
// from other dials to the peer. Transports use it that reach a peer in this way
// first, to find out how to reach it directly.
func ThroughRelay(ctx context.Context) context.Context {
	return context.WithValue(ctx, throughRelayKey, true)
}

// RelayWanted reports whether ctx comes from [ThroughRelay].
func RelayWanted(ctx context.Context) bool { return ctx.Value(throughRelayKey) != nil }

// PunchRole is who a node is on a connection that both sides dial at once: what
// the handshakes on it need to know.
type PunchRole uint8

// The roles of hole punching.
const (
	PunchClient PunchRole = iota + 1
	PunchServer
)

// String returns "client" or "server".
func (r PunchRole) String() string {
	switch r {
	case PunchClient:
		return "client"
	case PunchServer:
		return "server"
	}
	return "unknown"
}

// PunchDial says how a hole is punched.
type PunchDial struct {
	Role PunchRole
	// RTT is how long a message to the other side and back takes; 0 if that is
	// not known.
	RTT time.Duration
	// Hear is how long the other side may take to speak first. On a connection
	// on which it does not, and with 0 on every one, this side begins the
	// handshakes, whatever its Role: who listens there awaits that.
	Hear time.Duration
}

// Punch makes Connect dial the given addresses and no others, directly and all at
// once, from the ports that are listened on, again and again until one answers
// or ctx ends: the other side does the same, and each opens the way for the
// packets of the other. Where one side's dial is enough, as with QUIC, the server
// does no more than that at first, and the connection is the one that comes in.
func Punch(ctx context.Context, p PunchDial) context.Context {
	return context.WithValue(ForceDirect(NoLookup(ctx)), punchKey, p)
}

// Punching returns what [Punch] was called with; false if ctx is of another dial.
func Punching(ctx context.Context) (PunchDial, bool) {
	p, ok := ctx.Value(punchKey).(PunchDial)
	return p, ok
}

// WithDialName says which DNS name the address that a transport dials was
// resolved from.
func WithDialName(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, dialNameKey, name)
}

// DialName returns the name of [WithDialName], or "". It is from others and may
// be anything.
func DialName(ctx context.Context) string {
	name, _ := ctx.Value(dialNameKey).(string)
	return name
}
