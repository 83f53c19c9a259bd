// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package http carries HTTP between nodes: it shows a web server of this machine
// to peers, and peers' to this machine's programs: /http/1.1.
//
// Spec: https://github.com/libp2p/specs/blob/master/http/README.md
//
//	"protocols": {"http": {"serve": {"to": "http://127.0.0.1:8080", "allow": ["12D3KooW…"]}}}
//	"protocols": {"http": {"listen": "/ip4/127.0.0.1/tcp/8081"}}
//
// With the second, http://127.0.0.1:8081/p2p/PEER/http/PATH is what PATH is at the
// server that PEER shows, as with kubo's gateway. The server learns who asks from
// the header Libp2p-Peer-Id, which nobody else can set.
//
// A stream carries HTTP/1.1, requests one after the other, and WebSockets. There
// is no authentication but that of the connection.
package http

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/protocol/internal/door"
)

func init() { core.Register(new(HTTP), core.Alpha) }

// ID is the protocol's ID.
const ID = "/http/1.1"

const (
	headerTimeout = 10 * time.Second // for the head of a request
	idleTimeout   = time.Minute      // between two requests
	maxHeader     = 64 << 10         // bytes of a request's head
)

// HTTP is the xnode.protocol.http module.
type HTTP struct {
	// Serve is the server that peers are shown.
	// Default: none.
	Serve *Serve `json:"serve,omitempty"`
	// Listen is the address where programs of this machine reach servers of
	// peers, such as /ip4/127.0.0.1/tcp/8081 or /unix/run/http.sock.
	// Placeholders are expanded. It should be one that only this machine
	// reaches: whoever connects there speaks as this node.
	// Default: none.
	Listen string `json:"listen,omitempty"`
	// Hosts are names that programs may call the address by, besides IP
	// addresses and localhost. Requests to others are refused: a web page could
	// have its name lead here.
	// Default: none.
	Hosts []string `json:"hosts,omitempty"`
	// MaxConnections is how many connections of peers, and how many of
	// programs, there are at a time.
	// Default: 256.
	MaxConnections int `json:"max_connections,omitempty"`

	log   *slog.Logger
	to    *url.URL
	allow []peer.ID // nil lets everybody

	remove  func()
	stops   []func() error
	wg      sync.WaitGroup
	clients *http.Transport
	addr    string // where programs reach it; empty if they do not
}

// Serve is the server that peers are shown.
type Serve struct {
	// To is its URL, such as http://127.0.0.1:8080; a path in it stands before
	// those that peers ask for. It must be given.
	To string `json:"to"`
	// Allow are the IDs of the peers that may ask; ["*"] lets everybody. It
	// must be given.
	Allow []string `json:"allow"`
	// Protocols are the paths of protocols that the server speaks over HTTP, by
	// their IDs; peers find them at /.well-known/libp2p/protocols.
	// Default: none, and the server itself is asked for that path.
	Protocols map[string]string `json:"protocols,omitempty"`
}

// CaddyModule implements [caddy.Module].
func (*HTTP) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.protocol.http", New: func() caddy.Module { return new(HTTP) }}
}

// Provision implements [caddy.Provisioner].
func (h *HTTP) Provision(ctx caddy.Context) error {
	h.log = core.Logger(ctx)
	if h.MaxConnections == 0 {
		h.MaxConnections = 256
	}
	if h.Serve == nil {
		return nil
	}
	var err error
	if h.to, err = url.Parse(h.Serve.To); err != nil || h.to.Host == "" || h.to.Scheme != "http" && h.to.Scheme != "https" {
		return fmt.Errorf("serve: to: %q is no URL of a server; an example is http://127.0.0.1:8080", h.Serve.To)
	}
	if slices.Equal(h.Serve.Allow, []string{"*"}) {
		return nil
	}
	h.allow = []peer.ID{}
	for i, text := range h.Serve.Allow {
		id, err := peer.Decode(text)
		if err != nil {
			return fmt.Errorf("serve: allow/%d: %w", i, err)
		}
		h.allow = append(h.allow, id)
	}
	return nil
}

// Validate implements [caddy.Validator].
func (h *HTTP) Validate() error {
	if h.MaxConnections < 1 {
		return fmt.Errorf("max_connections: %d would serve nobody; the least is 1", h.MaxConnections)
	}
	if h.Serve != nil && len(h.Serve.Allow) == 0 {
		return errors.New(`serve: allow: it is missing; write the IDs of the peers that may ask, or ["*"] for everybody`)
	}
	if h.Serve != nil {
		for id, path := range h.Serve.Protocols {
			if len(path) == 0 || path[0] != '/' {
				return fmt.Errorf("serve: protocols: %s: %q is no path; begin it with a slash", id, path)
			}
		}
	}
	if h.Listen != "" {
		if _, _, _, err := door.Place(h.Listen); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
	}
	return nil
}

// Start implements [core.Service].
func (h *HTTP) Start(_ context.Context, n core.Node) error {
	if h.Serve != nil {
		h.startServing(n)
	}
	if h.Listen != "" {
		return h.startListening(n)
	}
	return nil
}

// Close implements [core.Service].
func (h *HTTP) Close() error {
	var errs []error
	for _, stop := range slices.Backward(h.stops) {
		errs = append(errs, stop())
	}
	h.stops = nil
	if h.remove != nil {
		h.remove()
		h.remove = nil
	}
	if h.clients != nil {
		h.clients.CloseIdleConnections()
	}
	h.wg.Wait()
	return errors.Join(errs...)
}

// serve runs an HTTP server on what comes through a queue, until Close.
func (h *HTTP) serve(q *queue, handler http.Handler) {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog:    log.New(quiet{}, "", 0),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
	}
	h.wg.Go(func() {
		if err := server.Serve(q); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			h.log.Error("the server has ended", "error", err)
		}
	})
	h.stops = append(h.stops, server.Close)
}

// quiet drops what the HTTP library says about what others send.
type quiet struct{}

// Write implements [io.Writer].
func (quiet) Write(b []byte) (int, error) { return len(b), nil }

var _ core.Protocol = (*HTTP)(nil)
