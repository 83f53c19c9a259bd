// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package webrtcdirect carries connections over WebRTC data channels, as browsers
// can dial them without a certificate of an authority,
// https://github.com/libp2p/specs/blob/master/webrtc/webrtc-direct.md.
//
//	{"transports": {"webrtcdirect": {}}, "listen": ["/ip4/0.0.0.0/udp/4001/webrtc-direct"]}
//
// It listens for versions 1 and 2 of the protocol and dials with version 1,
// which every listener knows. A port is shared with the other transports on UDP.
// Of ICE there is the listener that answers (RFC 8445, lite), and the dialer of
// one address: no other candidates are looked for, and no servers asked; it can be a
// STUN server itself. DTLS handshakes and SCTP are pion's work.
package webrtcdirect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/security/noise"
	"github.com/xnode-p2p/xnode/modules/transport/internal/udpport"
)

func init() { core.Register(new(Transport), core.Beta) }

var (
	errNotStarted = errors.New("the transport is not started")
	errTimeout    = fmt.Errorf("the handshake took too long: %w", os.ErrDeadlineExceeded)
)

// Transport is the module. It must not be changed after Provision.
type Transport struct {
	// How long a handshake may take, from the first packet until the remote is
	// known. From 1s to 5m. Default: "10s".
	HandshakeTimeout core.Duration `json:"handshake_timeout,omitempty"`
	// How many inbound handshakes may be under way on one address. With one
	// more, the oldest is given up. At most 65,536. Default: 128.
	MaxHandshakes int `json:"max_handshakes,omitempty"`
	// How long a connection may be silent until it is closed. Remotes say that
	// they are alive every few seconds. From 10s to 1h. Default: "30s".
	IdleTimeout core.Duration `json:"idle_timeout,omitempty"`
	// How many streams the remote may have open at a time on one connection.
	// A stream beyond that is reset; with four times as many that the remote
	// does not let go the connection is closed. At most 16,384. Default: 1000.
	MaxIncomingStreams int `json:"max_incoming_streams,omitempty"`
	// How much a remote may send on one connection that is not read yet; it
	// bounds the speed of connections over long distances. Each connection
	// takes it from the node's memory. From 64KiB to 64MiB.
	// Default: "256KiB".
	ReceiveBuffer core.Size `json:"receive_buffer,omitempty"`
	// STUNService makes the node a STUN server, such as transports.webrtc and
	// browsers ask behind NATs: stun:HOST:PORT with a port of this transport.
	// Default: none.
	STUNService *STUNService `json:"stun_service,omitempty"`

	log *slog.Logger

	// Set by Start.
	node        udpport.Node
	identity    core.Identity
	certificate *certificate

	noise noise.Noise
}

// CaddyModule implements [caddy.Module].
func (*Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "xnode.transport.webrtcdirect",
		New: func() caddy.Module { return new(Transport) },
	}
}

// Provision implements [caddy.Provisioner]. It sets defaults.
func (t *Transport) Provision(ctx caddy.Context) error {
	t.log = core.Logger(ctx)
	setDefault(&t.HandshakeTimeout, core.Duration(10*time.Second))
	setDefault(&t.MaxHandshakes, 128)
	setDefault(&t.IdleTimeout, core.Duration(30*time.Second))
	setDefault(&t.MaxIncomingStreams, 1000)
	setDefault(&t.ReceiveBuffer, 256<<10)
	if t.STUNService != nil {
		t.STUNService.provision()
	}
	return nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate implements [caddy.Validator].
func (t *Transport) Validate() error {
	for _, check := range []struct {
		key              string
		value, low, high int64
		text             func(int64) string
	}{
		{"handshake_timeout", int64(t.HandshakeTimeout), int64(time.Second), int64(5 * time.Minute), duration},
		{"max_handshakes", int64(t.MaxHandshakes), 1, 1 << 16, number},
		{"idle_timeout", int64(t.IdleTimeout), int64(10 * time.Second), int64(time.Hour), duration},
		{"max_incoming_streams", int64(t.MaxIncomingStreams), 1, 1 << 14, number},
		{"receive_buffer", int64(t.ReceiveBuffer), 64 << 10, 64 << 20, size},
	} {
		if check.value < check.low || check.value > check.high {
			return fmt.Errorf("%s: %s is not from %s to %s", check.key,
				check.text(check.value), check.text(check.low), check.text(check.high))
		}
	}
	if t.STUNService != nil {
		if err := t.STUNService.validate(); err != nil {
			return fmt.Errorf("stun_service/%w", err)
		}
	}
	return nil
}

func number(v int64) string   { return fmt.Sprint(v) }
func duration(v int64) string { return core.Duration(v).String() }
func size(v int64) string     { return core.Size(v).String() }

// Start implements [core.Service]. It makes the node's certificate.
func (t *Transport) Start(_ context.Context, n core.Node) (err error) {
	t.certificate, err = newCertificate(n, core.DataDir())
	if err != nil {
		return fmt.Errorf("webrtc-direct: %w", err)
	}
	t.node, t.identity = n, n
	return nil
}

// Close implements [core.Service]. Connections belong to who has accepted or
// dialled them, and end by themselves.
func (t *Transport) Close() error { return nil }

// Match implements [core.Transport].
func (*Transport) Match(a ma.Multiaddr) bool {
	_, _, _, err := parseAddress(a)
	return err == nil
}

// Dial implements [core.MuxedTransport].
func (t *Transport) Dial(ctx context.Context, a ma.Multiaddr, p peer.ID, m core.ConnMemory) (core.MuxedConn, error) {
	c, err := t.dial(ctx, a, p, m)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Listen implements [core.MuxedTransport].
func (t *Transport) Listen(a ma.Multiaddr, admit core.Admit) (core.MuxedListener, error) {
	l, err := t.listen(a, admit)
	if err != nil {
		return nil, err
	}
	return l, nil
}

var (
	_ core.MuxedTransport = (*Transport)(nil)
	_ core.Service        = (*Transport)(nil)
	_ caddy.Provisioner   = (*Transport)(nil)
	_ caddy.Validator     = (*Transport)(nil)
)
