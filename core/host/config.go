// SPDX-License-Identifier: Apache-2.0 OR MIT

package host

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/internal/gater"
	"github.com/xnode-p2p/xnode/core/internal/limits"
	"github.com/xnode-p2p/xnode/core/internal/swarm"
)

// Config is the configuration of a node: the value of apps.xnode in the
// document. Every key has a default; {} is a complete configuration.
type Config struct {
	// Identity says where the node's private key comes from. The key itself
	// is never part of a configuration.
	// Default: {"module": "file"}, a key file in the data folder.
	Identity core.One[core.KeySource] `json:"identity,omitempty"`

	// Listen are the multiaddrs to accept connections on. Placeholders are
	// expanded. An empty list means: do not listen.
	// /p2p-circuit is behind relays, those that nat.relay chooses.
	// Default: ["/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1", "/p2p-circuit"],
	// free ports on all interfaces and relays, as far as transports has tcp and
	// quic and nat has relay.
	Listen []string `json:"listen,omitempty"`

	// Addresses says which addresses other peers are told.
	Addresses AddrsConfig `json:"addresses,omitzero"`

	// Transports carry connections.
	// Default: {"tcp": {}, "quic": {}}, as far as they are in the binary.
	Transports core.Map[core.Transport] `json:"transports,omitempty"`

	// Security are the secure channels, the preferred one first.
	// A private network (pnet) stands here too.
	// Default: [{"module": "noise"}, {"module": "tls"}], as far as they are in
	// the binary.
	Security core.List[core.Security] `json:"security,omitempty"`

	// Muxers are the stream multiplexers, the preferred one first.
	// Default: [{"module": "yamux"}].
	Muxers core.List[core.Muxer] `json:"muxers,omitempty"`

	// Storage keeps what is to outlive a run of the node: the peers it knows,
	// and whatever modules store.
	// Default: {"module": "bbolt"}, a file in the data folder, or else
	// {"module": "memory"}, as far as they are in the binary.
	Storage core.One[core.Storage] `json:"storage,omitempty"`

	// NAT are the modules that help the node to be reached.
	// Default: none.
	NAT core.Map[core.NAT] `json:"nat,omitempty"`

	// Routing are the modules that find peers and content.
	// Default: none.
	Routing core.Map[core.Routing] `json:"routing,omitempty"`

	// PubSub are the modules that carry messages on topics.
	// Default: none.
	PubSub core.Map[core.PubSub] `json:"pubsub,omitempty"`

	// Discovery are the modules that find peers to connect to.
	// Default: none.
	Discovery core.Map[core.Discoverer] `json:"discovery,omitempty"`

	// Protocols are the application protocols to serve.
	// Default: {"ping": {}}.
	Protocols core.Map[core.Protocol] `json:"protocols,omitempty"`

	// Limits bound what the node spends on its peers.
	Limits limits.Config `json:"limits,omitzero"`

	// Gater says which peers and addresses are refused.
	Gater gater.Config `json:"gater,omitzero"`

	// Dial says how the node dials.
	Dial swarm.DialConfig `json:"dial,omitzero"`

	// Agent is what identify tells peers about this program, in at most 256 bytes.
	// Default: "xnode/" and the version.
	Agent string `json:"agent,omitempty"`
}

// setDefaults fills in the sections that are missing, with modules that are in
// this binary.
func (c *Config) setDefaults() {
	if c.Identity == nil {
		c.Identity = core.One[core.KeySource](`{"module":"file"}`)
	}
	if c.Transports == nil {
		c.Transports = defaultMap[core.Transport]("tcp", "quic")
	}
	if c.Listen == nil {
		c.Listen = c.defaultListen()
	}
	if c.Security == nil {
		c.Security = defaultList[core.Security]("noise", "tls")
	}
	if c.Muxers == nil {
		c.Muxers = defaultList[core.Muxer]("yamux")
	}
	if c.Protocols == nil {
		c.Protocols = defaultMap[core.Protocol]("ping")
	}
	if c.Storage == nil {
		if s := defaultList[core.Storage]("bbolt", "memory"); len(s) > 0 {
			c.Storage = core.One[core.Storage](s[0])
		}
	}
}

// defaultListen is a free port of each transport that needs no settings.
func (c *Config) defaultListen() []string {
	list := []string{}
	for _, d := range []struct{ transport, addr string }{
		{"tcp", "/ip4/0.0.0.0/tcp/0"},
		{"quic", "/ip4/0.0.0.0/udp/0/quic-v1"},
	} {
		if _, ok := c.Transports[d.transport]; ok {
			list = append(list, d.addr)
		}
	}
	if _, ok := c.NAT["relay"]; ok {
		list = append(list, "/p2p-circuit")
	}
	return list
}

func defaultMap[T any](names ...string) core.Map[T] {
	m := core.Map[T]{}
	for _, n := range names {
		if inBinary[T](n) {
			m[n] = []byte("{}")
		}
	}
	return m
}

func defaultList[T any](names ...string) core.List[T] {
	l := core.List[T]{}
	for _, n := range names {
		if inBinary[T](n) {
			l = append(l, fmt.Appendf(nil, `{"module":%q}`, n))
		}
	}
	return l
}

func inBinary[T any](name string) bool {
	_, err := caddy.GetModule(core.Namespace[T]() + "." + name)
	return err == nil
}

// listenAddrs parses the addresses to listen on.
func (c *Config) listenAddrs() ([]ma.Multiaddr, error) {
	addrs := make([]ma.Multiaddr, 0, len(c.Listen))
	var errs []error
	for i, text := range c.Listen {
		a, err := parseListen(text)
		if err == nil && slices.ContainsFunc(addrs, a.Equal) {
			err = fmt.Errorf("%s is listed twice; remove one", a)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("listen/%d: %w", i, err))
			continue
		}
		addrs = append(addrs, a)
	}
	return addrs, errors.Join(errs...)
}

func parseListen(text string) (ma.Multiaddr, error) {
	text, err := core.Expand(text)
	if err != nil {
		return nil, err
	}
	a, err := ma.NewMultiaddr(text)
	if err != nil {
		return nil, fmt.Errorf("%q is no multiaddr: %w; an example is /ip4/0.0.0.0/tcp/4001", text, err)
	}
	return a, nil
}

// Plan loads the modules and returns what a host is to run.
func (c *Config) Plan(l core.Loader) (*Plan, error) {
	c.setDefaults()
	p := &Plan{Agent: c.Agent, Addresses: c.Addresses, Limits: c.Limits, Gater: c.Gater, Dial: c.Dial}
	var errs []error
	section := func(key string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	var err error
	if p.Listen, err = c.listenAddrs(); err != nil {
		errs = append(errs, err)
	}
	if err := p.provision(); err != nil {
		errs = append(errs, err)
	}
	c.Agent, c.Limits, c.Dial = p.Agent, p.Limits, p.Dial // what they are now that defaults are filled in
	_, err = gater.New(c.Gater)
	section("gater", err)
	p.Transports, err = c.Transports.Load(l)
	section("transports", err)
	p.Securities, err = c.Security.Load(l)
	section("security", err)
	p.Muxers, err = c.Muxers.Load(l)
	section("muxers", err)
	// Before all that keep something. Documents cannot say null, tests can.
	if c.Storage != nil && string(c.Storage) != "null" {
		s, err := c.Storage.Load(l)
		section("storage", err)
		if err == nil {
			p.Services = append(p.Services, core.Loaded[core.Service]{Name: s.Name, Module: s.Module})
		}
	}
	services(p, section, "nat", c.NAT, l)
	services(p, section, "routing", c.Routing, l)
	services(p, section, "pubsub", c.PubSub, l)
	services(p, section, "discovery", c.Discovery, l)
	services(p, section, "protocols", c.Protocols, l)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p, p.validate()
}

// services loads a section of services and adds them to the plan.
func services[T core.Service](p *Plan, section func(string, error), key string, m core.Map[T], l core.Loader) {
	loaded, err := m.Load(l)
	section(key, err)
	for _, s := range loaded {
		p.Services = append(p.Services, core.Loaded[core.Service]{Name: s.Name, Module: s.Module})
	}
}
