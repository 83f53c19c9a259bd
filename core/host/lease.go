// SPDX-License-Identifier: Apache-2.0 OR MIT

package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"
)

// Lease is a plan that a host runs until the lease is released. While a reload
// is under way a host has two: modules, listeners and connections that both
// plans have in common stay as they are, and what only one of them has begins
// and ends with its lease. So releasing the older lease completes the reload,
// and releasing the newer one undoes it.
type Lease struct {
	host *Host
	plan *Plan
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
	if err := h.startModules(ctx, plan, plan.storage()); err != nil {
		return err
	}
	h.keeper.use(plan.store())
	if err := h.startModules(ctx, plan, plan.services()); err != nil {
		return err
	}
	for _, l := range opened {
		l.Serve()
	}
	h.enforce(plan) // only now that nothing can go wrong any more
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

// configure makes a plan's settings the host's. It takes nothing away from
// connections that there are.
func (h *Host) configure(plan *Plan) error {
	if err := h.gater.Update(plan.Gater); err != nil {
		return fmt.Errorf("gater: %w", err)
	}
	rules, err := plan.Addresses.rules()
	if err != nil {
		return fmt.Errorf("addresses: %w", err)
	}
	h.addrs.configure(rules)
	h.limits.Update(plan.Limits)
	h.swarm.SetDial(plan.Dial)
	h.swarm.SetTransports(plan.transports())
	h.swarm.SetUpgrade(plan.securities(), plan.muxers())
	h.identify.SetAgent(plan.Agent)
	return nil
}

// enforce closes the connections that a configured plan does not want.
func (h *Host) enforce(plan *Plan) {
	h.swarm.SetTarget(plan.Limits.Target, time.Duration(plan.Limits.Grace))
	h.swarm.Regate()
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
		h.enforce(current)
		h.arrange(current)
		h.keeper.use(current.store())
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

func (h *Host) wantsModuleLocked(m module) bool {
	return slices.ContainsFunc(h.leases, func(o *Lease) bool {
		return slices.ContainsFunc(o.plan.modules(), func(n module) bool { return n.value == m.value })
	})
}
