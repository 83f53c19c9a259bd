// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"errors"
	"fmt"
	"strings"

	"github.com/xnode-p2p/xnode/core/peer"
)

// Errors that callers branch on.
var (
	// ErrReset is what reads and writes on a reset stream return.
	ErrReset = errors.New("stream reset")
	// ErrConnClosed is what operations on a closed connection return.
	ErrConnClosed = errors.New("connection closed")
	// ErrNoReservation means that a peer has no place at the relay through which it
	// was dialled.
	ErrNoReservation = errors.New("no reservation at the relay")
	// ErrNoTransport means that no loaded transport matches an address.
	ErrNoTransport = errors.New("no transport for this address")
	// ErrNoAddrs means that no address of a peer is known.
	ErrNoAddrs = errors.New("no addresses known")
	// ErrNotFound means that a search has ended without what it was for.
	ErrNotFound = errors.New("not found")
	// ErrTooLarge means that a value has more bytes than there is room for.
	ErrTooLarge = errors.New("too large")
	// ErrNotConnected means that there is no connection and none may be made.
	ErrNotConnected = errors.New("not connected")
	// ErrSelf means that a node was asked to dial itself.
	ErrSelf = errors.New("cannot dial oneself")
	// ErrGated means that the gater refused a peer or an address.
	ErrGated = errors.New("refused by the gater")
	// ErrBackoff is the reason for skipping an address that failed lately.
	ErrBackoff = errors.New("failed lately, and it is not yet time to try again")
	// ErrBlackHole is the reason for skipping an address of a sort to which
	// almost nothing has answered lately.
	ErrBlackHole = errors.New("is a black hole")
	// ErrLimited means that the only connection is a limited one and the
	// protocol did not ask for that. See [AllowLimited].
	ErrLimited = errors.New("the connection is limited (through a relay) and the protocol does not allow that")
)

// PeerMismatchError means that another peer than the wanted one answered.
type PeerMismatchError struct {
	Want, Got peer.ID
}

// Error implements error.
func (e *PeerMismatchError) Error() string {
	return fmt.Sprintf("wrong peer: want %s, got %s", e.Want, e.Got)
}

// ProtocolError means that the remote speaks none of the offered protocols.
type ProtocolError struct {
	Protocols []string
}

// Error implements error.
func (e *ProtocolError) Error() string {
	return "the remote speaks none of " + strings.Join(e.Protocols, ", ")
}

// LimitError means that a resource limit is reached. It names the key of the
// configuration that raises the limit.
type LimitError struct {
	// Scope is what is full, such as "peer 12D3…" or "system".
	Scope string
	// Resource is what there was too much of, such as "inbound connections".
	Resource string
	// Limit is how much there may be.
	Limit int64
	// Knob is the path of the configuration key, such as "limits.connections".
	Knob string
}

// Error implements error.
func (e *LimitError) Error() string {
	return fmt.Sprintf("%s: limit of %d %s reached; raise %s to allow more", e.Scope, e.Limit, e.Resource, e.Knob)
}
