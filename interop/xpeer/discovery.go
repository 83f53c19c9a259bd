// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"

	"github.com/xnode-p2p/xnode/core"
)

// discoveryFlags are those of listen that let peers find each other.
type discoveryFlags struct {
	mdns       bool
	interfaces list // for mDNS; empty: the usual ones
	rendezvous string
}

func (f *discoveryFlags) define(flags *flag.FlagSet) {
	flags.BoolVar(&f.mdns, "mdns", false, "find peers on the local networks; a line \"discovered\" then tells which")
	flags.Var(&f.interfaces, "mdns-interfaces", "network interfaces for --mdns, comma separated; default: all but the loopback one")
	flags.StringVar(&f.rendezvous, "rendezvous", "", "server makes the node a rendezvous point")
}

func (f *discoveryFlags) check() error {
	if f.rendezvous != "" && f.rendezvous != "server" {
		return usagef("--rendezvous %q: want server", f.rendezvous)
	}
	for name, want := range map[string]bool{"mdns": f.mdns, "rendezvous": f.rendezvous != ""} {
		if want && !inBuild[core.Discoverer](name) {
			return absent("--" + name)
		}
	}
	return nil
}

// config are the modules of a node, with their configurations. Peers are found,
// not connected.
func (f *discoveryFlags) config() map[string]json.RawMessage {
	modules := map[string]json.RawMessage{}
	if f.mdns {
		modules["mdns"], _ = json.Marshal(map[string]any{"connect": 0, "interfaces": append([]string{}, f.interfaces...)})
	}
	if f.rendezvous != "" {
		modules["rendezvous"] = json.RawMessage(`{"server": {"unsigned": true}}`) // for py-libp2p
	}
	return modules
}

// discovered is the answer to a line of that name.
type discovered struct {
	Discovered []found `json:"discovered"`
}

func (n *node) discovered() discovered {
	d := discovered{[]found{}}
	for _, m := range n.Modules() {
		if finder, ok := m.(core.PeerDiscovery); ok {
			for _, e := range finder.Discovered() {
				d.Discovered = append(d.Discovered, foundOf(e.Peer))
			}
		}
	}
	return d
}

// rendezvousUsage is what follows the address of the point.
const rendezvousUsage = "register NS | discover NS"

// rendezvousCommand asks a rendezvous point for one thing. The node listens: who
// registers must be reachable.
func rendezvousCommand(flags *flag.FlagSet) body {
	legacy := flags.Bool("legacy-records", false, "register as rust-libp2p does, whose nodes read no other records")
	return func(ctx context.Context, in *invocation) error {
		if len(in.args) != 3 {
			return usagef("want an address and %s", rendezvousUsage)
		}
		verb, namespace := in.args[1], in.args[2]
		if verb != "register" && verb != "discover" {
			return usagef("rendezvous %s: want %s", verb, rendezvousUsage)
		}
		target, err := parseTarget(in.args[0])
		if err != nil {
			return err
		}
		if len(in.options.transports) == 0 {
			t, err := in.options.transportsFor(target.Addrs[0])
			if err != nil {
				return err
			}
			in.options.transports = list{t[0].name}
		}
		b, err := in.options.serving("127.0.0.1", 0)
		if err != nil {
			return err
		}
		config, err := json.Marshal(map[string]any{"points": []string{in.args[0]}, "connect": 0, "unsigned": true, "legacy_records": *legacy})
		if err != nil {
			return err
		}
		b.discovery = map[string]json.RawMessage{"rendezvous": config}
		n, err := b.start(ctx)
		if err != nil {
			return err
		}
		defer n.Close()
		meeting, ok := core.Find[core.Meeting](n)
		if !ok {
			return errors.New("no rendezvous in the node")
		}
		if verb == "register" {
			ttl, err := meeting.Advertise(ctx, namespace, 0)
			if err != nil {
				return err
			}
			in.out.emit(map[string]any{"ttl": int(ttl.Seconds())})
			return nil
		}
		peers := []found{}
		for p, err := range meeting.FindPeers(ctx, namespace, 0) {
			if err != nil {
				return fmt.Errorf("discover: %w", err)
			}
			peers = append(peers, foundOf(p))
		}
		in.out.emit(map[string]any{"peers": peers})
		return nil
	}
}
