// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/lan"
	"github.com/xnode-p2p/xnode/interop/internal/peers"
)

// each is how many peers of a kind there are: one sees those of its own kind, too.
const each = 2

// everybody has peers of all kinds on one network, and notes who sees whom.
func (r *runner) everybody(ctx context.Context, n *lan.Net, version string, kinds []peers.Peer) (err error) {
	capture, err := startCapture(ctx, n.Bridge())
	if err != nil {
		return err
	}
	defer capture.stop()
	var all []*machine
	defer func() {
		var wg sync.WaitGroup
		for _, m := range all {
			wg.Go(func() {
				if e := m.end(); e != nil {
					fmt.Fprintf(r.log, "%s: %v\n", m.kind, e)
				}
			})
		}
		wg.Wait()
	}()
	begun := time.Now()
	for _, p := range kinds {
		if !slices.Contains(p.MDNS, version) {
			if why, ok := oneVersion()[p.Name]; ok {
				fmt.Fprintf(r.log, "%s: %s is not there: %s\n", version, p.Name, why)
			}
			continue
		}
		started, err := bootAll(ctx, n, p)
		all = append(all, started...)
		if err != nil {
			return err
		}
	}
	fmt.Fprintf(r.log, "%s: %d peers on a network after %.1f s\n", version, len(all), time.Since(begun).Seconds())
	cells := pairs(version, all)
	if err := r.watch(ctx, all, cells); err != nil {
		return err
	}
	for _, c := range cells {
		r.checks = append(r.checks, c.check)
	}
	if begun := time.Now(); capture != nil {
		var own []string
		for _, m := range all {
			if m.kind == peers.Xnode {
				for _, a := range m.link.Sources {
					own = append(own, a.String())
				}
			}
		}
		r.note(check{Network: version, What: "tshark finds no fault with this project's packets"}, begun, capture.check(ctx, own))
	} else {
		fmt.Fprintln(r.log, "tshark is not installed: packets are not dissected")
	}
	return nil
}

// bootAll starts the peers of a kind, at the same time, and returns those that did.
func bootAll(ctx context.Context, n *lan.Net, p peers.Peer) (started []*machine, err error) {
	var wg sync.WaitGroup
	var all [each]*machine
	var errs [each]error
	for i := range each {
		wg.Go(func() { all[i], errs[i] = boot(ctx, n, p, false) })
	}
	wg.Wait()
	return slices.DeleteFunc(all[:], func(m *machine) bool { return m == nil }), errors.Join(errs[:]...)
}

// cell is a cell of the table, and who has to see whom for it.
type cell struct {
	check
	sights [][2]*machine
}

// pairs lists the cells: the kinds in the order of the machines.
func pairs(version string, all []*machine) (cells []*cell) {
	at := map[[2]string]*cell{}
	for _, seer := range all {
		for _, seen := range all {
			if seer == seen {
				continue
			}
			key := [2]string{seer.kind, seen.kind}
			c := at[key]
			if c == nil {
				c = &cell{check: check{Network: version, Seer: seer.kind, Seen: seen.kind, Known: knownReason(version, seer.kind, seen.kind)}}
				at[key] = c
				cells = append(cells, c)
			}
			c.sights = append(c.sights, [2]*machine{seer, seen})
		}
	}
	return cells
}

// watch looks until all who can see each other do. Those who cannot have the same
// time, and some more.
func (r *runner) watch(ctx context.Context, all []*machine, cells []*cell) error {
	const extra = 3 * time.Second
	begun, ready := time.Now(), time.Time{}
	for {
		var wg sync.WaitGroup
		errs := make([]error, len(all))
		for i, m := range all {
			wg.Go(func() { errs[i] = m.look(ctx) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		missing := false
		for _, c := range cells {
			if c.OK {
				continue
			}
			err := c.see()
			c.OK, c.Error = err == nil, ""
			if err != nil {
				c.Error = err.Error()
				missing = missing || c.Known == ""
			}
			c.Seconds = time.Since(begun).Seconds()
		}
		switch {
		case missing && time.Since(begun) > r.settle:
			return nil
		case missing:
			ready = time.Time{}
		case ready.IsZero():
			ready = time.Now()
		case time.Since(ready) > extra:
			return nil
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// see wants all of the kind to see all of the other.
func (c *cell) see() error {
	for _, s := range c.sights {
		if err := s[0].see(s[1]); err != nil {
			return err
		}
	}
	return nil
}

// loopback has two peers of this project meet on the loopback interface.
func (r *runner) loopback(ctx context.Context, own peers.Peer) error {
	var two [2]*machine
	begun := time.Now()
	for i := range two {
		two[i] = &machine{kind: own.Name}
		if err := two[i].start(ctx, own.Command("listen", "--mdns", "--mdns-interfaces", "lo")); err != nil {
			return err
		}
		defer two[i].end()
	}
	for i, m := range two {
		c := check{Network: "loopback", Seer: own.Name, Seen: own.Name}
		r.note(c, begun, m.until(ctx, r.settle, func() error { return m.see(two[1-i]) }))
	}
	return nil
}
