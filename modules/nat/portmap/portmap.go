// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package portmap asks the router for ports, so that the node can be reached
// behind it: by PCP, NAT-PMP and UPnP IGD.
//
// Spec: https://www.rfc-editor.org/rfc/rfc6887, https://www.rfc-editor.org/rfc/rfc6886,
// http://upnp.org/specs/gw/UPnP-gw-InternetGatewayDevice-v2-Device.pdf
//
//	"nat": {"portmap": {}, "autonat": {}}
//
// It asks for the ports that are listened on at IPv4 addresses, renews them at half
// their time, and gives them back when the node stops. The default gateway alone is
// asked, and what it says of its address is not believed before autonat, if that
// runs, has found that the node can be reached there. It opens no firewall for
// IPv6.
package portmap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
)

func init() { core.Register(new(Service), core.Alpha) }

const (
	methodPCP    = "pcp"
	methodNATPMP = "nat-pmp"
	methodUPnP   = "upnp"

	defaultLifetime = core.Duration(time.Hour)
)

// methods are all ways to ask, the simplest first.
var methods = []string{methodPCP, methodNATPMP, methodUPnP}

// ssdp is where devices are looked for that speak UPnP.
var ssdp = netip.MustParseAddrPort("239.255.255.250:1900")

// Service is the xnode.nat.portmap module.
type Service struct {
	// Methods are how the router is asked, in this order until one works:
	// "pcp", "nat-pmp", "upnp". Default: all of them.
	Methods []string `json:"methods,omitempty" xnode:"one_of=pcp|nat-pmp|upnp"`
	// Lifetime is how long the router is asked to keep a port open, which it
	// does if the node dies. From 2m to 24h. Default: 1h.
	Lifetime core.Duration `json:"lifetime,omitempty"`

	log     *slog.Logger
	gateway func() (gateway, error)
	method  func(name string, g gateway) method
	mapper  *mapper
	closing sync.Once
}

// CaddyModule implements [caddy.Module].
func (*Service) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.nat.portmap", New: func() caddy.Module { return new(Service) }}
}

// Provision implements [caddy.Provisioner].
func (s *Service) Provision(ctx caddy.Context) error {
	if s.Methods == nil {
		s.Methods = slices.Clone(methods)
	}
	if s.Lifetime == 0 {
		s.Lifetime = defaultLifetime
	}
	s.log = core.Logger(ctx)
	s.gateway, s.method = defaultGateway, newMethod
	return nil
}

// newMethod is a way to ask a gateway.
func newMethod(name string, g gateway) method {
	at := netip.AddrPortFrom(g.router, port5351)
	switch name {
	case methodPCP:
		return pcp{at}
	case methodNATPMP:
		return natpmp{at}
	}
	return &upnp{gateway: g, search: ssdp}
}

// Validate implements [caddy.Validator].
func (s *Service) Validate() error {
	if len(s.Methods) == 0 {
		return errors.New("methods must not be empty; remove the module instead")
	}
	for i, m := range s.Methods {
		if !slices.Contains(methods, m) {
			return fmt.Errorf("methods/%d: %q: want one of %q", i, m, methods)
		}
	}
	if s.Lifetime < core.Duration(minLifetime) || s.Lifetime > core.Duration(24*time.Hour) {
		return fmt.Errorf("lifetime %s: want 2m to 24h", s.Lifetime)
	}
	return nil
}

// Start implements [core.Service].
func (s *Service) Start(_ context.Context, n core.Node) error {
	held, release, err := core.Share(n, holdingsKey{}, func() (*holdings, error) { return new(holdings), nil })
	if err != nil {
		return err
	}
	s.mapper = &mapper{Service: s, node: n, held: held, release: release, again: make(chan struct{}, 1)}
	s.mapper.start()
	return nil
}

// Close implements [core.Service]. PortMaps may be called meanwhile.
func (s *Service) Close() (err error) {
	s.closing.Do(func() {
		if s.mapper != nil {
			err = s.mapper.close()
		}
	})
	return err
}

// PortMaps implements [core.PortMapper].
func (s *Service) PortMaps() core.PortMaps {
	if s.mapper == nil {
		return core.PortMaps{}
	}
	return s.mapper.report()
}

var (
	_ core.NAT          = (*Service)(nil)
	_ core.PortMapper   = (*Service)(nil)
	_ caddy.Provisioner = (*Service)(nil)
	_ caddy.Validator   = (*Service)(nil)
)
