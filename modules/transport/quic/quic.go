// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package quic carries connections over QUIC: /ip4/192.0.2.1/udp/4001/quic-v1.
//
// Spec: https://github.com/libp2p/specs/blob/master/quic/README.md
//
//	"transports": {"quic": {"idle_timeout": "1m"}}, "listen": ["/ip4/0.0.0.0/udp/4001/quic-v1"]
//
// It dials from the port it listens on where it can, and shares that port with
// the other transports of the node that are on UDP. It speaks version 1 of QUIC
// alone (/quic-v1, not /quic), sends nothing before the handshake is over (0-RTT),
// and does not migrate to other addresses on its own.
package quic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/security/tls"
	"github.com/xnode-p2p/xnode/modules/transport/internal/udpport"
)

func init() { core.Register(new(Transport), core.Beta) }

const (
	// alpn names libp2p in the TLS handshake.
	alpn = "libp2p"
	// maxStreams is the most that max_incoming_streams may be. Every stream
	// costs memory that is not counted.
	maxStreams = 1 << 16
	// minKeepalive is half of the shortest idle_timeout.
	minKeepalive = core.Duration(500 * time.Millisecond)
)

// Transport is the xnode.transport.quic module.
type Transport struct {
	// IdleTimeout is how long the other side of a connection may be silent
	// before the connection is over. From 1s to 1h. Default: 30s.
	IdleTimeout core.Duration `json:"idle_timeout,omitempty"`
	// Keepalive is how long a connection is silent before this side asks the
	// other for a sign of life, from 500ms to half of idle_timeout.
	// Default: half of idle_timeout.
	Keepalive core.Duration `json:"keepalive,omitempty"`
	// HandshakeTimeout is how long making a connection may take, from the
	// first packet on; half of it without an answer is enough to give up.
	// From 1s to 1m. Default: 10s.
	HandshakeTimeout core.Duration `json:"handshake_timeout,omitempty"`
	// MaxIncomingStreams is how many streams of one connection the other side
	// may have open at the same time. From 1 to 65536. Where several
	// transports share a port, the largest value of them holds for inbound
	// connections, as it does for the times above. Default: 256.
	MaxIncomingStreams int `json:"max_incoming_streams,omitempty"`

	log *slog.Logger

	mu       sync.Mutex
	node     core.Node // nil before Start and after Close
	identity *tls.Identity
	dialer   *udpport.Dialer
}

// CaddyModule implements [caddy.Module].
func (*Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.transport.quic", New: func() caddy.Module { return new(Transport) }}
}

// Provision implements [caddy.Provisioner].
func (t *Transport) Provision(ctx caddy.Context) error {
	if t.IdleTimeout == 0 {
		t.IdleTimeout = core.Duration(udpport.DefaultIdleTimeout)
	}
	if t.Keepalive == 0 {
		t.Keepalive = t.IdleTimeout / 2
	}
	if t.HandshakeTimeout == 0 {
		t.HandshakeTimeout = core.Duration(udpport.DefaultHandshakeTimeout)
	}
	if t.MaxIncomingStreams == 0 {
		t.MaxIncomingStreams = udpport.DefaultMaxIncomingStreams
	}
	t.log = core.Logger(ctx)
	return nil
}

// Validate implements [caddy.Validator].
func (t *Transport) Validate() error {
	switch {
	case t.IdleTimeout < core.Duration(time.Second) || t.IdleTimeout > core.Duration(time.Hour):
		return fmt.Errorf("idle_timeout %s: want 1s to 1h", t.IdleTimeout)
	case t.Keepalive < minKeepalive || t.Keepalive > t.IdleTimeout/2:
		return fmt.Errorf("keepalive %s: want 500ms to half of idle_timeout, %s", t.Keepalive, t.IdleTimeout/2)
	case t.HandshakeTimeout < core.Duration(time.Second) || t.HandshakeTimeout > core.Duration(time.Minute):
		return fmt.Errorf("handshake_timeout %s: want 1s to 1m", t.HandshakeTimeout)
	case t.MaxIncomingStreams < 1 || t.MaxIncomingStreams > maxStreams:
		return fmt.Errorf("max_incoming_streams %d: want 1 to %d", t.MaxIncomingStreams, maxStreams)
	}
	return nil
}

func (t *Transport) settings() udpport.Settings {
	return udpport.Settings{
		IdleTimeout:        time.Duration(t.IdleTimeout),
		Keepalive:          time.Duration(t.Keepalive),
		HandshakeTimeout:   time.Duration(t.HandshakeTimeout),
		MaxIncomingStreams: t.MaxIncomingStreams,
	}
}

// Start implements [core.Service]. It makes the node's certificate.
func (t *Transport) Start(_ context.Context, n core.Node) error {
	identity, err := tls.NewIdentity(n)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.node, t.identity, t.dialer = n, identity, udpport.NewDialer(n)
	return nil
}

// Close implements [core.Service]. Listeners and connections belong to who has
// them, and live on.
func (t *Transport) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.node == nil {
		return nil
	}
	t.node = nil
	return t.dialer.Close()
}

// errNotRunning is about a transport that is not started, or closed.
var errNotRunning = fmt.Errorf("the transport does not run: %w", net.ErrClosed)

func (t *Transport) running() (core.Node, *tls.Identity, *udpport.Dialer, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.node == nil {
		return nil, nil, nil, errNotRunning
	}
	return t.node, t.identity, t.dialer, nil
}

// Match implements [core.Transport].
func (*Transport) Match(a ma.Multiaddr) bool {
	_, err := endpoint(a)
	return err == nil
}

// endpoint reads /ip4/…/udp/N/quic-v1 and /ip6/…/udp/N/quic-v1.
func endpoint(a ma.Multiaddr) (netip.AddrPort, error) {
	at, rest, err := udpport.Endpoint(a)
	if err != nil || len(rest) != 1 || rest[0].Code() != ma.P_QUIC_V1 {
		return at, fmt.Errorf("%s: want /ip4/…/udp/N/quic-v1 or /ip6/…/udp/N/quic-v1", a)
	}
	return at, nil
}

// Listen implements [core.MuxedTransport].
func (t *Transport) Listen(a ma.Multiaddr, admit core.Admit) (core.MuxedListener, error) {
	l, err := t.listen(a, admit)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", a, err)
	}
	return l, nil
}

// Dial implements [core.MuxedTransport].
func (t *Transport) Dial(ctx context.Context, a ma.Multiaddr, p peer.ID, m core.ConnMemory) (core.MuxedConn, error) {
	to, err := endpoint(a)
	if err != nil {
		return nil, err
	}
	node, identity, dialer, err := t.running()
	if err != nil {
		return nil, err
	}
	if p == "" {
		return nil, errors.New("no peer to expect")
	}
	who, alias := core.DialIdentity(ctx, node)
	if alias {
		if identity, err = tls.NewIdentity(who); err != nil {
			return nil, err
		}
	}
	port, err := dialer.Join(to, alias)
	if err != nil {
		return nil, err
	}
	defer port.Release()
	if p, ok := core.Punching(ctx); ok && p.Role == core.PunchServer {
		if err := openWay(ctx, port, to, p.RTT); err != nil {
			return nil, err
		}
	}
	c, err := port.DialQUIC(ctx, to, identity.Config(p, []string{alpn}), t.settings(), m)
	if err != nil {
		return nil, dialError(err)
	}
	return newConn(c, a)
}

// minOpening is how long the way is kept open, at least, for the client of a punch.
const minOpening = 300 * time.Millisecond

// openWay opens the way for packets of an address as long as its dial should take
// to come in. If it has not by then it never will, as where the other side's NAT
// shows it at another address: then it is this side that has to dial.
func openWay(ctx context.Context, port *udpport.Port, to netip.AddrPort, rtt time.Duration) error {
	opening, cancel := context.WithTimeout(ctx, max(minOpening, 3*rtt))
	defer cancel()
	err := port.Punch(opening, to)
	if ctx.Err() == nil && opening.Err() != nil {
		return nil
	}
	return err
}

var (
	_ core.MuxedTransport = (*Transport)(nil)
	_ core.Service        = (*Transport)(nil)
	_ caddy.Provisioner   = (*Transport)(nil)
	_ caddy.Validator     = (*Transport)(nil)
)
