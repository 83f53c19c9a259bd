// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package autonat finds out whether the node can be reached from outside, and at
// which of its addresses, by having peers dial it; and dials peers that ask.
//
// Spec: https://github.com/libp2p/specs/blob/master/autonat/autonat-v1.md,
// https://github.com/libp2p/specs/blob/master/autonat/autonat-v2.md
//
//	"nat": {"autonat": {"roles": ["client", "server"], "versions": [1, 2]}}
//
// It asks those peers that the node is connected to, and connects to none itself.
// Peers may lie: a verdict takes answers from several networks, and one that says
// that an address can be reached counts, with version 2, only if the node itself
// has seen the dial. A server dials with a key made for it and from a port of its
// own.
package autonat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
)

func init() { core.Register(new(Service), core.Alpha) }

// The IDs of the protocols.
const (
	DialID1       = "/libp2p/autonat/1.0.0"
	DialRequestID = "/libp2p/autonat/2/dial-request"
	DialBackID    = "/libp2p/autonat/2/dial-back"
)

const (
	roleClient = "client"
	roleServer = "server"

	defaultConfirmations = 3
	defaultRecheck       = core.Duration(15 * time.Minute)
	defaultRetry         = core.Duration(5 * time.Minute)

	defaultRequests      = 60
	defaultPeerRequests  = 12
	defaultDataRequests  = 12
	defaultRequests1     = 30
	defaultPeerRequests1 = 3
	// maxRequests bounds what may be allowed each minute: so much is kept note of.
	maxRequests = 6000
)

// Service is the xnode.nat.autonat module.
type Service struct {
	// Roles are what the module does: "client" asks others, "server" answers
	// others. Default: both.
	Roles []string `json:"roles,omitempty" xnode:"one_of=client|server"`
	// Versions are those of the protocol that it speaks. Version 1 says of the
	// node as a whole whether it can be reached, version 2 of each address.
	// Default: 1 and 2.
	Versions []int `json:"versions,omitempty"`
	// Confirmations is from how many networks (IPv4 /24, IPv6 /56) the same
	// answer has to come before it is believed. In a closed network with
	// fewer, it has to be less, or nothing is ever known. From 1 to 8.
	// Default: 3.
	Confirmations int `json:"confirmations,omitempty"`
	// Recheck is how long a verdict is believed before it is checked again.
	// From 1s. Default: 15m.
	Recheck core.Duration `json:"recheck,omitempty"`
	// Retry is how long a network is not asked again for what it has answered
	// while there is no verdict. From 1s to recheck. Default: 5m.
	Retry core.Duration `json:"retry,omitempty"`
	// AllowPrivate lets the client ask about addresses of local networks and
	// of the own machine, and the server dial them. It is for closed networks;
	// on the Internet, it lets anybody have this node dial what is beside it.
	// Default: false.
	AllowPrivate bool `json:"allow_private,omitempty"`
	// Server bounds what is done for others.
	Server *ServerConfig `json:"server,omitempty"`

	log     *slog.Logger
	routed  func(netip.Addr) bool                  // there is a way to the address
	pause   func(most time.Duration) time.Duration // before a dial that was paid for
	client  *client
	closing sync.Once
	remove  []func()
}

// ServerConfig bounds what is done for those who ask.
type ServerConfig struct {
	// Requests is how many requests of version 2 are served each minute.
	// From 1 to 6000, as those below. Default: 60.
	Requests int `json:"requests,omitempty"`
	// PeerRequests is how many of them one peer may make. Default: 12.
	PeerRequests int `json:"peer_requests,omitempty"`
	// DataRequests is how many of them may be about an IP address that the
	// peer does not ask from, for which it has to send 30 to 100 kB first.
	// Default: 12.
	DataRequests int `json:"data_requests,omitempty"`
	// Requests1 is how many requests of version 1 are served each minute.
	// Default: 30.
	Requests1 int `json:"requests_v1,omitempty"`
	// PeerRequests1 is how many of them one peer may make. Default: 3.
	PeerRequests1 int `json:"peer_requests_v1,omitempty"`
}

// CaddyModule implements [caddy.Module].
func (*Service) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.nat.autonat", New: func() caddy.Module { return new(Service) }}
}

// Provision implements [caddy.Provisioner].
func (s *Service) Provision(ctx caddy.Context) error {
	if s.Roles == nil {
		s.Roles = []string{roleClient, roleServer}
	}
	if s.Versions == nil {
		s.Versions = []int{1, 2}
	}
	if s.Confirmations == 0 {
		s.Confirmations = defaultConfirmations
	}
	if s.Recheck == 0 {
		s.Recheck = defaultRecheck
	}
	if s.Retry == 0 {
		s.Retry = min(defaultRetry, s.Recheck)
	}
	if s.Server == nil {
		s.Server = new(ServerConfig)
	}
	for _, v := range s.Server.values() {
		if *v.value == 0 {
			*v.value = v.standard
		}
	}
	s.log = core.Logger(ctx)
	s.routed, s.pause = hasRoute, rand.N[time.Duration]
	return nil
}

// values are the settings of a server, their names and defaults.
func (c *ServerConfig) values() []rateSetting {
	return []rateSetting{
		{"requests", &c.Requests, defaultRequests},
		{"peer_requests", &c.PeerRequests, defaultPeerRequests},
		{"data_requests", &c.DataRequests, defaultDataRequests},
		{"requests_v1", &c.Requests1, defaultRequests1},
		{"peer_requests_v1", &c.PeerRequests1, defaultPeerRequests1},
	}
}

type rateSetting struct {
	name     string
	value    *int
	standard int
}

// Validate implements [caddy.Validator].
func (s *Service) Validate() error {
	if len(s.Roles) == 0 || len(s.Versions) == 0 {
		return errors.New("roles and versions must not be empty; remove the module instead")
	}
	for _, r := range s.Roles {
		if r != roleClient && r != roleServer {
			return fmt.Errorf("roles: %q: want %q or %q", r, roleClient, roleServer)
		}
	}
	for _, v := range s.Versions {
		if v != 1 && v != 2 {
			return fmt.Errorf("versions: %d: want 1 or 2", v)
		}
	}
	switch {
	case s.Confirmations < 1 || s.Confirmations > maxVotes/2:
		return fmt.Errorf("confirmations %d: want 1 to %d", s.Confirmations, maxVotes/2)
	case s.Recheck < core.Duration(time.Second):
		return fmt.Errorf("recheck %s: want at least 1s", s.Recheck)
	case s.Retry < core.Duration(time.Second) || s.Retry > s.Recheck:
		return fmt.Errorf("retry %s: want 1s to recheck, %s", s.Retry, s.Recheck)
	}
	for _, v := range s.Server.values() {
		if *v.value < 1 || *v.value > maxRequests {
			return fmt.Errorf("server/%s %d: want 1 to %d", v.name, *v.value, maxRequests)
		}
	}
	return nil
}

// Start implements [core.Service].
func (s *Service) Start(_ context.Context, n core.Node) error {
	first, second := slices.Contains(s.Versions, 1), slices.Contains(s.Versions, 2)
	if slices.Contains(s.Roles, roleServer) {
		v := newServer(s, n)
		if first {
			s.remove = append(s.remove, n.Handle(DialID1, v.serve1, core.HandleAtMost(streamsPerPeer)))
		}
		if second {
			s.remove = append(s.remove, n.Handle(DialRequestID, v.serve2, core.HandleAtMost(streamsPerPeer)))
		}
	}
	if slices.Contains(s.Roles, roleClient) {
		s.client = newClient(s, n, first, second)
		if second {
			s.remove = append(s.remove, n.Handle(DialBackID, s.client.serveBack, core.HandleAtMost(streamsPerPeer)))
		}
		s.client.start()
	}
	return nil
}

// Close implements [core.Service]. Reach may be called meanwhile.
func (s *Service) Close() error {
	s.closing.Do(func() {
		for _, remove := range s.remove {
			remove()
		}
		if s.client != nil {
			s.client.close(s)
		}
	})
	return nil
}

// Reach implements [core.ReachReporter].
func (s *Service) Reach() core.Reach {
	if s.client == nil {
		return core.Reach{}
	}
	return s.client.reach()
}

var (
	_ core.NAT           = (*Service)(nil)
	_ core.ReachReporter = (*Service)(nil)
	_ caddy.Provisioner  = (*Service)(nil)
	_ caddy.Validator    = (*Service)(nil)
)
