// SPDX-License-Identifier: Apache-2.0 OR MIT

package host

import (
	"fmt"
	"slices"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/swarm"
)

// listener is a bound address of a plan.
type listener struct {
	*swarm.Listener
	addr      ma.Multiaddr // as the plan has it
	transport swarm.Transport
}

// bind opens the plan's listeners that are not open yet.
func (h *Host) bind(plan *Plan) ([]listener, error) {
	transports := plan.transports()
	var opened []listener
	for _, a := range plan.Listen {
		t, ok := swarm.TransportFor(transports, a)
		if !ok {
			return nil, fmt.Errorf("listen %s: %w", a, core.ErrNoTransport)
		}
		at, open := h.placeFor(t, a)
		if open {
			continue
		}
		bound, err := h.swarm.Listen(t, at)
		if err != nil {
			return nil, fmt.Errorf("listen %s: %w", a, err)
		}
		l := listener{bound, a, t}
		opened = append(opened, l)
		h.mu.Lock()
		h.listeners = append(h.listeners, l)
		h.mu.Unlock()
	}
	return opened, nil
}

// placeFor returns the address to open for a: where a leaves the port to chance
// and an instance that t replaces has one already, it is that port. open is true
// if t listens on a itself.
func (h *Host) placeFor(t swarm.Transport, a ma.Multiaddr) (at ma.Multiaddr, open bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at = a
	for _, l := range h.listeners {
		if !l.addr.Equal(a) {
			continue
		}
		if l.transport.Transport == t.Transport {
			return nil, true
		}
		if l.transport.Name == t.Name {
			at = withPort(a, l.Multiaddr())
		}
	}
	return at, false
}

// withPort returns a with the port that it has in bound, if a leaves it to chance.
func withPort(a, bound ma.Multiaddr) ma.Multiaddr {
	at := slices.Clone(a)
	for i, c := range at {
		port := c.Code() == ma.P_TCP || c.Code() == ma.P_UDP || c.Code() == ma.P_MEMORY
		if port && c.Value() == "0" && i < len(bound) && bound[i].Code() == c.Code() {
			at[i] = bound[i]
		}
	}
	return at
}

func (h *Host) wantsListenerLocked(l listener) bool {
	return slices.ContainsFunc(h.leases, func(o *Lease) bool {
		return slices.ContainsFunc(o.plan.Listen, l.addr.Equal) &&
			slices.ContainsFunc(o.plan.transports(), func(t swarm.Transport) bool {
				return t.Transport == l.transport.Transport
			})
	})
}

// relisten opens listeners anew whose sockets the system has taken away, as it
// may when a network goes or the machine wakes up. It tries again with every
// call for as long as one fails.
func (h *Host) relisten() {
	if !h.applying.TryLock() {
		return // a reload is under way, or the end; there is a next time
	}
	defer h.applying.Unlock()
	h.mu.Lock()
	var lost []listener
	for _, l := range h.listeners {
		if l.Lost() && !h.closed {
			lost = append(lost, l)
		}
	}
	h.mu.Unlock()
	for _, l := range lost {
		at := withPort(l.addr, l.Multiaddr())
		l.Close()
		bound, err := h.swarm.Listen(l.transport, at)
		if err != nil {
			h.log.Warn("listen", "addr", at, "error", err)
			continue
		}
		h.mu.Lock()
		i := slices.IndexFunc(h.listeners, func(o listener) bool { return o.Listener == l.Listener })
		h.listeners[i].Listener = bound
		h.mu.Unlock()
		bound.Serve()
		h.log.Info("listening again", "addr", bound.Multiaddr())
	}
	if len(lost) > 0 {
		h.addrs.update()
	}
}

// bound lists the addresses of the open listeners.
func (h *Host) bound() []ma.Multiaddr {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []ma.Multiaddr
	for _, l := range h.listeners {
		if a := l.Multiaddr(); !slices.ContainsFunc(list, a.Equal) {
			list = append(list, a)
		}
	}
	return list
}
