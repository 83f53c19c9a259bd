// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/xnode-p2p/xnode/interop/internal/peers"
	"github.com/xnode-p2p/xnode/interop/internal/process"
)

// The relay rows: a relay, a server that has a place at it, and a client that
// dials the server through it.

// relayStack is what the relay rows run on.
var relayStack = peers.Stack{Transport: "tcp", Security: "noise", Muxer: "yamux"}

// relayRows are all triples with the project's own peer in at least one place.
func relayRows(all []peers.Peer) (rows []*row) {
	able := slices.DeleteFunc(slices.Clone(all), func(p peers.Peer) bool { return !p.Relay })
	for i := range able {
		for _, server := range able {
			for _, client := range able {
				if own := all[0].Name; able[i].Name != own && server.Name != own && client.Name != own {
					continue
				}
				rows = append(rows, &row{
					Suite: suiteRelay, Server: server.Name, Client: client.Name, Stack: relayStack,
					server: server, client: client, relay: &able[i],
				})
			}
		}
	}
	return rows
}

// fillRelay pings through relays that have limits and that have none.
func (m *matrix) fillRelay(ctx context.Context, r *row) {
	for _, c := range []struct {
		operation string
		limits    []string
	}{{"relay", nil}, {"limited", []string{"--relay-limits"}}} {
		cell := cell{Operation: c.operation, Known: knownReason(r, c.operation)}
		cell.fill(func() error { return m.pingThrough(ctx, r, c.limits) })
		r.Cells = append(r.Cells, cell)
	}
}

// pingThrough starts a row's relay and server and has the client ping.
func (m *matrix) pingThrough(ctx context.Context, r *row, limits []string) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, m.timeout, fmt.Errorf("no end within %v", m.timeout))
	defer cancel()
	start := func(p peers.Peer, words ...string) (string, func(), error) {
		var ready struct{ Addrs []string }
		server, err := process.Start(ctx, p.Command(m.words(r, append([]string{"listen"}, words...)...)...), &ready)
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", p.Name, err)
		}
		stop := func() { m.closeAll(ctx, []*dhtNode{{Server: server, kind: p.Name}}) }
		if len(ready.Addrs) == 0 {
			stop()
			return "", nil, fmt.Errorf("%s: no address", p.Name)
		}
		for _, a := range ready.Addrs {
			if strings.Contains(a, "/p2p-circuit/") {
				return a, stop, nil
			}
		}
		return ready.Addrs[0], stop, nil
	}
	relay, stop, err := start(*r.relay, append([]string{"--relay-service"}, limits...)...)
	if err != nil {
		return err
	}
	defer stop()
	addr, stop, err := start(r.server, "--reserve", relay)
	if err != nil {
		return err
	}
	defer stop()
	if !strings.HasPrefix(addr, relay+"/p2p-circuit/") {
		return fmt.Errorf("%s: its address is %s, behind %s", r.Server, addr, relay)
	}
	var result struct {
		RTT float64 `json:"rtt_median_ms"`
	}
	if err := process.Run(ctx, r.client.Command(m.words(r, "ping", addr, "--count", "5")...), &result); err != nil {
		return err
	}
	if result.RTT <= 0 {
		return errors.New("no round trip")
	}
	return nil
}
