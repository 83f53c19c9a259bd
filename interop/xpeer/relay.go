// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"slices"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/peer"
)

// relayFlags are those of a relay, and of a node that has places at relays.
type relayFlags struct {
	service, limits bool
	punch           bool
	reserve         list
}

// What a relay of the benchmarks and the matrix bounds: nothing that either
// reaches, unless it is to have the usual limits for connections.
const (
	manyPlaces    = `"reservations": 100000, "reservations_per_ip": 100000, "reservations_per_net": 100000, "circuits": 100000, "circuits_per_peer": 100000`
	relayNoLimits = `{"service": {"unlimited": true, ` + manyPlaces + `}}`
	relayLimits   = `{"service": {` + manyPlaces + `}}`
)

func (f *relayFlags) define(flags *flag.FlagSet) {
	flags.BoolVar(&f.service, "relay-service", false, "be a relay")
	flags.BoolVar(&f.limits, "relay-limits", false, "with the usual limits for relayed connections; without it there are none")
	flags.BoolVar(&f.punch, "hole-punch", false, "get direct connections to those who come through a relay")
	flags.Var(&f.reserve, "reserve", "relays to have a place at, comma separated; the first line waits for them")
}

func (f *relayFlags) check(o *options) error {
	if f.limits && !f.service {
		return usagef("--relay-limits: goes with --relay-service")
	}
	if slices.Contains(o.transports, "webrtc") && len(f.reserve) == 0 {
		return usagef("--transport webrtc: goes with --reserve")
	}
	return nil
}

// apply adds to a blueprint what the flags ask for.
func (f *relayFlags) apply(b *blueprint) error {
	for _, text := range f.reserve {
		info, err := parseTarget(text)
		if err != nil {
			return err
		}
		t, err := transportOf(info.Addrs[0])
		if err != nil {
			return err
		}
		b.transports = append(b.transports, t)
		a := peer.JoinAddr(info.Addrs[0], info.ID).Encapsulate(ma.StringCast("/p2p-circuit"))
		b.listen = append(b.listen, a)
		b.relay = json.RawMessage("{}")
	}
	b.punch = f.punch
	switch {
	case f.limits:
		b.relay = json.RawMessage(relayLimits)
	case f.service:
		b.relay = json.RawMessage(relayNoLimits)
	}
	return nil
}

// wait waits until the node has its places, and tells of WebRTC there if it listens
// for that.
func (f *relayFlags) wait(ctx context.Context, n *node) error {
	want := ma.P_CIRCUIT
	if slices.ContainsFunc(n.ListenAddrs(), ma.StringCast("/webrtc").Equal) {
		want = ma.P_WEBRTC
	}
	changed := make(chan struct{}, 1)
	defer core.On(n, func(core.LocalAddrsChanged) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})()
	for {
		places := map[string]bool{}
		for _, a := range n.Addrs() {
			if relayed(a) && a[len(a)-1].Code() == want {
				id, _ := a.ValueForProtocol(ma.P_P2P)
				places[id] = true
			}
		}
		if len(places) >= len(f.reserve) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d places at relays: %w", len(places), len(f.reserve), context.Cause(ctx))
		}
	}
}

// planRelay adds the relay module to a plan.
func (b blueprint) planRelay(p *host.Plan, l core.Loader) error {
	if b.relay == nil {
		return nil
	}
	modules := core.Map[core.NAT]{"relay": b.relay}
	if b.punch {
		modules["holepunch"] = json.RawMessage("{}")
	}
	loaded, err := modules.Load(l)
	if err != nil {
		return err
	}
	for _, m := range loaded {
		p.Services = append(p.Services, core.Loaded[core.Service]{Name: m.Name, Module: m.Module})
	}
	return nil
}

// relayed reports whether an address is one behind a relay.
func relayed(a ma.Multiaddr) bool { return circuit(a) >= 0 }

// circuit is where in an address the relay's ends; -1 if there is none.
func circuit(a ma.Multiaddr) int {
	return slices.IndexFunc(a, func(c ma.Component) bool { return c.Code() == ma.P_CIRCUIT })
}
