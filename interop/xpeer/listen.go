// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// ready is the first line of a serving node.
type ready struct {
	PeerID peer.ID  `json:"peer_id"`
	Addrs  []string `json:"addrs"`
	// Delegated is the URL of the server of --serve-delegated.
	Delegated string `json:"delegated,omitempty"`
}

// connected is the event of a connection that came up, whoever dialled.
type connected struct {
	Event string  `json:"event"`
	Peer  peer.ID `json:"peer"`
	Addr  string  `json:"addr"`
	layers
	Limited bool `json:"limited"`
}

type disconnected struct {
	Event string  `json:"event"`
	Peer  peer.ID `json:"peer"`
	Addr  string  `json:"addr"`
}

func listenCommand(flags *flag.FlagSet) body {
	ip := flags.String("ip", "127.0.0.1", "address to listen on")
	port := flags.Int("port", 0, "port to listen on, of TCP and of UDP; 0 for any")
	quiet := flags.Bool("quiet", false, "no event lines, for benchmarks")
	noIdentify := flags.Bool("no-identify", false, "neither ask nor answer identify, for benchmarks of the handshake alone")
	var f dhtFlags
	flags.StringVar(&f.mode, "dht", "", "take part in the DHT as server or as client; a line of dht and an operation then runs it")
	flags.BoolVar(&f.serves, "serve-delegated", false, "answer delegated routing over HTTP, at the URL in the first line")
	flags.StringVar(&f.asks, "delegated", "", "URL of a server of delegated routing, which lines of dht then ask instead of a DHT")
	f.define(flags)
	var topics pubsubFlags
	flags.StringVar(&topics.router, "pubsub", "", "gossipsub or floodsub; a line \"publish TEXT\" then publishes, and \"messages\" tells what has come")
	topics.define(flags)
	var finders discoveryFlags
	finders.define(flags)
	var places relayFlags
	places.define(flags)
	web := flags.Bool("http", false, "serve HTTP to peers: "+httpEchoID)
	autonat := flags.String("autonat", "", "help peers to find out how they can be reached, and with --connect find it out: v1, v2 or both; a line \"reach\" then tells")
	var dials list
	flags.Var(&dials, "connect", "addresses to dial once listening, comma separated")

	return func(ctx context.Context, in *invocation) error {
		if len(in.args) != 0 {
			return usagef("unexpected argument %q", in.args[0])
		}
		if err := errors.Join(f.check(), topics.check(), finders.check(), places.check(&in.options)); err != nil {
			return err
		}
		if len(in.options.transports) == 0 {
			in.options.transports = list{"tcp"}
		}
		var targets []peer.AddrInfo
		for _, text := range dials {
			target, err := parseTarget(text)
			if err != nil {
				return err
			}
			targets = append(targets, target)
		}
		b, err := in.options.serving(*ip, *port)
		if err != nil {
			return err
		}
		if b.autonat, err = autonatConfig(*autonat, len(dials) > 0); err != nil {
			return err
		}
		if *web {
			server, err := startWebServer()
			if err != nil {
				return err
			}
			defer server.Close()
			b.protocols["http"] = server.config()
		}
		b.bare, b.dht, b.pubsub, b.discovery = *noIdentify, f, topics.config(), finders.config()
		if err := places.apply(&b); err != nil {
			return err
		}
		n, err := b.start(ctx)
		if err != nil {
			return err
		}
		defer n.Close()
		setup, cancel := in.withTimeout(ctx)
		defer cancel()
		if err := places.wait(setup, n); err != nil {
			return err
		}
		d := n.dht(f)
		t, err := n.startTalk(topics)
		if err != nil {
			return err
		}
		defer t.Close()
		in.out.emit(n.ready())
		if !*quiet {
			in.out.tell(n)
		}

		for _, target := range targets {
			if _, err := n.Connect(setup, target); err != nil {
				return fmt.Errorf("connect: %w", err)
			}
		}
		in.serve(ctx, n, d, t)
		return nil
	}
}

// serving returns the blueprint of a node that listens and serves what every
// peer serves.
func (o *options) serving(ip string, port int) (blueprint, error) {
	b, err := o.blueprint()
	if err != nil {
		return b, err
	}
	if b.transports, err = o.namedTransports(); err != nil {
		return b, err
	}
	b.protocols = map[string]json.RawMessage{}
	for _, name := range []string{"ping", "perf", "echo"} {
		b.protocols[name] = json.RawMessage("{}")
	}
	b.listen, err = listenAddrs(b.transports, ip, port)
	return b, err
}

// ready returns the first line: every address that others can dial.
func (n *node) ready() ready {
	r := ready{PeerID: n.ID(), Addrs: []string{}}
	for _, a := range n.Addrs() {
		r.Addrs = append(r.Addrs, peer.JoinAddr(a, n.ID()).String())
	}
	if s, ok := core.Find[interface{ Addrs() []net.Addr }](n); ok {
		r.Delegated = "http://" + s.Addrs()[0].String()
	}
	return r
}

// tell writes connections as they come and go. The node waits for each line to
// be written, so whoever asks for events must read them.
func (l *lines) tell(n *node) {
	core.On(n, func(e core.Connected) {
		l.emit(connected{
			Event: "peer:connect", Peer: e.Conn.RemotePeer(), Addr: e.Conn.RemoteMultiaddr().String(),
			layers: layersOf(e.Conn), Limited: e.Conn.Stat().Limited,
		})
	})
	core.On(n, func(e core.Disconnected) {
		l.emit(disconnected{Event: "peer:disconnect", Peer: e.Conn.RemotePeer(), Addr: e.Conn.RemoteMultiaddr().String()})
	})
}
