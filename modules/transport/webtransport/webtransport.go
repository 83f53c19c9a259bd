// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package webtransport carries connections over WebTransport, which browsers can
// dial: /ip4/192.0.2.1/udp/4001/quic-v1/webtransport/certhash/…/certhash/….
//
// Spec: https://github.com/libp2p/specs/blob/master/webtransport/README.md
//
//	"transports": {"webtransport": {}}, "listen": ["/ip4/0.0.0.0/udp/4001/quic-v1/webtransport"]
//
// It makes its own certificates, which clients know by the hashes in the
// address. Every two weeks or so the next one is used, and the address changes;
// both are derived from the node's identity, so that they survive a restart. For
// ECDSA and secp256k1 identities a seed is kept in the data folder for that.
//
// The port can be one that other UDP transports listen on. A QUIC connection
// carries one session. Servers with a certificate from an authority can be
// dialled by name, without hashes; it does not listen with such a certificate.
package webtransport

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/quic-go/webtransport-go"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/modules/security/noise"
	"github.com/xnode-p2p/xnode/modules/transport/internal/certseed"
	"github.com/xnode-p2p/xnode/modules/transport/internal/udpport"
)

func init() { core.Register(new(Transport), core.Beta) }

const defaultHandshakeTimeout = core.Duration(10 * time.Second)

// Transport is the xnode.transport.webtransport module.
type Transport struct {
	// HandshakeTimeout bounds the QUIC handshake of an inbound connection, and
	// then once more all that follows: the client's request for a session and
	// the proof of who it is. Transports that share a port share the longest
	// for the first. From 1s to 1m. Default: 10s.
	HandshakeTimeout core.Duration `json:"handshake_timeout,omitempty"`

	log    *slog.Logger
	node   core.Node // nil until Start
	dialer *udpport.Dialer
	roots  *x509.CertPool // of servers that are known by name; nil for the system's
	noise  noise.Noise
	client webtransport.Transport

	stop    context.CancelFunc // ends running
	running sync.WaitGroup

	mu       sync.Mutex
	rotation *rotation // nil until something is listened on
}

// CaddyModule implements [caddy.Module].
func (*Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.transport.webtransport", New: func() caddy.Module { return new(Transport) }}
}

// Provision implements [caddy.Provisioner].
func (t *Transport) Provision(ctx caddy.Context) error {
	if t.HandshakeTimeout == 0 {
		t.HandshakeTimeout = defaultHandshakeTimeout
	}
	t.log = core.Logger(ctx)
	return nil
}

// Validate implements [caddy.Validator].
func (t *Transport) Validate() error {
	if t.HandshakeTimeout < core.Duration(time.Second) || t.HandshakeTimeout > core.Duration(time.Minute) {
		return fmt.Errorf("handshake_timeout %s: want 1s to 1m", t.HandshakeTimeout)
	}
	return nil
}

// Start implements [core.Service].
func (t *Transport) Start(_ context.Context, n core.Node) error {
	t.node, t.dialer = n, udpport.NewDialer(n)
	return nil
}

// Close implements [core.Service]. Connections live on.
func (t *Transport) Close() error {
	t.mu.Lock()
	stop := t.stop
	t.mu.Unlock()
	if stop != nil {
		stop()
	}
	t.running.Wait()
	if t.dialer == nil {
		return nil
	}
	return t.dialer.Close()
}

// Match implements [core.Transport].
func (*Transport) Match(a ma.Multiaddr) bool {
	_, err := parse(a)
	return err == nil
}

var errNotStarted = errors.New("webtransport: not started")

// Listen implements [core.MuxedTransport].
func (t *Transport) Listen(a ma.Multiaddr, admit core.Admit) (core.MuxedListener, error) {
	e, err := parse(a)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if len(e.hashes) > 0 || e.name != "" {
		return nil, fmt.Errorf("listen %s: leave out what follows /quic-v1/webtransport, and /sni; the certificates are made here", a)
	}
	r, err := t.certificates()
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", a, err)
	}
	port, err := udpport.Join(t.node, e.at)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", a, err)
	}
	l, err := t.listen(port, r, admit)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", a, err)
	}
	port.WarnBuffers(t.log)
	return l, nil
}

// certificates returns the certificates of the node; with them it begins to
// announce their changes.
func (t *Transport) certificates() (*rotation, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.node == nil {
		return nil, errNotStarted
	}
	if t.rotation != nil {
		return t.rotation, nil
	}
	seed, err := certseed.Seed(t.node, "webtransport", core.DataDir())
	if err != nil {
		return nil, err
	}
	r, err := newRotation(seed)
	if err != nil {
		return nil, err
	}
	var ctx context.Context
	ctx, t.stop = context.WithCancel(context.Background())
	t.running.Go(func() { announceChanges(ctx, r, t.node) })
	t.rotation = r
	return r, nil
}

// settings are those of the port's QUIC connections.
func (t *Transport) settings() udpport.Settings {
	return udpport.Settings{HandshakeTimeout: time.Duration(t.HandshakeTimeout)}
}

var (
	_ core.MuxedTransport = (*Transport)(nil)
	_ core.Service        = (*Transport)(nil)
	_ caddy.Provisioner   = (*Transport)(nil)
	_ caddy.Validator     = (*Transport)(nil)
)
