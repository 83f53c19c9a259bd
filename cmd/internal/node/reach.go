// SPDX-License-Identifier: Apache-2.0 OR MIT

package node

import (
	"errors"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
)

// ErrNoReach means that no module of the node finds out how it can be reached.
var ErrNoReach = errors.New("the node does not find out how it can be reached: add a module that does to nat, such as autonat")

// ErrNoRelay means that no module of the node knows relays.
var ErrNoRelay = errors.New("the node has nothing to do with relays: add relay to nat")

// Reach is how a node can be reached.
type Reach struct {
	// Reachability is that of the node: public, private or unknown.
	Reachability string `json:"reachability"`
	// Addrs are the addresses that were tried from outside, or are to be.
	Addrs []AddrReach `json:"addrs"`
}

// AddrReach is how one address can be reached.
type AddrReach struct {
	Addr         string `json:"addr"`
	Reachability string `json:"reachability"`
	// Reached and Missed are from how many networks it could be reached, and
	// from how many not.
	Reached int `json:"reached"`
	Missed  int `json:"missed"`
	// Checked is when it was last tried.
	Checked *time.Time `json:"checked,omitempty"`
}

// ReachOf asks the module of a host that knows.
func ReachOf(h *host.Host) (Reach, error) {
	r, ok := core.Find[core.ReachReporter](h)
	if !ok {
		return Reach{}, ErrNoReach
	}
	found := r.Reach()
	out := Reach{Reachability: found.Reachability.String(), Addrs: []AddrReach{}}
	for _, a := range found.Addrs {
		one := AddrReach{Addr: text(a.Addr), Reachability: a.Reachability.String(), Reached: a.Reached, Missed: a.Missed}
		if !a.Checked.IsZero() {
			one.Checked = &a.Checked
		}
		out.Addrs = append(out.Addrs, one)
	}
	return out, nil
}
