// SPDX-License-Identifier: Apache-2.0 OR MIT

package core

import (
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
}

// ReachReporter is the role of a module that finds out how the node can be
// reached.
type ReachReporter interface {
	Reach() Reach
}
