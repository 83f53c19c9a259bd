// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"cmp"
	"fmt"
	"time"

	"github.com/xnode-p2p/xnode/core"
)

// DialConfig is how a node dials.
type DialConfig struct {
	// Timeout bounds a dial to a peer, with all its addresses. Default: "60s",
	// or attempt_timeout if that is more.
	Timeout core.Duration `json:"timeout,omitempty"`
	// AttemptTimeout bounds the attempt at one address, upgrade included.
	// Default: "15s", or timeout if that is less.
	AttemptTimeout core.Duration `json:"attempt_timeout,omitempty"`
	// Parallel is how many attempts may run at once, all peers together.
	// Default: 160.
	Parallel int `json:"parallel,omitempty"`
	// ParallelPerPeer is how many attempts may run at once to one peer.
	// Default: 8.
	ParallelPerPeer int `json:"parallel_per_peer,omitempty"`
	// Backoff is how long an address that failed is left alone; it doubles
	// with every failure. Addresses named in a request are tried at once all
	// the same. Default: "5s".
	Backoff core.Duration `json:"backoff,omitempty"`
	// BackoffMax is the longest such time. Default: "5m", or backoff if that
	// is more.
	BackoffMax core.Duration `json:"backoff_max,omitempty"`
	// Policy is the order of a peer's addresses.
	Policy DialPolicy `json:"policy,omitzero"`
}

// Provision sets the defaults.
func (c *DialConfig) Provision() {
	c.Timeout = cmp.Or(c.Timeout, max(core.Duration(time.Minute), c.AttemptTimeout))
	c.AttemptTimeout = cmp.Or(c.AttemptTimeout, min(core.Duration(15*time.Second), c.Timeout))
	c.Backoff = cmp.Or(c.Backoff, core.Duration(5*time.Second))
	c.BackoffMax = cmp.Or(c.BackoffMax, max(core.Duration(5*time.Minute), c.Backoff))
	c.Parallel = cmp.Or(c.Parallel, 160)
	c.ParallelPerPeer = cmp.Or(c.ParallelPerPeer, 8)
	c.Policy.Provision()
}

// Validate checks a configuration after Provision.
func (c *DialConfig) Validate() error {
	if c.BackoffMax < c.Backoff {
		return fmt.Errorf("backoff_max: %v is less than backoff, %v; raise it or lower backoff", c.BackoffMax, c.Backoff)
	}
	if c.Parallel < 0 {
		return fmt.Errorf("parallel: %d is negative; write at least 1", c.Parallel)
	}
	if c.ParallelPerPeer < 0 {
		return fmt.Errorf("parallel_per_peer: %d is negative; write at least 1", c.ParallelPerPeer)
	}
	if c.Timeout < c.AttemptTimeout {
		return fmt.Errorf("timeout: %v is less than attempt_timeout, %v; raise it or lower attempt_timeout", c.Timeout, c.AttemptTimeout)
	}
	if err := c.Policy.Validate(); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	return nil
}

// dialPolicy is a configuration and the slots it gives to attempts.
type dialPolicy struct {
	DialConfig
	slots chan struct{} // bounds the attempts under way, all peers together
}

// NetworkChanged forgets what failed in the network that the node was in before.
func (s *Swarm) NetworkChanged() {
	s.backoff.forget()
	s.holes.forget()
}

// SetDial says how the swarm dials from now on.
func (s *Swarm) SetDial(c DialConfig) {
	c.Provision()
	s.policy.Store(&dialPolicy{DialConfig: c, slots: make(chan struct{}, c.Parallel)})
}
