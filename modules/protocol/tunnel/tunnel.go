// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package tunnel carries connections of other programs over streams: what
// listens on one node's machine is reached from another's, without a public
// address, encrypted, and only by the peers that may.
//
// The streams are those of kubo's p2p commands: a protocol of one's own, such as
// /x/ssh, and on it the bytes of a connection, as they are.
//
//	"protocols": {"tunnel": {"serve": {"/x/ssh": {"to": "/ip4/127.0.0.1/tcp/22", "allow": ["12D3KooW…"]}}}}
//	"protocols": {"tunnel": {"forward": [{"protocol": "/x/ssh", "from": "/ip4/127.0.0.1/tcp/2222", "peer": "12D3KooW…"}]}}
//
// The first is for the machine with the server, the second for the other; there,
// ssh -p 2222 127.0.0.1 is what it would be on the first. 'xnode p2p' opens and
// closes tunnels of a running node; those last until it stops, or the module's
// configuration changes.
//
// TCP and unix sockets are carried, and no UDP. Over limited connections, such
// as those through relays, it carries nothing.
package tunnel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
)

func init() { core.Register(new(Tunnel), core.Beta) }

const (
	// maxTunnels bounds how many tunnels may be opened.
	maxTunnels = 1000
	// dialTimeout bounds the dial of what a tunnel leads to.
	dialTimeout = 10 * time.Second
)

// Tunnel is the xnode.protocol.tunnel module.
type Tunnel struct {
	// Serve are the ends where servers are: what peers reach under a protocol,
	// which begins with /x/.
	// Default: none.
	Serve map[string]Serve `json:"serve,omitempty"`
	// Forward are the other ends: where this machine's programs connect to.
	// Default: none.
	Forward []Forward `json:"forward,omitempty"`
	// MaxConnections is how many connections are carried at a time, each way.
	// Default: 256.
	MaxConnections int `json:"max_connections,omitempty"`

	log *slog.Logger

	node core.Node
	stop context.CancelFunc
	ctx  func() context.Context // that of the connections, which ends with Close

	mu      sync.Mutex
	served  map[string]*served // bounded by maxTunnels, as is the next
	forward map[string]*forwarded
	closed  bool
}

// Serve is an end where a server is.
type Serve struct {
	// To is the server's address, such as /ip4/127.0.0.1/tcp/22 or
	// /unix/run/app.sock. It must be given. Placeholders are expanded.
	To string `json:"to"`
	// Allow are the IDs of the peers that may reach it; ["*"] lets everybody.
	// It must be given.
	Allow []string `json:"allow"`
}

// Forward is an end where programs connect to.
type Forward struct {
	// Protocol is the one that the other node serves. It must be given.
	Protocol string `json:"protocol"`
	// From is the address to listen on, such as /ip4/127.0.0.1/tcp/2222 or
	// /unix/run/app.sock. It must be given. Placeholders are expanded.
	From string `json:"from"`
	// Peer is the ID of the other node, or an address that ends in /p2p/ID. It
	// must be given.
	Peer string `json:"peer"`
}

// CaddyModule implements [caddy.Module].
func (*Tunnel) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.protocol.tunnel", New: func() caddy.Module { return new(Tunnel) }}
}

// Provision implements [caddy.Provisioner].
func (t *Tunnel) Provision(ctx caddy.Context) error {
	t.log = core.Logger(ctx)
	if t.MaxConnections == 0 {
		t.MaxConnections = 256
	}
	return nil
}

// Validate implements [caddy.Validator].
func (t *Tunnel) Validate() error {
	if t.MaxConnections < 1 {
		return fmt.Errorf("max_connections: %d would carry nothing; the least is 1", t.MaxConnections)
	}
	if len(t.Serve)+len(t.Forward) > maxTunnels {
		return fmt.Errorf("%d tunnels; the most is %d", len(t.Serve)+len(t.Forward), maxTunnels)
	}
	var errs []error
	for protocol, s := range t.Serve {
		if _, err := t.newServed(protocol, s); err != nil {
			errs = append(errs, fmt.Errorf("serve: %s: %w", protocol, err))
		}
	}
	seen := make(map[string]bool)
	for i, f := range t.Forward {
		w, err := t.newForwarded(f)
		if err == nil && seen[w.key()] {
			err = fmt.Errorf("from: %s is listened on twice; choose another one", f.From)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("forward/%d: %w", i, err))
			continue
		}
		seen[w.key()] = true
	}
	return errors.Join(errs...)
}

// Start implements [core.Service].
func (t *Tunnel) Start(_ context.Context, n core.Node) error {
	ctx, cancel := context.WithCancel(context.Background())
	t.node, t.stop, t.ctx = n, cancel, func() context.Context { return ctx }
	t.served, t.forward = make(map[string]*served), make(map[string]*forwarded)
	for protocol, s := range t.Serve {
		if err := t.listen(protocol, s); err != nil {
			return fmt.Errorf("serve: %s: %w", protocol, err)
		}
	}
	for i, f := range t.Forward {
		if _, err := t.open(f); err != nil {
			return fmt.Errorf("forward/%d: %w", i, err)
		}
	}
	return nil
}

// Close implements [core.Service].
func (t *Tunnel) Close() error {
	if t.stop == nil {
		return nil
	}
	t.mu.Lock()
	t.closed = true
	served, forward := t.served, t.forward
	t.served, t.forward = nil, nil
	t.mu.Unlock()
	t.stop()
	var errs []error
	for _, s := range served {
		s.remove()
	}
	for _, f := range forward {
		errs = append(errs, f.close())
	}
	return errors.Join(errs...)
}

var (
	_ core.Protocol  = (*Tunnel)(nil)
	_ core.Commander = (*Tunnel)(nil)
)
