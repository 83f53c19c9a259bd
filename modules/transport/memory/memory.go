// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package memory connects nodes of one process through memory: /memory/N.
//
// Spec: https://github.com/multiformats/multiaddr/blob/master/protocols.csv (memory, 777)
//
//	"transports": {"memory": {}}, "listen": ["/memory/1"]
//
// /memory/0 listens on a free number. All nodes of the process share one
// network, whatever their configuration. It does not leave the process.
package memory

import (
	"context"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/memnet"
)

func init() { core.Register(new(Transport), core.Beta) }

// process is what the nodes of a process have in common: the numbers that are
// listened on. It is the one state that nodes share, for they could not meet
// otherwise.
var process = memnet.New(memnet.Options{})

// Transport is the xnode.transport.memory module.
type Transport struct{}

// CaddyModule implements [caddy.Module].
func (*Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.transport.memory", New: func() caddy.Module { return new(Transport) }}
}

// Match implements [core.Transport].
func (*Transport) Match(a ma.Multiaddr) bool {
	return len(a) == 1 && a[0].Code() == ma.P_MEMORY
}

// Dial implements [core.RawTransport].
func (*Transport) Dial(ctx context.Context, a ma.Multiaddr) (manet.Conn, error) {
	return process.Dial(ctx, a)
}

// Listen implements [core.RawTransport].
func (*Transport) Listen(a ma.Multiaddr) (manet.Listener, error) { return process.Listen(a) }

var _ core.RawTransport = (*Transport)(nil)
