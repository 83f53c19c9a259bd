// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package tls secures connections with TLS 1.3,
// https://github.com/libp2p/specs/blob/master/tls/tls.md.
//
//	{"security": [{"module": "tls"}]}
//
// It agrees on the muxer within the handshake if both sides can,
// https://github.com/libp2p/specs/blob/master/connections/inlined-muxer-negotiation.md.
// Transports that have TLS in them, such as QUIC, take its [Identity]. There are no
// certificate authorities, no names, no resumed sessions and no early data.
package tls

import (
	"context"
	ctls "crypto/tls"
	"errors"
	"net"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/security/internal/deadline"
)

func init() { core.Register(new(TLS), core.Beta) }

const (
	// protocol is what multistream-select calls TLS.
	protocol = "/tls/1.0.0"
	// alpnAny is the application protocol of who has not agreed on a muxer.
	alpnAny = "libp2p"
)

// TLS is the module. It has no settings. The zero value is ready for use; one
// value may secure any number of connections at once. It must not be copied.
type TLS struct {
	identities identities
	buffers    buffers
}

// CaddyModule implements [caddy.Module].
func (*TLS) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "xnode.security.tls",
		New: func() caddy.Module { return new(TLS) },
	}
}

// Protocol implements [core.SecureChannel].
func (*TLS) Protocol() string { return protocol }

// Secure implements [core.SecureChannel]. It returns once the local side is done
// and sure of the remote's identity. A client is done before the server has seen
// its certificate: if that is refused, the first Read says so.
func (t *TLS) Secure(ctx context.Context, conn net.Conn, h core.Handshake) (core.SecureConn, error) {
	own, err := t.identities.get(h.Identity)
	if err != nil {
		return nil, err
	}
	var who *proof
	config := own.config(append(slices.Clone(h.Muxers), alpnAny), func(s ctls.ConnectionState) (err error) {
		who, err = own.authenticate(s, h.Expect)
		return err
	})
	c := newConn(conn, config, h.Initiator, &t.buffers)
	if err := deadline.Within(ctx, conn, c.handshake); err != nil {
		return nil, err
	}
	if who == nil {
		return nil, errors.New("the handshake ended without a certificate")
	}
	c.remote = who
	if p := c.tls.ConnectionState().NegotiatedProtocol; p != alpnAny {
		c.muxer = p
	}
	return c, nil
}

// identities keeps the identity that was used last: a node has one.
type identities struct {
	mu      sync.Mutex
	owner   peer.ID
	current *Identity
}

func (s *identities) get(id core.Identity) (*Identity, error) {
	owner := id.ID()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil || s.owner != owner {
		made, err := NewIdentity(id)
		if err != nil {
			return nil, err
		}
		s.owner, s.current = owner, made
	}
	return s.current, nil
}

var (
	_ caddy.Module       = (*TLS)(nil)
	_ core.SecureChannel = (*TLS)(nil)
)
