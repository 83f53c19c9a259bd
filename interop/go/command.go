// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"flag"
	"io"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
)

// command is one verb of the command line. define adds the verb's own flags and returns its body,
// which sees them parsed.
type command struct {
	name   string
	usage  string
	serves bool // runs until stdin closes; --timeout then bounds only the setting up
	define func(*flag.FlagSet) body
}

type body func(context.Context, *invocation) error

// commands returns every verb; a new one is a row here and a file of its own.
func commands() []command {
	return []command{
		{name: "listen", usage: "--transport tcp,ws,wss,quic,webtransport,webrtc-direct [--connect ADDR,…] [--http]", serves: true, define: listenCommand},
		{name: "ping", usage: "ADDR --count N", define: pingCommand},
		{name: "identify", usage: "ADDR", define: identifyCommand},
		{name: "perf", usage: "ADDR --upload B --download B", define: perfCommand},
		{name: "echo", usage: "ADDR --size B", define: echoCommand},
		{name: "http", usage: "ADDR --size B", define: httpCommand},
		{name: "handshakes", usage: "ADDR --count N --parallel P [--identify] [--fresh]", define: handshakesCommand},
		{name: "streams", usage: "ADDR --count N --parallel P --size B", define: streamsCommand},
		{name: "dht", usage: "ADDR " + strings.ReplaceAll(dhtUsage, ", ", " | "), define: dhtCommand},
		{name: "publish", usage: "ADDR --topic T --data D [--count N]", define: publishCommand},
		{name: "subscribe", usage: "ADDR --topic T --count N", define: subscribeCommand},
		{name: "pubsub-bench", usage: "ADDR… --topic T --count N --size S --window W", define: pubsubBenchCommand},
		{name: "sim-gossip", usage: "--nodes N --degree D --messages M --size S --rate R", define: simGossipCommand},
		{name: "sim-dht", usage: "--nodes N --count N [--provide]", define: simDHTCommand},
		{name: "dht-table", usage: "--peers N", define: dhtTableCommand},
		{name: "dial-through", usage: "CIRCUITADDR --transport tcp,quic [--port N] [--wait S]", define: dialThroughCommand},
		{name: "idle", usage: "ADDR --conns N", serves: true, define: idleCommand},
	}
}

func commandNames(all []command) string {
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = c.name
	}
	return strings.Join(names, ", ")
}

// invocation is one parsed command line with the streams it talks to.
type invocation struct {
	options options
	args    []string
	stdin   io.Reader
	out     *lines
	stderr  io.Writer
}

// target returns the one address that client commands take.
func (in *invocation) target() (peer.AddrInfo, error) {
	if len(in.args) != 1 {
		return peer.AddrInfo{}, usagef("want one address, have %d arguments", len(in.args))
	}
	return addrInfo(in.args[0])
}

func addrInfo(text string) (peer.AddrInfo, error) {
	info, err := peer.AddrInfoFromString(text)
	if err != nil {
		return peer.AddrInfo{}, usagef("address %q: %w", text, err)
	}
	if len(info.Addrs) == 0 {
		return peer.AddrInfo{}, usagef("address %q: only a peer ID", text)
	}
	return *info, nil
}

// withTimeout bounds ctx by --timeout and names the bound as the cause.
func (in *invocation) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := in.options.timeout.limit
	if limit == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, limit, timedOut(limit))
}
