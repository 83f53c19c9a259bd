// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"errors"
	"fmt"
	"sync"
	"syscall"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	// holeWindow is how many attempts are remembered, and holeLeast how many
	// of them must have had an answer.
	holeWindow = 100
	holeLeast  = 5
)

// blackHoles notice that this machine's network swallows what is sent to the
// Internet by UDP, or by IPv6.
type blackHoles struct {
	udp, ip6 blackHole
}

// blackHole remembers how the latest attempts of one sort ended.
type blackHole struct {
	mu       sync.Mutex
	answered [holeWindow]bool // a ring
	next     int
	count    int // of the ring that is in use
	good     int // of those, how many had an answer
	asked    int // attempts since it is known to be a black hole
}

// check says why an address must be left out, or nil.
func (h *blackHoles) check(a ma.Multiaddr) error {
	if !peer.IsPublic(a) || has(a, ma.P_CIRCUIT) {
		return nil
	}
	if has(a, ma.P_UDP) {
		if err := h.udp.check("UDP"); err != nil {
			return err
		}
	}
	if has(a, ma.P_IP6) {
		return h.ip6.check("IPv6")
	}
	return nil
}

// note records whether somebody answered at an address.
func (h *blackHoles) note(a ma.Multiaddr, answered bool) {
	if !peer.IsPublic(a) || has(a, ma.P_CIRCUIT) {
		return
	}
	if has(a, ma.P_UDP) {
		h.udp.note(answered)
	}
	if has(a, ma.P_IP6) {
		h.ip6.note(answered)
	}
}

// forget is for another network: what was learned is about the one before.
func (h *blackHoles) forget() {
	h.udp.forget()
	h.ip6.forget()
}

// answered tells whether an attempt reached somebody, friend or not.
func (a *attempt) answered() bool {
	var mismatch *core.PeerMismatchError
	return a.Err == nil || len(a.Steps) > 1 || // beyond the dial
		errors.As(a.Err, &mismatch) || errors.Is(a.Err, syscall.ECONNREFUSED)
}

// check lets one attempt of holeWindow through a black hole, to see whether it
// is one still.
func (b *blackHole) check(name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count < holeWindow || b.good >= holeLeast {
		return nil
	}
	b.asked++
	if b.asked%holeWindow == 0 {
		return nil
	}
	return fmt.Errorf("%s to the Internet %w: %d of the last %d attempts had an answer; the next one is tried in %d",
		name, core.ErrBlackHole, b.good, holeWindow, holeWindow-b.asked%holeWindow)
}

func (b *blackHole) note(answered bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if answered && b.count == holeWindow && b.good < holeLeast {
		b.forgetLocked() // an answer out of a black hole: begin anew
	}
	if b.count == holeWindow {
		if b.answered[b.next] {
			b.good--
		}
	} else {
		b.count++
	}
	b.answered[b.next] = answered
	if answered {
		b.good++
	}
	b.next = (b.next + 1) % holeWindow
}

func (b *blackHole) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forgetLocked()
}

func (b *blackHole) forgetLocked() { b.next, b.count, b.good, b.asked = 0, 0, 0, 0 }
