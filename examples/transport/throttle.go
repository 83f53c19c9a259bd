// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package throttle carries connections of another transport, each no faster than a
// rate.
//
//	"transports": {"throttle": {"transport": {"module": "tcp"}, "rate": "128KiB"}}
//
// It is listed instead of the other transport, not beside it: both would want
// the same addresses.
package throttle

import (
	"context"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
)

func init() { core.Register(new(Transport), core.Development) }

// Transport is the xnode.transport.throttle module.
type Transport struct {
	// Transport is the one that carries the connections.
	// Default: {"module": "tcp"}.
	Transport core.One[core.Transport] `json:"transport,omitempty"`
	// Rate is how many bytes a connection may send in a second.
	// Default: "1MiB".
	Rate core.Size `json:"rate,omitempty"`

	core.RawTransport `json:"-"` // the other transport
}

// CaddyModule implements [caddy.Module].
func (*Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.transport.throttle", New: func() caddy.Module { return new(Transport) }}
}

// Provision implements [caddy.Provisioner].
func (t *Transport) Provision(ctx caddy.Context) error {
	if t.Transport == nil {
		t.Transport = core.One[core.Transport](`{"module": "tcp"}`)
	}
	if t.Rate == 0 {
		t.Rate = 1 << 20
	}
	loaded, err := t.Transport.Load(ctx)
	if err != nil {
		return fmt.Errorf("transport: %w", err)
	}
	raw, ok := loaded.Module.(core.RawTransport)
	if !ok {
		return fmt.Errorf("transport: %s brings its own security; name a transport of plain connections, such as tcp", loaded.Name)
	}
	t.RawTransport = raw
	return nil
}

// Validate implements [caddy.Validator].
func (t *Transport) Validate() error {
	if t.Rate < 1024 {
		return fmt.Errorf("rate: %v is too slow for a handshake; the least is 1KiB", t.Rate)
	}
	return nil
}

// Start implements [core.Service], for the other transport.
func (t *Transport) Start(ctx context.Context, n core.Node) error {
	if s, ok := t.RawTransport.(core.Service); ok {
		return s.Start(ctx, n)
	}
	return nil
}

// Close implements [core.Service].
func (t *Transport) Close() error {
	if s, ok := t.RawTransport.(core.Service); ok {
		return s.Close()
	}
	return nil
}

// Dial implements [core.RawTransport].
func (t *Transport) Dial(ctx context.Context, a ma.Multiaddr) (manet.Conn, error) {
	c, err := t.RawTransport.Dial(ctx, a)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, rate: t.Rate}, nil
}

// Listen implements [core.RawTransport].
func (t *Transport) Listen(a ma.Multiaddr) (manet.Listener, error) {
	l, err := t.RawTransport.Listen(a)
	if err != nil {
		return nil, err
	}
	return &listener{l, t.Rate}, nil
}

type listener struct {
	manet.Listener
	rate core.Size
}

// Accept implements [manet.Listener].
func (l *listener) Accept() (manet.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, rate: l.rate}, nil
}

// conn is a connection that sends no faster than its rate, as soon as it has
// sent for a tenth of a second.
type conn struct {
	manet.Conn
	rate core.Size
	free time.Time // when what was sent so far would have been, at the rate
}

// Write implements [net.Conn].
func (c *conn) Write(b []byte) (int, error) {
	now := time.Now()
	if wait := c.free.Sub(now); wait > 100*time.Millisecond {
		time.Sleep(wait)
	}
	if c.free.Before(now) {
		c.free = now
	}
	n, err := c.Conn.Write(b)
	c.free = c.free.Add(time.Duration(n) * time.Second / time.Duration(c.rate))
	return n, err
}

var (
	_ core.RawTransport = (*Transport)(nil)
	_ core.Service      = (*Transport)(nil)
)
