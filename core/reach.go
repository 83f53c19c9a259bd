// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
	"net/netip"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

// AddrReachability is what is known of one of the node's addresses.
type AddrReachability struct {
	Addr         ma.Multiaddr
	Reachability Reachability
	// Reached and Missed count the networks from which the address could be
	// reached when that was last tried from there, and could not.
	Reached, Missed int
	// Checked is when it was last tried; zero for never.
	Checked time.Time
}

// AddrsReachabilityChanged is emitted by a [ReachReporter] when it knows otherwise
// than before which addresses can be reached. Addrs are all that it looks after.
type AddrsReachabilityChanged struct {
	Addrs []AddrReachability
}

// Reach is how far the node can be reached.
type Reach struct {
	Reachability Reachability
	Addrs        []AddrReachability
	// Seen are the addresses at which connected peers see the node, one each,
	// as far as they belong to a port that it listens on.
	Seen []ma.Multiaddr
}

// ReachReporter is the role of a module that finds out how the node can be
// reached.
type ReachReporter interface {
	Reach() Reach
}

// PortMaps is what a router that the node asked for ports has given it.
type PortMaps struct {
	// Gateway is the router's address; invalid if there is none.
	Gateway netip.Addr
	// Method is how it was asked: "pcp", "nat-pmp" or "upnp"; empty if it
	// answers in no way.
	Method string
	// Maps are the ports that it forwards.
	Maps []PortMap
	// Err is why there is nothing, or less than was asked for.
	Err error
}

// PortMap is a port that a router forwards.
type PortMap struct {
	Network string // "tcp" or "udp"
	Inside  netip.AddrPort
	Outside netip.AddrPort
}

// PortMapper is the role of a module that asks routers for ports.
type PortMapper interface {
	PortMaps() PortMaps
}
