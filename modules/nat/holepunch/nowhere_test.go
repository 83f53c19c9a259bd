// SPDX-License-Identifier: Apache-2.0 OR MIT

package holepunch_test

import (
	"context"
	"errors"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// CaddyModule implements [caddy.Module].
func (*nowhere) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.transport.nowhere", New: func() caddy.Module { return new(nowhere) }}
}

// Match implements [core.Transport].
func (*nowhere) Match(a ma.Multiaddr) bool {
	return len(a) == 2 && a[0].Code() == ma.P_IP4 && a[1].Code() == ma.P_TCP
}

// Dial implements [core.RawTransport].
func (*nowhere) Dial(ctx context.Context, _ ma.Multiaddr) (manet.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// Listen implements [core.RawTransport].
func (*nowhere) Listen(ma.Multiaddr) (manet.Listener, error) { return nil, errors.ErrUnsupported }
