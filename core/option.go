// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import "context"

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
