// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package noise secures connections with the Noise protocol,
// https://github.com/libp2p/specs/blob/master/noise/README.md.
//
//	{"security": [{"module": "noise"}]}
//
// It speaks Noise_XX_25519_ChaChaPoly_SHA256 and agrees on the muxer within the
// handshake if both sides can,
// https://github.com/libp2p/specs/blob/master/connections/inlined-muxer-negotiation.md.
// Transports that need a prologue or certificate hashes in the handshake call
// [Noise.Handshake]. There are no Noise pipes, and no keys that outlive the process.
package noise

import (
	"context"
	"fmt"
	"net"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/modules/security/internal/deadline"
)

func init() { core.Register(new(Noise), core.Beta) }

// protocol is what multistream-select calls Noise.
const protocol = "/noise"

// Noise is the module. It has no settings. The zero value is ready for use; one
// value may secure any number of connections at once. It must not be copied.
type Noise struct {
	statics  statics
	verified verified
	buffers  buffers
}

// CaddyModule implements [caddy.Module].
func (*Noise) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "xnode.security.noise",
		New: func() caddy.Module { return new(Noise) },
	}
}

// Protocol implements [core.SecureChannel].
func (*Noise) Protocol() string { return protocol }

// Secure implements [core.SecureChannel].
func (n *Noise) Secure(ctx context.Context, conn net.Conn, h core.Handshake) (core.SecureConn, error) {
	c, err := n.Handshake(ctx, conn, h, Options{})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Options are what a transport may add to a handshake. The zero value is a
// plain Noise handshake.
type Options struct {
	// Prologue must be the same on both sides, or the handshake fails.
	Prologue []byte
	// CertHashes are multihashes of TLS certificates to tell the remote, for
	// WebTransport. At most 32 of at most 128 bytes each.
	CertHashes [][]byte
}

// Handshake is Secure with options. It returns once the local side is done and
// sure of the remote's identity. What it has read beyond the handshake's last
// message is kept for the first Read of the returned connection.
func (n *Noise) Handshake(ctx context.Context, conn net.Conn, h core.Handshake, o Options) (*Conn, error) {
	var c *Conn
	err := deadline.Within(ctx, conn, func() (err error) {
		c, err = n.handshake(conn, h, o)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("noise: %w", err)
	}
	return c, nil
}

var (
	_ caddy.Module       = (*Noise)(nil)
	_ core.SecureChannel = (*Noise)(nil)
)
