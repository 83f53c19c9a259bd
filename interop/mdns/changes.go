// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/lan"
	"github.com/xnode-p2p/xnode/interop/internal/peers"
)

// changes has three peers of this project: the second one moves, goes on another
// network too, where the third one is, and ends; the others notice. All of it takes
// seconds, where a peer that has vanished without a word is remembered for minutes.
func (r *runner) changes(ctx context.Context, n *lan.Net, version string, own peers.Peer) (err error) {
	other, err := lan.New(ctx, version+"b", n.Prefix4, n.Prefix6)
	if err != nil {
		return err
	}
	if other.Prefix4.IsValid() {
		other.Prefix4 = netip.MustParsePrefix("192.168.78.0/24")
	} else {
		other.Prefix6 = netip.MustParsePrefix("fd78::/64")
	}
	var all []*machine
	defer func() {
		for _, m := range all {
			err = errors.Join(err, m.end())
		}
	}()
	for _, net := range []*lan.Net{n, n, other} {
		m, err := boot(ctx, net, own, true)
		if err != nil {
			return err
		}
		all = append(all, m)
	}
	home, mover, away := all[0], all[1], all[2]
	step := func(what string, seer *machine, holds func() error) {
		begun := time.Now()
		r.note(check{Network: version, What: what}, begun, seer.until(ctx, r.settle, holds))
	}
	step("a peer is seen", home, func() error { return home.at(mover, mover.link) })

	if err := mover.link.Down(ctx); err != nil {
		return err
	}
	if err := mover.link.Up(ctx, 100); err != nil {
		return err
	}
	step("a peer with another address is seen there", home, func() error { return home.at(mover, mover.link) })

	second, err := mover.host.Join(ctx, other)
	if err != nil {
		return err
	}
	step("on a network that a peer has joined, it is seen", away, func() error { return away.at(mover, second) })
	step("and sees", mover, func() error { return mover.at(away, away.link) })
	step("where it was before, nobody is told", home, func() error { return home.at(mover, mover.link) })

	all = slices.DeleteFunc(all, func(m *machine) bool { return m == mover })
	if err := mover.end(); err != nil {
		return err
	}
	for _, m := range all {
		step("a peer that ends says goodbye", m, func() error {
			if addrs, ok := m.sees[mover.id]; ok {
				return fmt.Errorf("still seen at %q", addrs)
			}
			return nil
		})
	}
	return nil
}

// at wants the peer to see another one at the addresses of a link, and nowhere else.
func (m *machine) at(other *machine, l *lan.Link) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.sees[other.id]) == 0 {
		return errors.New("not seen")
	}
	for _, a := range m.sees[other.id] {
		if !slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return strings.Contains(a, "/"+p.Addr().String()+"/") }) {
			return fmt.Errorf("seen at %s, but it has %v", a, l.Addrs)
		}
	}
	return nil
}
