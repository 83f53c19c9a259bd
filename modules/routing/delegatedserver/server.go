// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package delegatedserver answers browsers, and others that cannot ask a network
// of peers themselves, over HTTP: who has content, where peers are, and what the
// records of IPNS are.
//
// Spec: https://specs.ipfs.tech/routing/http-routing-v1/
//
//	"routing": {"kad": {}, "delegatedserver": {"listen": ["/ip4/127.0.0.1/tcp/8190"]}}
//
// Whatever routes in the node gives the answers. The module finds nothing itself,
// but speaks the format of routing.delegated, which asks such servers, and so is
// of the same kind. It speaks HTTP without TLS: put it behind a server that does
// TLS to let everybody in; that server is one client then, so raise
// max_requests_per_client and rate.
package delegatedserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/record"
)

func init() { core.Register(new(Server), core.Alpha) }

// Server is the xnode.routing.delegatedserver module.
type Server struct {
	// Listen are the TCP addresses to listen on.
	// Default: ["/ip4/127.0.0.1/tcp/8190"].
	Listen []string `json:"listen,omitempty"`
	// Timeout bounds the search for an answer. Default: "30s".
	Timeout core.Duration `json:"timeout,omitempty"`
	// MaxRequests is how many requests are served at a time. Default: 256.
	MaxRequests int `json:"max_requests,omitempty"`
	// MaxRequestsPerClient is how many of one IP address are, or of one /64 of
	// IPv6. Default: 32.
	MaxRequestsPerClient int `json:"max_requests_per_client,omitempty"`
	// Rate is how many requests of one address are served in a second; four
	// times as many may come at once. Default: 50.
	Rate int `json:"rate,omitempty"`
	// Records are the modules that check the records that clients put, and say
	// how long those may be cached. Default: {"ipns": {}}, if it is in the binary.
	Records core.Map[core.RecordValidator] `json:"records,omitempty"`

	log       *slog.Logger
	addresses []string // of Listen, as package net has them
	records   record.Validators

	node    core.Node
	routers core.Routers
	gate    *gate
	mux     http.Handler
	ports   []*port
	release []func() error
	done    context.Context // ends with the module
	stop    context.CancelFunc

	mu      sync.Mutex
	closed  bool
	serving sync.WaitGroup
}

// CaddyModule implements [caddy.Module].
func (*Server) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.routing.delegatedserver", New: func() caddy.Module { return new(Server) }}
}

// Provision implements [caddy.Provisioner].
func (s *Server) Provision(ctx caddy.Context) error {
	s.log = core.Logger(ctx)
	if s.Listen == nil {
		s.Listen = []string{"/ip4/127.0.0.1/tcp/8190"}
	}
	if s.Timeout == 0 {
		s.Timeout = core.Duration(30 * time.Second)
	}
	for p, value := range map[*int]int{&s.MaxRequests: 256, &s.MaxRequestsPerClient: 32, &s.Rate: 50} {
		if *p == 0 {
			*p = value
		}
	}
	for i, text := range s.Listen {
		address, err := tcpAddress(text)
		if err != nil {
			return fmt.Errorf("listen/%d: %w", i, err)
		}
		s.addresses = append(s.addresses, address)
	}
	if s.Records == nil {
		if _, err := caddy.GetModule("xnode.record.ipns"); err == nil {
			s.Records = core.Map[core.RecordValidator]{"ipns": []byte("{}")}
		}
	}
	loaded, err := s.Records.Load(ctx)
	if err != nil {
		return fmt.Errorf("records: %w", err)
	}
	s.records = make(record.Validators)
	for _, l := range loaded {
		s.records[l.Name] = l.Module
	}
	return nil
}

// tcpAddress reads a multiaddr of a TCP port.
func tcpAddress(text string) (string, error) {
	a, err := ma.NewMultiaddr(text)
	if err != nil {
		return "", fmt.Errorf("%q is no multiaddr: %w; an example is /ip4/127.0.0.1/tcp/8190", text, err)
	}
	network, address, err := manet.DialArgs(a)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return "", fmt.Errorf("%s is no TCP port of an IP address; an example is /ip4/127.0.0.1/tcp/8190", a)
	}
	return address, nil
}

// Validate implements [caddy.Validator].
func (s *Server) Validate() error {
	if len(s.Listen) == 0 {
		return errors.New("listen: there is no address; name one, or remove the module")
	}
	for name, n := range map[string]int{"max_requests": s.MaxRequests, "max_requests_per_client": s.MaxRequestsPerClient, "rate": s.Rate} {
		if n < 1 {
			return fmt.Errorf("%s: %d is too few; want at least 1", name, n)
		}
	}
	if s.MaxRequests > maxClients/2 {
		return fmt.Errorf("max_requests: %d is too many; want %d at most", s.MaxRequests, maxClients/2)
	}
	return nil
}

// Start implements [core.Service].
func (s *Server) Start(_ context.Context, n core.Node) error {
	s.prepare(n)
	for _, address := range s.addresses {
		p, release, err := core.Share(n, portKey(address), func() (*port, error) { return open(address, s.log) })
		if err != nil {
			return errors.Join(fmt.Errorf("listen %s: %w", address, err), s.Close())
		}
		p.add(s)
		s.ports, s.release = append(s.ports, p), append(s.release, release)
		s.log.Info("answers requests", "listen", p.listener.Addr().String())
	}
	return nil
}

// prepare makes the server one of a node.
func (s *Server) prepare(n core.Node) {
	s.node, s.routers = n, core.Routers{Of: others{n, s}}
	s.gate = &gate{all: s.MaxRequests, each: s.MaxRequestsPerClient, rate: float64(s.Rate)}
	s.done, s.stop = context.WithCancel(context.Background())
	s.mux = s.routes()
}

// others are the modules of a node but one.
type others struct {
	of  core.Modules
	one any
}

// Modules implements [core.Modules].
func (o others) Modules() []any {
	var list []any
	for _, m := range o.of.Modules() {
		if m != o.one {
			list = append(list, m)
		}
	}
	return list
}

// Addrs are the addresses that are listened on.
func (s *Server) Addrs() []net.Addr {
	var list []net.Addr
	for _, p := range s.ports {
		list = append(list, p.listener.Addr())
	}
	return list
}

// Close implements [core.Service].
func (s *Server) Close() error {
	if s.stop == nil {
		return nil
	}
	for _, p := range s.ports {
		p.remove(s)
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.serving.Wait()
	var errs []error
	for _, release := range s.release {
		errs = append(errs, release())
	}
	return errors.Join(errs...)
}

// begin counts a request that is served, unless the module closes.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.serving.Add(1)
	return true
}

var (
	_ core.Routing      = (*Server)(nil)
	_ caddy.Provisioner = (*Server)(nil)
	_ caddy.Validator   = (*Server)(nil)
	_ http.Handler      = (*Server)(nil)
)
