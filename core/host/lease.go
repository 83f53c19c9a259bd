// SPDX-License-Identifier: Apache-2.0 OR MIT

package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/swarm"
)

// startTimeout bounds the start of one module.
const startTimeout = 30 * time.Second

// Lease is a plan that a host runs until the lease is released. While a reload
// is under way a host has two: modules, listeners and connections that both
// plans have in common stay as they are, and what only one of them has begins
// and ends with its lease. So releasing the older lease completes the reload,
// and releasing the newer one undoes it.
type Lease struct {
	host *Host
	plan *Plan
}

// listener is a bound address of a plan.
type listener struct {
	*swarm.Listener
	addr      ma.Multiaddr // as the plan has it
	transport swarm.Transport
}

// Acquire starts what plan has and the host does not run yet, and makes the
// plan's settings the host's. If anything fails, everything is as before.
func (h *Host) Acquire(ctx context.Context, plan *Plan) (*Lease, error) {
	h.applying.Lock()
	defer h.applying.Unlock()
	h.mu.Lock()
	closed := h.closed
	h.mu.Unlock()
	if closed {
		return nil, fmt.Errorf("host: %w", net.ErrClosed)
	}
	if err := errors.Join(plan.provision(), plan.validate()); err != nil {
		return nil, err
	}
	lease := &Lease{h, plan}
	h.mu.Lock()
	h.leases = append(h.leases, lease)
	h.mu.Unlock()
	if err := h.start(ctx, plan); err != nil {
		return nil, errors.Join(err, h.drop(lease))
	}
	return lease, nil
}

// Release ends what no other lease of the host has. The host itself goes on.
func (l *Lease) Release() error {
	l.host.applying.Lock()
	defer l.host.applying.Unlock()
	return l.host.drop(l)
}

// start runs what the newest lease asks for: first what connections are made
// with, then the services, which find the node configured and its addresses
// bound, and last the accept loops.
func (h *Host) start(ctx context.Context, plan *Plan) error {
	if err := h.startModules(ctx, plan, plan.foundation()); err != nil {
		return err
	}
	if err := h.configure(plan); err != nil {
		return err
	}
	opened, err := h.bind(plan)
	if err != nil {
		return err
	}
	h.addrs.update()
	if err := h.startModules(ctx, plan, plan.services()); err != nil {
		return err
	}
	for _, l := range opened {
		l.Serve()
	}
	h.swarm.Regate() // only now that nothing can go wrong any more
	return nil
}

// startModules starts those of a plan's modules that do not run yet. Each finds
// those before it, rather than others that are about to close.
func (h *Host) startModules(ctx context.Context, plan *Plan, list []module) error {
	h.arrange(plan)
	for _, m := range list {
		if h.runs(m.value) {
			continue
		}
		if err := startModule(ctx, m, h); err != nil {
			return err
		}
		h.mu.Lock()
		h.running = append(h.running, m)
		h.mu.Unlock()
		h.arrange(plan)
	}
	return nil
}

// configure makes a plan's settings the host's.
func (h *Host) configure(plan *Plan) error {
	if err := h.gater.Update(plan.Gater); err != nil {
		return fmt.Errorf("gater: %w", err)
	}
	h.limits.Update(plan.Limits)
	h.swarm.SetTarget(plan.Limits.Target, time.Duration(plan.Limits.Grace))
	h.swarm.SetDial(plan.Dial)
	h.swarm.SetTransports(plan.transports())
	h.swarm.SetUpgrade(plan.securities(), plan.muxers())
	h.identify.SetAgent(plan.Agent)
	return nil
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
		h.mu.Lock()
		old, same := h.listenerLocked(t, a)
		h.mu.Unlock()
		if same {
			continue
		}
		bound, err := h.swarm.Listen(t, a, old)
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

// listenerLocked returns the open listener on a: same is true if it is of
// transport t itself; otherwise old is one of an instance that t replaces.
func (h *Host) listenerLocked(t swarm.Transport, a ma.Multiaddr) (old *swarm.Listener, same bool) {
	for _, l := range h.listeners {
		if !l.addr.Equal(a) {
			continue
		}
		if l.transport.Transport == t.Transport {
			return nil, true
		}
		if l.transport.Name == t.Name {
			old = l.Listener
		}
	}
	return old, false
}

// runs reports whether a module has been started.
func (h *Host) runs(value any) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.running, func(m module) bool { return m.value == value })
}

// arrange orders the running modules: those of the plan first, in its order,
// so that [core.Find] prefers them to modules that are about to close.
func (h *Host) arrange(plan *Plan) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var order []any
	for _, m := range plan.modules() {
		order = append(order, m.value)
	}
	place := func(m module) int {
		if i := slices.Index(order, m.value); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortStableFunc(h.running, func(a, b module) int { return place(a) - place(b) })
}

// drop removes a lease and closes what no other lease has. If it was the
// newest, the settings are again those of the one before.
func (h *Host) drop(lease *Lease) error {
	h.mu.Lock()
	newest := len(h.leases) > 0 && h.leases[len(h.leases)-1] == lease
	h.leases = slices.DeleteFunc(h.leases, func(l *Lease) bool { return l == lease })
	current := new(Plan)
	if len(h.leases) > 0 {
		current = h.leases[len(h.leases)-1].plan
	}
	var errs []error
	if newest {
		h.mu.Unlock()
		errs = append(errs, current.provision(), h.configure(current))
		h.arrange(current)
		h.mu.Lock()
	}
	var listeners []listener
	h.listeners = slices.DeleteFunc(h.listeners, func(l listener) bool {
		if h.wantsListenerLocked(l) {
			return false
		}
		listeners = append(listeners, l)
		return true
	})
	var modules []module
	h.running = slices.DeleteFunc(h.running, func(m module) bool {
		if h.wantsModuleLocked(m) {
			return false
		}
		modules = append(modules, m)
		return true
	})
	h.mu.Unlock()

	for _, l := range listeners {
		errs = append(errs, l.Close())
	}
	for _, m := range slices.Backward(modules) {
		errs = append(errs, closeModule(m))
	}
	h.addrs.update()
	return errors.Join(errs...)
}

func (h *Host) wantsListenerLocked(l listener) bool {
	return slices.ContainsFunc(h.leases, func(o *Lease) bool {
		return slices.ContainsFunc(o.plan.Listen, l.addr.Equal) &&
			slices.ContainsFunc(o.plan.transports(), func(t swarm.Transport) bool {
				return t.Transport == l.transport.Transport
			})
	})
}

func (h *Host) wantsModuleLocked(m module) bool {
	return slices.ContainsFunc(h.leases, func(o *Lease) bool {
		return slices.ContainsFunc(o.plan.modules(), func(n module) bool { return n.value == m.value })
	})
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

// startModule starts a module that is a service. One that panics or does not
// come back fails.
func startModule(ctx context.Context, m module, n core.Node) error {
	s, ok := m.value.(core.Service)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("did not start within %v", startTimeout))
	defer cancel()
	ended := make(chan error, 1)
	var starting sync.WaitGroup // not waited for: a start that hangs is given up
	starting.Go(func() {
		defer func() {
			if r := recover(); r != nil {
				ended <- fmt.Errorf("panic: %v\n%s", r, debug.Stack())
			}
		}()
		ended <- s.Start(ctx, n)
	})
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err == nil {
		return nil
	}
	return errors.Join(fmt.Errorf("%s: start: %w", m.name, err), closeModule(m))
}

// closeModule closes a module that is a service.
func closeModule(m module) (err error) {
	s, ok := m.value.(core.Service)
	if !ok {
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: close: panic: %v", m.name, r)
		}
	}()
	if err := s.Close(); err != nil {
		return fmt.Errorf("%s: close: %w", m.name, err)
	}
	return nil
}
