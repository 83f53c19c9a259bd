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

// signalled are connections over WebRTC that begin at a relay. go-libp2p has none,
// and there is no bar.
var signalled = wire{"webrtc", peers.Stack{Transport: "webrtc", Security: "dtls", Muxer: "webrtc"}, 16, 0, nil}

// webRTCCases are those of two that meet at a relay, beside the same work where the
// server is dialled, and js-libp2p's if that is there: of bytes alone, for its nodes
// take seconds to come and go.
func webRTCCases(s sizes, p cast) []*benchCase {
	const gibibyte = 1 << 30
	size := s.bytes / signalled.part
	count := max(s.handshakes/20, 1) // all of it is new each time, the node too
	var all []*benchCase
	for _, direction := range []string{"upload", "download"} {
		all = append(all, &benchCase{
			name: direction + " over " + signalled.name, unit: "CPU s per GiB", per: gibibyte / float64(size),
			calls: (64 << 10) / float64(size), callsOf: "64 KiB",
			contenders: p.meeting("perf", "--"+direction, strconv.FormatUint(size, 10)),
		})
	}
	dials := append(handshakes(2, count), "--fresh", "--identify")
	all = append(all, repeated("handshake with identify over "+signalled.name+", nodes included", count, 0, p.meeting(dials...)[:2]))
	for _, c := range all {
		c.measure = func(ctx context.Context, k contender) (sample, error) { return met(ctx, k, p.own) }
	}
	return all
}

// meeting are those who do the work of a command.
func (p cast) meeting(ask ...string) []contender {
	of := func(name string, peer peers.Peer, w wire) contender {
		return contender{name: name, peer: peer, listen: append([]string{"listen"}, w.stack.Flags()...), ask: slices.Concat(ask, w.stack.Flags())}
	}
	list := []contender{of(p.own.Name, p.own, signalled), of(p.own.Name+" webrtc-direct", p.own, webrtcDirect)}
	if p.js != nil {
		list = append(list, of(p.js.Name, *p.js, signalled))
	}
	return list
}

// met measures work of a contender whose server has a place at a relay if it needs
// one.
func met(ctx context.Context, k contender, at peers.Peer) (got sample, err error) {
	if !slices.Contains(k.listen, signalled.stack.Transport) {
		return work(ctx, k)
	}
	var ready struct{ Addrs []string }
	relay, err := process.Start(ctx, at.Command(append([]string{"listen", "--quiet", "--relay-service"}, noise.stack.Flags()...)...), &ready)
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, relay.Close()) }()
	if len(ready.Addrs) == 0 {
		return got, errors.New("the relay has no address")
	}
	k.listen, k.part = append(slices.Clone(k.listen), "--reserve", ready.Addrs[0]), "/p2p-circuit/"+signalled.name+"/"
	return work(ctx, k)
}
