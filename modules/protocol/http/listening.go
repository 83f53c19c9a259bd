// SPDX-License-Identifier: Apache-2.0 OR MIT

package http

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/protocol/internal/door"
)

// startListening lets programs of this machine reach servers of peers.
func (h *HTTP) startListening(n core.Node) error {
	at, _, _, err := door.Place(h.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	d, release, err := door.Open(n, at)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	h.clients = &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			id, _, _ := strings.Cut(address, ":")
			p, err := peer.Decode(id)
			if err != nil {
				return nil, err
			}
			s, err := n.NewStream(ctx, p, ID)
			if err != nil {
				return nil, err
			}
			return newConn(s), nil
		},
		MaxIdleConnsPerHost: 4, MaxConnsPerHost: h.MaxConnections, MaxIdleConns: h.MaxConnections,
		IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: maxHeader, DisableCompression: true,
	}
	h.addr = d.Addr().String()
	q := newQueue(d.Addr())
	slots := make(chan struct{}, h.MaxConnections)
	leave := d.Enter(func(c net.Conn) {
		select {
		case slots <- struct{}{}:
		default:
			_ = c.Close()
			return
		}
		h.wg.Go(func() {
			_ = q.put(&counted{Conn: c, leave: sync.OnceFunc(func() { <-slots })}) // which closes it if this is over
		})
	})
	h.stops = append(h.stops, release, func() error { leave(); return nil })
	h.serve(q, h.programs())
	return nil
}

// programs answers programs of this machine.
func (h *HTTP) programs() http.Handler {
	proxy := &httputil.ReverseProxy{
		Transport:     h.clients,
		FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			id, path, _ := target(r.In.URL)
			r.Out.URL = &url.URL{Scheme: "http", Host: id, RawPath: path, RawQuery: r.In.URL.RawQuery}
			r.Out.URL.Path, _ = url.PathUnescape(path) // which it has come as
			r.Out.Host = id
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, fmt.Sprintf("the peer is not reached: %v", err), http.StatusBadGateway)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h.fromHere(r); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		if _, _, err := target(r.URL); err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		proxy.ServeHTTP(w, r)
	})
}

// target reads /p2p/PEER/http/PATH. The path stays escaped.
func target(u *url.URL) (id, path string, err error) {
	rest, ok := strings.CutPrefix(u.EscapedPath(), "/p2p/")
	id, path, _ = strings.Cut(rest, "/")
	path, isHTTP := strings.CutPrefix(path, "http")
	if !ok || !isHTTP || path != "" && path[0] != '/' {
		return "", "", errors.New("ask for /p2p/PEER/http/PATH")
	}
	if _, err := peer.Decode(id); err != nil {
		return "", "", fmt.Errorf("%.100q is no peer ID", id)
	}
	return id, "/" + strings.TrimPrefix(path, "/"), nil
}

// fromHere refuses what a web page of somebody else's has a browser send: to a
// name that leads here, or across sites.
func (h *HTTP) fromHere(r *http.Request) error {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil && host != "localhost" && !slices.Contains(h.Hosts, host) && !strings.HasPrefix(h.Listen, "/unix/") {
		return fmt.Errorf("the host %.100q is not one of this proxy's; add it to hosts", host)
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
		return errors.New("web pages of other sites may not ask")
	}
	return nil
}

// counted is a connection that counts until it is closed.
type counted struct {
	net.Conn
	leave func()
}

// Close implements [net.Conn].
func (c *counted) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
