// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"flag"
	"io"
	"strings"

	"github.com/xnode-p2p/xnode/core/peer"
)

// command is one verb of the command line. define adds the verb's own flags
// and returns its body, which sees them parsed.
type command struct {
	name   string
	usage  string
	serves bool // runs until stdin closes; --timeout then bounds the setting up
	define func(*flag.FlagSet) body
}

type body func(context.Context, *invocation) error

// commands returns every verb; a new one is a row here and a file of its own.
func commands() []command {
	return []command{
		{"listen", "[--transport tcp,ws,wss,quic,webtransport,webrtc-direct,webrtc] [--connect ADDR,…] [--relay-service [--relay-limits]] [--reserve ADDR [--hole-punch]] [--autonat v1|v2|both] [--http]", true, listenCommand},
		{"ping", "ADDR --count N", false, pingCommand},
		{"identify", "ADDR", false, identifyCommand},
		{"perf", "ADDR --upload B --download B", false, perfCommand},
		{"echo", "ADDR --size B", false, echoCommand},
		{"http", "ADDR --size B", false, httpCommand},
		{"handshakes", "ADDR --count N --parallel P [--identify] [--fresh]", false, handshakesCommand},
		{"streams", "ADDR --count N --parallel P --size B", false, streamsCommand},
		{"publish", "ADDR --topic T --data D [--count N]", false, publishCommand},
		{"subscribe", "ADDR --topic T --count N", false, subscribeCommand},
		{"pubsub-bench", "ADDR… --topic T --count N --size S --window W", false, pubsubBenchCommand},
		{"sim-gossip", "--nodes N --degree D --messages M --size S --rate R", false, simGossipCommand},
		{"dht", "ADDR " + strings.ReplaceAll(dhtUsage, ", ", " | "), false, dhtCommand},
		{"sim-dht", "--nodes N --count N [--provide]", false, simDHTCommand},
		{"dht-load", "ADDR --nodes N --count N --parallel P", true, dhtLoadCommand},
		{"rendezvous", "ADDR " + rendezvousUsage, false, rendezvousCommand},
		{"dial-through", "CIRCUITADDR [--wait S]", false, dialThroughCommand},
		{"idle", "ADDR --conns N [--places]", true, idleCommand},
	}
}

// laterCommands are verbs of the common command line that need modules this
// build does not have.
func laterCommands() []string {
	return []string{
		"fetch",
	}
}

// defineLater accepts the flags of the common command line that need modules
// this build does not have. The returned function refuses those that were given.
func defineLater(flags *flag.FlagSet) (refuse func() error) {
	values := []string{
		"bootstrap", "fetch",
	}
	var switches []string
	for _, name := range values {
		flags.String(name, "", "not in this build")
	}
	for _, name := range switches {
		flags.Bool(name, false, "not in this build")
	}
	return func() (err error) {
		flags.Visit(func(f *flag.Flag) {
			if f.Usage == "not in this build" && err == nil {
				err = absent("--" + f.Name)
			}
		})
		return err
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
	return parseTarget(in.args[0])
}

func parseTarget(text string) (peer.AddrInfo, error) {
	info, err := peer.ParseAddrInfo(text)
	if err != nil {
		return peer.AddrInfo{}, usagef("address %q: %w", text, err)
	}
	if len(info.Addrs) == 0 {
		return peer.AddrInfo{}, usagef("address %q: only a peer ID", text)
	}
	return info, nil
}

// withTimeout bounds ctx by --timeout and names the bound as the cause.
func (in *invocation) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := in.options.timeout.limit
	if limit == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, limit, timedOut(limit))
}
