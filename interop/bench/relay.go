// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/xnode-p2p/xnode/interop/internal/peers"
	"github.com/xnode-p2p/xnode/interop/internal/process"
)

// relayCases are those of relays: what one costs whose peers are this project's,
// whatever it is itself.
func relayCases(s sizes, p cast) []*benchCase {
	const mebibyte, kibibyte, gibibyte = 1 << 20, 1 << 10, 1 << 30
	size := s.bytes / 4
	relays := func(more ...string) []contender { return p.both(noise, more, "--relay-service") }
	return []*benchCase{
		{
			name: "relay: bytes carried over " + noise.name, unit: "CPU s of the relay per GiB", per: gibibyte / float64(size),
			table: ofFigure, bar: 0.7, contenders: relays("perf", "--download", strconv.FormatUint(size, 10)),
			measure: func(ctx context.Context, k contender) (sample, error) { return relayed(ctx, k, p.own) },
		},
		{
			name: "relay: 1,000 places, with their connections", unit: "MiB of the relay", per: 1.0 / mebibyte, calls: 1,
			table: ofMemory, most: 25, contenders: relays("idle", "--places", "--conns", "1000"), // fewer say little of many
			measure: func(ctx context.Context, k contender) (sample, error) {
				return hold(ctx, k.served(p.own))
			},
		},
		{
			name: "relay: a circuit, with the connection of who dials", unit: "KiB of the relay", per: 1 / (float64(s.conns) * kibibyte),
			calls: 1 / float64(s.conns), table: ofMemory, contenders: relays("idle", "--conns", strconv.Itoa(s.conns)),
			measure: func(ctx context.Context, k contender) (sample, error) { return circuits(ctx, k, p.own) },
		},
	}
}

// served is a contender whose clients are another peer.
func (k contender) served(client peers.Peer) contender {
	k.client = &client
	return k
}

// behind starts a relay, and a peer that has a place at it; addr is the peer's.
func behind(ctx context.Context, k contender, client peers.Peer) (relay *process.Server, addr string, end func() error, err error) {
	relay, at, err := k.start(ctx)
	if err != nil {
		return nil, "", nil, err
	}
	var ready struct{ Addrs []string }
	words := slices.Concat([]string{"listen", "--quiet", "--reserve", at}, noise.stack.Flags())
	peer, err := process.Start(ctx, client.Command(words...), &ready)
	if err != nil {
		return nil, "", nil, errors.Join(err, relay.Close())
	}
	end = func() error { return errors.Join(peer.Close(), relay.Close()) }
	for _, a := range ready.Addrs {
		if len(a) > len(at) && a[:len(at)] == at {
			return relay, a, end, nil
		}
	}
	return nil, "", nil, errors.Join(errors.New("the peer has no place at the relay"), end())
}

// relayed measures the processor time of a relay for what a client does through it.
func relayed(ctx context.Context, k contender, client peers.Peer) (got sample, err error) {
	relay, addr, end, err := behind(ctx, k, client)
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, end()) }()
	before, err := relay.Usage()
	if err != nil {
		return got, err
	}
	var said struct{}
	if err := process.Run(ctx, client.Command(append(k.ask, addr)...), &said); err != nil {
		return got, err
	}
	after, err := relay.Usage()
	return sample{server: after.CPU - before.CPU}, err
}

// circuits measures what a relay's memory grows by while clients hold connections
// through it.
func circuits(ctx context.Context, k contender, client peers.Peer) (got sample, err error) {
	relay, addr, end, err := behind(ctx, k, client)
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, end()) }()
	return growth(ctx, relay, client.Command(append(k.ask, addr)...))
}
