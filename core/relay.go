// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/peer"
)

// Relay is the role of a module that dials through relays, has places at some, or
// is one, for those who want to look into it.
type Relay interface {
	RelayStats() RelayStats
}

// RelayStats is what a [Relay] does at a time.
type RelayStats struct {
	// Service is what it does for others; nil if it is no relay.
	Service *RelayService `json:"service,omitempty"`
	// Places are those of this node at other relays, and the relays that have
	// given it none.
	Places []RelayPlace `json:"places"`
}

// RelayService is a relay.
type RelayService struct {
	// MaxReservations and MaxCircuits are how many there may be.
	MaxReservations int `json:"max_reservations"`
	MaxCircuits     int `json:"max_circuits"`
	// Limit is what a connection may have.
	Limit RelayLimit `json:"limit"`
	// Reservations are the places of others, Circuits the connections that are
	// relayed, the oldest first.
	Reservations []RelayReservation `json:"reservations"`
	Circuits     []RelayCircuit     `json:"circuits"`
	// Reserved and Connected count how often a place was given, new or again, and
	// a connection was made; Refused the answers that were none, by their names
	// in the specification; Bytes what was carried.
	Reserved  uint64            `json:"reserved"`
	Connected uint64            `json:"connected"`
	Refused   map[string]uint64 `json:"refused"`
	Bytes     uint64            `json:"bytes"`
}

// RelayLimit bounds a relayed connection; zero is no bound.
type RelayLimit struct {
	Duration time.Duration `json:"duration_ns"`
	// Data is in bytes, in each direction.
	Data uint64 `json:"data"`
}

// RelayReservation is a place at a relay.
type RelayReservation struct {
	Peer peer.ID `json:"peer"`
	// Addr is where the peer was when it asked.
	Addr    ma.Multiaddr `json:"addr"`
	Expires time.Time    `json:"expires"`
	// Left is true if the peer has gone: it has to ask again before others can
	// connect to it, and the place counts until it has run out.
	Left bool `json:"left"`
	// Circuits are how many connections the peer has through the relay.
	Circuits int `json:"circuits"`
}

// RelayCircuit is a connection through a relay.
type RelayCircuit struct {
	// From is the peer who connected, To the one with a place.
	From   peer.ID    `json:"from"`
	To     peer.ID    `json:"to"`
	Opened time.Time  `json:"opened"`
	Limit  RelayLimit `json:"limit"`
	// Forth is what was carried from From to To, in bytes, Back the other way.
	Forth uint64 `json:"forth"`
	Back  uint64 `json:"back"`
}

// RelayPlace is what this node has at a relay, or has not.
type RelayPlace struct {
	Relay peer.ID `json:"relay"`
	// Expires is until when there is a place, unless it is asked for again, which
	// it is in time; zero if there is none.
	Expires time.Time `json:"expires,omitzero"`
	// Addrs are where the node can be reached through the relay, Limit what
	// connections there may have.
	Addrs []ma.Multiaddr `json:"addrs,omitempty"`
	Limit RelayLimit     `json:"limit,omitzero"`
	// Err is why the relay has given no place when it was asked last, Asked when
	// that was.
	Err   string    `json:"error,omitempty"`
	Asked time.Time `json:"asked,omitzero"`
}
