// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"slices"
	"strconv"

	"github.com/xnode-p2p/xnode/interop/internal/peers"
)

// wire is what connections are made of.
type wire struct {
	name  string
	stack peers.Stack
	// part is the share of the bytes of a transfer: what costs more moves less.
	part uint64
	// bar is the one of a transfer.
	bar float64
	// limits are the modes of the limit program that do the same work.
	limits []string
}

// The layers that QUIC and what is built on it are said to have are those that
// they cannot do without; peers ask for some.
var (
	noise        = wire{"tcp+noise", peers.Stack{Transport: "tcp", Security: "noise", Muxer: "yamux"}, 1, 1, []string{"aead", "tcp"}}
	overTLS      = wire{"tcp+tls", peers.Stack{Transport: "tcp", Security: "tls", Muxer: "yamux"}, 1, 0.9, []string{"tls"}}
	websocket    = wire{"ws+noise", peers.Stack{Transport: "ws", Security: "noise", Muxer: "yamux"}, 2, 0.6, []string{"aead"}}
	overQUIC     = wire{"quic", peers.Stack{Transport: "quic", Security: "tls", Muxer: "yamux"}, 2, 1, []string{"quic"}}
	webtransport = wire{"webtransport", peers.Stack{Transport: "webtransport", Security: "noise", Muxer: "yamux"}, 2, 1, []string{"quic"}}
	webrtcDirect = wire{"webrtc-direct", peers.Stack{Transport: "webrtc-direct", Security: "noise", Muxer: "yamux"}, 16, 0.6, nil}
)

// cast is who takes part.
type cast struct {
	own, rival, limit peers.Peer
	js                *peers.Peer // nil if it is not there
}

// both are the two peers, over a wire, with the words of the client's command
// and more of the server's.
func (p cast) both(w wire, ask []string, more ...string) []contender {
	listen := slices.Concat([]string{"listen", "--quiet"}, w.stack.Flags(), more)
	ask = slices.Concat(ask, w.stack.Flags())
	return []contender{{p.own.Name, p.own, listen, ask, nil, ""}, {p.rival.Name, p.rival, listen, ask, nil, ""}}
}

func (p cast) transfer(name string, w wire, s sizes) *benchCase {
	const (
		block    = 64 << 10
		gibibyte = 1 << 30
	)
	size := s.bytes / w.part
	words := []string{"perf", "--" + name, strconv.FormatUint(size, 10)}
	c := &benchCase{
		name: name + " over " + w.name, unit: "CPU s per GiB", per: gibibyte / float64(size),
		calls: block / float64(size), callsOf: "64 KiB", bar: w.bar,
		contenders: p.both(w, words), measure: work,
	}
	for _, mode := range w.limits {
		how := []string{"--mode", mode}
		c.contenders = append(c.contenders, contender{
			"limit " + mode, p.limit, append([]string{"listen"}, how...), slices.Concat(words, how), nil, "",
		})
	}
	return c
}

// repeated is a case that does one thing many times.
func repeated(name string, count int, bar float64, contenders []contender) *benchCase {
	const micro = 1e6
	return &benchCase{
		name: name, unit: "CPU µs each", per: micro / float64(count),
		calls: 1 / float64(count), callsOf: "one", bar: bar, contenders: contenders, measure: work,
	}
}

func (p cast) handshake(w wire, count int, bar float64) *benchCase {
	return repeated("handshake over "+w.name, count, bar, p.both(w, handshakes(4, count), "--no-identify"))
}

func handshakes(parallel, count int) []string {
	return []string{"handshakes", "--parallel", strconv.Itoa(parallel), "--count", strconv.Itoa(count)}
}

func (p cast) streams(w wire, name string, parallel, count int, bar float64) *benchCase {
	words := []string{"streams", "--parallel", strconv.Itoa(parallel), "--count", strconv.Itoa(count)}
	return repeated("stream, "+name+", over "+w.name, count, bar, p.both(w, words))
}

func (p cast) idle(w wire, conns int, bar float64) *benchCase {
	const kibibyte = 1 << 10
	return &benchCase{
		name: "idle connection over " + w.name, unit: "KiB of the server", per: 1 / (float64(conns) * kibibyte),
		calls: 1 / float64(conns), callsOf: "one", table: ofMemory, bar: bar,
		contenders: p.both(w, []string{"idle", "--conns", strconv.Itoa(conns)}), measure: hold,
	}
}

func (p cast) trips(w wire) *benchCase {
	return &benchCase{
		name: "round trips of a handshake over " + w.name, unit: "counted, without that of TCP", per: 1, calls: 1,
		table: ofTrips, bar: 1, contenders: p.both(w, handshakes(1, tripCount), "--no-identify"), measure: count,
	}
}

// allCases lists the cases, and with them the bars.
func allCases(s sizes, p cast) []*benchCase {
	var all []*benchCase
	for _, w := range []wire{noise, overTLS, websocket, overQUIC, webtransport, webrtcDirect} {
		all = append(all, p.transfer("upload", w, s), p.transfer("download", w, s))
	}
	single := max(s.streams/4, 1)
	all = append(all,
		p.handshake(noise, s.handshakes, 0.7),
		repeated("handshake with identify over "+noise.name, s.handshakes, 0.7,
			p.both(noise, append(handshakes(4, s.handshakes), "--identify"))),
		p.handshake(overTLS, s.handshakes, 0.8),
		p.handshake(overQUIC, s.handshakes, 1),
		p.trips(noise),
		p.trips(overTLS),
		p.streams(noise, "16 at a time", 16, s.streams, 1),
		p.streams(noise, "one at a time", 1, single, 1),
		p.streams(overQUIC, "16 at a time", 16, s.streams, 1),
		p.streams(overQUIC, "one at a time", 1, single, 1),
		p.idle(noise, s.conns, 0.8),
		p.idle(overQUIC, s.conns, 1),
	)
	return slices.Concat(all, webRTCCases(s, p), relayCases(s, p), dhtCases(s, p), pubsubCases(s, p))
}
