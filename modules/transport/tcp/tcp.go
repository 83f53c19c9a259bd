// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package tcp carries connections over TCP: /ip4/192.0.2.1/tcp/4001, /ip6/::1/tcp/4001.
//
// Spec: https://github.com/libp2p/specs/blob/master/addressing/README.md
//
//	"transports": {"tcp": {"connect_timeout": "5s"}}, "listen": ["/ip4/0.0.0.0/tcp/4001"]
//
// It dials from the port it listens on where it can, so that peers and NATs see
// one address for both. It resolves no names: the node does, before it dials. Its
// port may be that of transport websocket too: the first bytes of a connection
// tell whose it is.
package tcp

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/modules/transport/internal/tcpport"
)

func init() { core.Register(new(Transport), core.Beta) }

const (
	defaultConnectTimeout = core.Duration(5 * time.Second)
	// defaultKeepalive is what package net sets on every connection.
	defaultKeepalive = core.Duration(15 * time.Second)
	// maxKeepalive is the longest that Linux takes.
	maxKeepalive = core.Duration(32767 * time.Second)
)

// Transport is the xnode.transport.tcp module.
type Transport struct {
	// ConnectTimeout is how long one address may take to answer, from the
	// first packet to a TCP connection. Default: 5s.
	ConnectTimeout core.Duration `json:"connect_timeout,omitempty"`
	// Keepalive is how long a connection is silent before the operating
	// system asks the other side for a sign of life, and the pause between
	// such questions; after nine without an answer the connection is over.
	// From 1s to 9h. Default: 15s.
	Keepalive core.Duration `json:"keepalive,omitempty"`
	// NoReuse dials from any port instead of the one that is listened on.
	// Hole punching and the detection of one's public address work less
	// well without it. Default: false.
	NoReuse bool `json:"no_reuse,omitempty"`

	log    *slog.Logger
	own    core.ShareTable // in place of the node's, before Start
	shares core.Shares     // of the node
}

// CaddyModule implements [caddy.Module].
func (*Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.transport.tcp", New: func() caddy.Module { return new(Transport) }}
}

// Provision implements [caddy.Provisioner].
func (t *Transport) Provision(ctx caddy.Context) error {
	if t.ConnectTimeout == 0 {
		t.ConnectTimeout = defaultConnectTimeout
	}
	if t.Keepalive == 0 {
		t.Keepalive = defaultKeepalive
	}
	t.log = core.Logger(ctx)
	return nil
}

// Validate implements [caddy.Validator].
func (t *Transport) Validate() error {
	if t.Keepalive < core.Duration(time.Second) || t.Keepalive > maxKeepalive {
		return fmt.Errorf("keepalive %s: want 1s to 9h", t.Keepalive)
	}
	return nil
}

// Start implements [core.Service]. It makes the ports those of the node.
func (t *Transport) Start(_ context.Context, n core.Node) error {
	t.shares = n
	return nil
}

// Close implements [core.Service]. Listeners are closed by who opened them.
func (*Transport) Close() error { return nil }

// ports is where the open ports are kept.
func (t *Transport) ports() core.Shares {
	if t.shares == nil {
		return &t.own
	}
	return t.shares
}

// endpoint reads an address that ends with its port.
func endpoint(a ma.Multiaddr) (netip.AddrPort, error) {
	at, rest, err := tcpport.Endpoint(a)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%s: want nothing after the port", a)
	}
	return at, err
}

// Match implements [core.Transport].
func (*Transport) Match(a ma.Multiaddr) bool {
	_, err := endpoint(a)
	return err == nil
}

// Dial implements [core.RawTransport].
func (t *Transport) Dial(ctx context.Context, a ma.Multiaddr) (manet.Conn, error) {
	to, err := endpoint(a)
	if err != nil {
		return nil, err
	}
	_, alias := core.DialIdentity(ctx, nil)
	d := tcpport.Dialer{Reuse: !t.NoReuse && !alias, Kind: tcpport.Multistream, Timeout: time.Duration(t.ConnectTimeout)}
	var c tcpport.Conn
	if p, ok := core.Punching(ctx); ok {
		c, err = tcpport.Punch{Dialer: d, RTT: p.RTT}.Dial(ctx, t.ports(), to)
	} else {
		c, err = d.Dial(ctx, t.ports(), to)
	}
	if err != nil {
		return nil, err
	}
	return t.wrap(c, nil, a)
}

// Listen implements [core.RawTransport]. The port may be that of other transports
// of the node, and of an instance that this one replaces.
func (t *Transport) Listen(a ma.Multiaddr) (manet.Listener, error) {
	at, err := endpoint(a)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	l, err := tcpport.Listen(t.ports(), at, tcpport.Options{
		Kind: tcpport.Multistream, Reuse: !t.NoReuse, Owner: t, Log: t.log,
	})
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", a, err)
	}
	addr, err := tcpport.Multiaddr(l.Addr())
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("listen %s: %w", a, err)
	}
	return &listener{Listener: l, transport: t, addr: addr}, nil
}

var (
	_ core.RawTransport = (*Transport)(nil)
	_ core.Service      = (*Transport)(nil)
	_ caddy.Provisioner = (*Transport)(nil)
	_ caddy.Validator   = (*Transport)(nil)
)
