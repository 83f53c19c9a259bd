// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package tcp carries connections over TCP: /ip4/192.0.2.1/tcp/4001, /ip6/::1/tcp/4001.
//
// Spec: https://github.com/libp2p/specs/blob/master/addressing/README.md
//
//	"transports": {"tcp": {"connect_timeout": "5s"}}, "listen": ["/ip4/0.0.0.0/tcp/4001"]
//
// It dials from the port it listens on where it can, so that peers and NATs see
// one address for both. It resolves no names: the node does, before it dials.
package tcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
)

func init() { core.Register(new(Transport)) }

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

	log *slog.Logger

	mu        sync.Mutex
	listeners []*listener // open ones, in the order of their opening
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
	c, err := t.dial(ctx, to)
	if err != nil {
		return nil, err
	}
	return t.wrap(c, nil, a)
}

// Listen implements [core.RawTransport].
func (t *Transport) Listen(a ma.Multiaddr) (manet.Listener, error) {
	at, err := endpoint(a)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	var config net.ListenConfig
	// A plain socket: a multipath one is another protocol to the kernel, and
	// dialing sockets could not share its port.
	config.SetMultipathTCP(false)
	// An address that needs no lookup is bound without waiting.
	tcp, err := config.Listen(context.Background(), network(at), at.String())
	if errors.Is(err, syscall.EADDRINUSE) && t.overlaps(at) {
		// It is this transport's own port: a reload narrows or widens the
		// address, and the other listener is about to close.
		config.Control = reuseControl
		tcp, err = config.Listen(context.Background(), network(at), at.String())
	}
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", a, cause(err))
	}
	return t.open(tcp.(*net.TCPListener))
}

// Inherit implements [core.Heir]. Connections that wait in the queue of the
// socket are not lost.
func (t *Transport) Inherit(old manet.Listener) (manet.Listener, error) {
	l, ok := old.(*listener)
	if !ok {
		return nil, fmt.Errorf("inherit %s: a %T does not belong to transport tcp", old.Multiaddr(), old)
	}
	tcp, err := l.duplicate()
	if err != nil {
		return nil, fmt.Errorf("inherit %s: %w", old.Multiaddr(), cause(err))
	}
	return t.open(tcp)
}

// open makes a listener of a bound socket, which it closes if it fails.
func (t *Transport) open(tcp *net.TCPListener) (*listener, error) {
	at := addrPort(tcp.Addr())
	addr, err := multiaddr(at)
	if err != nil {
		tcp.Close()
		return nil, fmt.Errorf("listen %s: %w", at, err)
	}
	l := &listener{transport: t, socket: tcp, at: at, addr: addr, closed: make(chan struct{})}
	// Only now: before the bind it would let another process bind the port
	// too. Where it cannot be set, dials take another port.
	l.shared = !t.NoReuse && allowReuse(tcp) == nil
	t.mu.Lock()
	defer t.mu.Unlock()
	t.listeners = append(t.listeners, l)
	return l, nil
}

// overlaps reports whether the transport listens on the same port of another
// address, with a socket that shares it.
func (t *Transport) overlaps(at netip.AddrPort) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.listeners, func(l *listener) bool {
		return l.shared && l.at.Port() == at.Port() && l.at.Addr() != at.Addr()
	})
}

// forget takes a closed listener out of the list.
func (t *Transport) forget(l *listener) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.listeners = slices.DeleteFunc(t.listeners, func(o *listener) bool { return o == l })
}

var (
	_ core.RawTransport = (*Transport)(nil)
	_ core.Heir         = (*Transport)(nil)
	_ caddy.Provisioner = (*Transport)(nil)
	_ caddy.Validator   = (*Transport)(nil)
)
