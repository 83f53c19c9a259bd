// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/peer"
	_ "github.com/xnode-p2p/xnode/modules/standard"
)

// blueprint is what a node is made of.
type blueprint struct {
	key        peer.PrivateKey
	transports []transport
	securities []string
	muxers     []string
	network    string // file with the key of a private network; empty for none
	listen     []ma.Multiaddr
	// protocols are the modules to serve, with their configurations.
	protocols map[string]json.RawMessage
	// relay is the configuration of nat.relay; nil leaves it out.
	relay json.RawMessage
	punch bool
	// autonat is the configuration of nat.autonat; nil leaves it out.
	autonat json.RawMessage
	// pubsub is the module for messages on topics, with its configuration.
	pubsub map[string]json.RawMessage
	dht    dhtFlags
	// discovery are the modules that find peers, with their configurations.
	discovery map[string]json.RawMessage
	// bare leaves out identify, in either direction.
	bare bool
}

// node is a running host with limits that no benchmark reaches.
type node struct {
	*host.Host
	unload context.CancelFunc // lets the modules go, after the host
}

// blueprint returns what the options say of a node, without its transports.
func (o *options) blueprint() (blueprint, error) {
	key, err := o.identity()
	if err != nil {
		return blueprint{}, err
	}
	securities, err := o.securities()
	if err != nil {
		return blueprint{}, err
	}
	muxers, err := o.muxers()
	if err != nil {
		return blueprint{}, err
	}
	return blueprint{key: key, securities: securities, muxers: muxers, network: o.network}, nil
}

// start makes the node. It loads its modules from the registry, as a
// configuration does.
func (b blueprint) start(ctx context.Context) (*node, error) {
	h, err := host.New(host.Settings{Key: b.key, NoIdentify: b.bare, WatchNetwork: len(b.discovery) > 0})
	if err != nil {
		return nil, err
	}
	loading, unload := caddy.NewContext(caddy.Context{Context: context.WithoutCancel(ctx)})
	n := &node{h, unload}
	logs := new(core.Logs)
	plan, err := b.plan(logs.WithLogs(loading))
	if err == nil {
		logs.Redirect(func(caddy.Module) slog.Handler { return slog.DiscardHandler })
		_, err = h.Acquire(ctx, plan)
	}
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// Close stops the node and waits for it.
func (n *node) Close() error {
	err := n.Host.Close()
	n.unload()
	return err
}

func (b blueprint) plan(l core.Loader) (*host.Plan, error) {
	p := &host.Plan{Listen: b.listen, Agent: "xnode-interop"}
	var err error
	if p.Transports, err = core.Map[core.Transport](moduleConfigs(b.transports)).Load(l); err != nil {
		return nil, fmt.Errorf("transports: %w", err)
	}
	securities := listOf[core.Security](b.securities)
	if b.network != "" {
		securities = append(securities, fmt.Appendf(nil, `{%q:"pnet","key_file":%q,"allow_readable":true}`, core.InlineKey, b.network))
	}
	if p.Securities, err = securities.Load(l); err != nil {
		return nil, fmt.Errorf("security: %w", err)
	}
	if p.Muxers, err = listOf[core.Muxer](b.muxers).Load(l); err != nil {
		return nil, fmt.Errorf("muxers: %w", err)
	}
	if err := errors.Join(b.planAutoNAT(p, l), b.planRelay(p, l)); err != nil {
		return nil, fmt.Errorf("nat: %w", err)
	}
	served, err := core.Map[core.Protocol](b.protocols).Load(l)
	if err != nil {
		return nil, fmt.Errorf("protocols: %w", err)
	}
	for _, m := range served {
		p.Services = append(p.Services, core.Loaded[core.Service]{Name: m.Name, Module: m.Module})
	}
	topics, err := core.Map[core.PubSub](b.pubsub).Load(l)
	if err != nil {
		return nil, fmt.Errorf("pubsub: %w", err)
	}
	for _, m := range topics {
		p.Services = append(p.Services, core.Loaded[core.Service]{Name: m.Name, Module: m.Module})
	}
	if err := b.planDHT(p, l); err != nil {
		return nil, fmt.Errorf("routing: %w", err)
	}
	finders, err := core.Map[core.Discoverer](b.discovery).Load(l)
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	for _, m := range finders {
		p.Services = append(p.Services, core.Loaded[core.Service]{Name: m.Name, Module: m.Module})
	}
	return p, unlimited(p)
}

// planDHT adds what routes to a plan, and where a DHT keeps what it is told.
func (b blueprint) planDHT(p *host.Plan, l core.Loader) error {
	configs, err := b.dht.routers()
	if err != nil || len(configs) == 0 {
		return err
	}
	stores, err := core.Map[core.Storage]{"memory": json.RawMessage("{}")}.Load(l)
	if err != nil {
		return err
	}
	p.Services = append(p.Services, core.Loaded[core.Service]{Name: stores[0].Name, Module: stores[0].Module})
	routers, err := core.Map[core.Routing](configs).Load(l)
	if err != nil {
		return err
	}
	for _, r := range routers {
		p.Services = append(p.Services, core.Loaded[core.Service]{Name: r.Name, Module: r.Module})
	}
	return nil
}

func listOf[T any](names []string) core.List[T] {
	list := core.List[T]{}
	for _, name := range names {
		list = append(list, fmt.Appendf(nil, `{%q:%q}`, core.InlineKey, name))
	}
	return list
}

// unlimited raises the limits of a plan to where they count but never refuse.
func unlimited(p *host.Plan) error {
	const many, bytes = 1 << 24, 1 << 44
	l := &p.Limits
	l.Memory, l.MemoryPerPeer, l.MemoryPerConnection = bytes, bytes, bytes
	l.Connections, l.InboundConnections, l.Target = 2*many, many, many
	l.Handshakes, l.ConnectionsPerPeer = many, many
	l.ConnectionsPerSubnet, l.ConnectRate, l.ConnectBurst = many, many, many
	l.Streams, l.InboundStreams = 2*many, many
	l.StreamsPerPeer, l.StreamsPerConnection = many, many
	l.StreamsPerProtocol, l.StreamsPerProtocolPerPeer = many, many
	if err := errors.Join(l.Provision(), l.Validate()); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	return nil
}
