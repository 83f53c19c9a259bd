// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package caddy brings an xnode and the sites of a Caddy server together.
//
// A site carries libp2p WebSockets on its own port and with its certificate:
//
//	"handle": [{"handler": "libp2p"}]
//
// And a node shows the certificates that Caddy gets, on a port of its own:
//
//	"websocket": {"certificate": {"module": "caddy", "names": ["node.example.org"]}}
//
// README.md has the whole.
package caddy

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/modules/transport/websocket"
)

func init() {
	core.Register(new(Certificate))
	caddy.RegisterModule(new(Handler))
}

// Handler is the http.handlers.libp2p module. It hands WebSockets over to the
// transport websocket of the node in the same configuration, which accepts them
// on an address of its listen list that begins with a name, such as
// /dns4/node.example.org/tcp/443/tls/ws. All other requests go to the next
// handler.
type Handler struct {
	app *host.App
}

// CaddyModule implements [caddy.Module].
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.libp2p", New: func() caddy.Module { return new(Handler) }}
}

// Provision implements [caddy.Provisioner].
func (h *Handler) Provision(ctx caddy.Context) error {
	v, err := ctx.AppIfConfigured("xnode")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return errors.New("there is no node: add apps/xnode")
	}
	if err != nil {
		return err
	}
	app, ok := v.(*host.App)
	if !ok {
		return fmt.Errorf("apps/xnode is a %T", v)
	}
	h.app = app
	return nil
}

// ServeHTTP implements [caddyhttp.MiddlewareHandler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if !isWebSocket(r) {
		return next.ServeHTTP(w, r)
	}
	node := h.app.Host()
	if node == nil {
		return caddyhttp.Error(http.StatusServiceUnavailable, errors.New("the node does not run"))
	}
	transport, ok := core.Find[*websocket.Transport](node)
	if !ok {
		return caddyhttp.Error(http.StatusServiceUnavailable, errors.New("the node has no transport websocket"))
	}
	transport.ServeHTTP(w, fromClient(r))
	return nil
}

// isWebSocket tells whether a request wants to become a WebSocket. Those of
// HTTP/2 and HTTP/3 do not look like that, and the transport does not take them.
func isWebSocket(r *http.Request) bool {
	return r.ProtoMajor == 1 && hasToken(r.Header["Connection"], "upgrade") && hasToken(r.Header["Upgrade"], "websocket")
}

func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// fromClient returns the request as one from the client: behind proxies that the
// HTTP server trusts, that is not who is connected.
func fromClient(r *http.Request) *http.Request {
	text, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	client, err := netip.ParseAddr(text)
	connected, errConnected := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || errConnected == nil && connected.Addr().WithZone("").Unmap() == client.WithZone("").Unmap() {
		return r
	}
	r = r.WithContext(r.Context())
	r.RemoteAddr = net.JoinHostPort(client.String(), "0") // its port is not known
	return r
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
