// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// ready is the first line of a serving node.
type ready struct {
	PeerID string   `json:"peer_id"`
	Addrs  []string `json:"addrs"`
}

// connected is the event of a connection that came up, whichever side dialled.
type connected struct {
	Event string `json:"event"`
	Peer  string `json:"peer"`
	Addr  string `json:"addr"`
	layers
	Limited bool `json:"limited"`
}

type disconnected struct {
	Event string `json:"event"`
	Peer  string `json:"peer"`
	Addr  string `json:"addr"`
}

func listenCommand(flags *flag.FlagSet) body {
	ip := flags.String("ip", "127.0.0.1", "address to listen on")
	port := flags.Int("port", 0, "port to listen on, 0 for any; a second transport on the same kind of socket takes the next one")
	block := flags.Int("block", defaultBlock, "bytes a read or a write of perf and echo")
	quiet := flags.Bool("quiet", false, "no event lines, for benchmarks")
	noIdentify := flags.Bool("no-identify", false, "a bare swarm that neither answers nor asks identify, for benchmarks of the handshake alone")
	var f dhtFlags
	flags.StringVar(&f.mode, "dht", "", "take part in the DHT as server or as client; a line \"dht find-peer ID\" and the like then runs an operation")
	f.define(flags)
	var topics pubsubFlags
	flags.StringVar(&topics.router, "pubsub", "", "gossipsub or floodsub; a line \"publish TEXT\" then publishes, and \"messages\" tells what has come")
	topics.define(flags)
	mdns := flags.Bool("mdns", false, "find peers on the local networks; a line \"discovered\" then tells which")
	var places relayFlags
	places.define(flags)
	serveHTTP := flags.Bool("http", false, "serve HTTP to peers: "+httpEchoID)
	autonat := flags.String("autonat", "", "find out how the node can be reached, and help others to: v1, v2 or both; a line \"reach\" then tells")
	var dials list
	flags.Var(&dials, "connect", "addresses to dial once listening, comma separated")

	return func(ctx context.Context, in *invocation) error {
		if len(in.args) != 0 {
			return usagef("unexpected argument %q", in.args[0])
		}
		if *block < 1 {
			return usagef("--block %d: want 1 or more", *block)
		}
		if err := errors.Join(f.check(), topics.check(), places.check()); err != nil {
			return err
		}
		if len(in.options.transports) == 0 {
			in.options.transports = list{"tcp"}
		}
		targets, err := addrInfos(dials)
		if err != nil {
			return err
		}
		n, err := in.startListening(*ip, *port, *noIdentify, places, *autonat)
		if err != nil {
			return err
		}
		defer n.Close()
		offer(n, *block)
		k, err := n.startDHT(f)
		if err != nil {
			return err
		}
		defer k.Close()
		t, err := n.startTalk(ctx, topics)
		if err != nil {
			return err
		}
		defer t.Close()
		l, err := n.startLAN(*mdns)
		if err != nil {
			return err
		}
		defer l.Close()
		w, err := n.watchReach(*autonat)
		if err != nil {
			return err
		}
		defer w.Close()
		h := n.startWeb(*serveHTTP)
		defer h.Close()
		first, err := n.ready()
		if err != nil {
			return err
		}
		setup, cancel := in.withTimeout(ctx)
		defer cancel()
		reserved, err := places.reserve(setup, n)
		if err != nil {
			return err
		}
		first.Addrs = append(first.Addrs, reserved...)
		in.out.emit(first)
		if !*quiet {
			n.Network().Notify(in.out.events())
		}

		for _, target := range targets {
			if err := n.Connect(setup, target); err != nil {
				return fmt.Errorf("connect %s: %w", target, err)
			}
		}
		in.serve(ctx, k, t, l, w)
		return nil
	}
}

func (in *invocation) startListening(ip string, port int, noIdentify bool, places relayFlags, autonat string) (*node, error) {
	kinds, err := in.options.namedTransports()
	if err != nil {
		return nil, err
	}
	addrs, err := listenAddrs(kinds, ip, port)
	if err != nil {
		return nil, err
	}
	key, err := in.options.identity()
	if err != nil {
		return nil, err
	}
	network, err := in.options.network()
	if err != nil {
		return nil, err
	}
	p := plan{key: key, kinds: kinds, security: in.options.security, network: network, listen: addrs, relay: places, autonat: autonat}
	if noIdentify {
		p.shape = bare
	}
	n, err := p.start()
	if err != nil {
		return nil, err
	}
	if open := len(slices.DeleteFunc(n.Network().ListenAddresses(), isRelayed)); open != len(addrs) {
		return nil, fmt.Errorf("listen: %d of %d addresses of %v could be had: %w", open, len(addrs), addrs, n.Close())
	}
	return n, nil
}

// ready returns the first line: every address others can dial, interfaces resolved.
func (n *node) ready() (ready, error) {
	addrs, err := n.Network().InterfaceListenAddresses()
	if err != nil {
		return ready{}, err
	}
	self, err := ma.NewComponent("p2p", n.ID().String())
	if err != nil {
		return ready{}, err
	}
	r := ready{PeerID: n.ID().String()}
	for _, a := range slices.DeleteFunc(addrs, isRelayed) { // those behind relays come with their places
		r.Addrs = append(r.Addrs, a.Encapsulate(self).String())
	}
	return r, nil
}

// events returns a notifiee that writes connections as they come and go. It writes before the
// swarm goes on, so whoever asks for events must read them.
func (l *lines) events() network.Notifiee {
	return &network.NotifyBundle{
		ConnectedF: func(_ network.Network, c network.Conn) {
			l.emit(connected{
				Event: "peer:connect", Peer: c.RemotePeer().String(), Addr: c.RemoteMultiaddr().String(),
				layers: layersOf(c), Limited: c.Stat().Limited,
			})
		},
		DisconnectedF: func(_ network.Network, c network.Conn) {
			l.emit(disconnected{Event: "peer:disconnect", Peer: c.RemotePeer().String(), Addr: c.RemoteMultiaddr().String()})
		},
	}
}

func addrInfos(addrs list) ([]peer.AddrInfo, error) {
	var infos []peer.AddrInfo
	for _, a := range addrs {
		info, err := peer.AddrInfoFromString(a)
		if err != nil {
			return nil, usagef("address %q: %w", a, err)
		}
		infos = append(infos, *info)
	}
	return infos, nil
}
