// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package plaintext secures nothing: it encrypts nothing and authenticates nobody,
// https://github.com/libp2p/specs/blob/master/plaintext/README.md.
//
//	{"security": [{"module": "plaintext"}]}
//
// The two sides tell each other who they are, and believe it. Whoever is on the
// way can read and change everything, and anybody can claim to be any peer, even
// if other securities stand beside it: an attacker picks this one. It is for
// tests and never a default.
package plaintext

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
	"github.com/xnode-p2p/xnode/modules/security/internal/deadline"
)

func init() { core.Register(new(Plaintext), core.Beta) }

// protocol is what multistream-select calls it.
const protocol = "/plaintext/2.0.0"

// Plaintext is the module. It has no settings.
type Plaintext struct{}

// CaddyModule implements [caddy.Module].
func (*Plaintext) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "xnode.security.plaintext",
		New: func() caddy.Module { return new(Plaintext) },
	}
}

// Provision implements [caddy.Provisioner].
func (*Plaintext) Provision(ctx caddy.Context) error {
	warn(core.Logger(ctx))
	return nil
}

func warn(log *slog.Logger) {
	log.Warn("connections may be neither encrypted nor authenticated: security plaintext is for tests only")
}

// Protocol implements [core.SecureChannel].
func (*Plaintext) Protocol() string { return protocol }

// Secure implements [core.SecureChannel]. That the remote is the expected peer is
// what the remote says.
func (*Plaintext) Secure(ctx context.Context, conn net.Conn, h core.Handshake) (core.SecureConn, error) {
	var key peer.PublicKey
	err := deadline.Within(ctx, conn, func() (err error) {
		key, err = introduce(conn, h)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: conn, id: peer.FromPublicKey(key), key: key}, nil
}

// introduce tells the remote who we are, and returns who it says it is.
func introduce(conn net.Conn, h core.Handshake) (peer.PublicKey, error) {
	if err := wire.WriteMessage(conn, encodeExchange(h.Identity.PublicKey())); err != nil {
		return nil, fmt.Errorf("send exchange: %w", err)
	}
	b, err := wire.ReadMessage(conn, maxExchange)
	if err != nil {
		return nil, fmt.Errorf("receive exchange: %w", err)
	}
	key, err := decodeExchange(b)
	if err != nil {
		return nil, fmt.Errorf("exchange: %w", err)
	}
	if id := peer.FromPublicKey(key); h.Expect != "" && h.Expect != id {
		return nil, &core.PeerMismatchError{Want: h.Expect, Got: id}
	}
	return key, nil
}

// Conn is a connection whose other end has said who it is.
type Conn struct {
	net.Conn

	id  peer.ID
	key peer.PublicKey
}

// RemotePeer implements [core.SecureConn].
func (c *Conn) RemotePeer() peer.ID { return c.id }

// RemotePublicKey implements [core.SecureConn].
func (c *Conn) RemotePublicKey() peer.PublicKey { return c.key }

// Muxer implements [core.SecureConn]. There is no handshake to agree on one in.
func (*Conn) Muxer() string { return "" }

var (
	_ caddy.Module       = (*Plaintext)(nil)
	_ caddy.Provisioner  = (*Plaintext)(nil)
	_ core.SecureChannel = (*Plaintext)(nil)
	_ core.SecureConn    = (*Conn)(nil)
)
