// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"flag"
	"fmt"
	"math"
	"time"

	"github.com/libp2p/go-libp2p"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	hop "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	ma "github.com/multiformats/go-multiaddr"
)

// relayFlags are those of a relay, and of a node that has places at relays.
type relayFlags struct {
	service, limits bool
	at              list
	dials           bool // a client of an address behind a relay
	punch           bool
}

func (f *relayFlags) define(flags *flag.FlagSet) {
	flags.BoolVar(&f.service, "relay-service", false, "be a relay")
	flags.BoolVar(&f.limits, "relay-limits", false, "with the usual limits for relayed connections; without it there are none")
	flags.Var(&f.at, "reserve", "relays to have a place at, comma separated; the first line waits for them")
	flags.BoolVar(&f.punch, "hole-punch", false, "get direct connections to those who come through a relay")
}

func (f *relayFlags) check() error {
	if f.limits && !f.service {
		return usagef("--relay-limits: goes with --relay-service")
	}
	return nil
}

// options returns what a host needs for it. Places are asked for by hand: AutoRelay would wait until the node is known to be
// private.
func (f *relayFlags) options() []libp2p.Option {
	opts := []libp2p.Option{libp2p.DisableRelay()}
	if f.dials || len(f.at) > 0 {
		opts = []libp2p.Option{libp2p.EnableRelay()}
	}
	if f.punch {
		opts = append(opts, libp2p.EnableHolePunching())
	}
	if !f.service {
		return opts
	}
	resources := hop.DefaultResources()
	resources.MaxReservations, resources.MaxCircuits = 100_000, 100_000
	resources.MaxReservationsPerIP, resources.MaxReservationsPerASN = math.MaxInt32, math.MaxInt32
	all := func(ma.Multiaddr) bool { return true } // also addresses that are not on the Internet
	service := []hop.Option{hop.WithResources(resources), hop.WithReservationAddressFilter(all)}
	if !f.limits {
		service = append(service, hop.WithInfiniteLimits())
	}
	return append(opts, libp2p.EnableRelayService(service...), libp2p.ForceReachabilityPublic())
}

// reserve asks for the places, has them kept, and returns the addresses behind the relays.
func (f *relayFlags) reserve(ctx context.Context, n *node) (addrs []string, err error) {
	infos, err := addrInfos(f.at)
	if err != nil {
		return nil, err
	}
	for _, info := range infos {
		if err := n.Connect(ctx, info); err != nil {
			return nil, fmt.Errorf("relay %s: %w", info.ID, err)
		}
		place, err := circuit.Reserve(ctx, n, info)
		if err != nil {
			return nil, fmt.Errorf("relay %s: %w", info.ID, err)
		}
		go func() { // ends with the process
			for {
				time.Sleep(time.Until(place.Expiration) / 2)
				if again, err := circuit.Reserve(context.Background(), n, info); err == nil {
					place = again
				}
			}
		}()
		for _, a := range place.Addrs {
			addrs = append(addrs, fmt.Sprintf("%s/p2p-circuit/p2p/%s", a, n.ID()))
		}
	}
	return addrs, nil
}

// isRelayed reports whether an address is one behind a relay.
func isRelayed(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}
