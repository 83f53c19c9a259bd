// SPDX-License-Identifier: Apache-2.0 OR MIT

package http

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httputil"
	"slices"

	"github.com/xnode-p2p/xnode/core"
)

// peerHeader tells the server who asks.
const peerHeader = "Libp2p-Peer-Id"

// wellKnown is where the protocols are that a server speaks over HTTP.
const wellKnown = "/.well-known/libp2p/protocols"

// startServing shows peers the server.
func (h *HTTP) startServing(n core.Node) {
	q := newQueue(peerAddr(n.ID().String()))
	local := http.DefaultTransport.(*http.Transport).Clone()
	local.Proxy = nil // the server is one of this machine
	h.stops = append(h.stops, func() error { local.CloseIdleConnections(); return nil })
	proxy := &httputil.ReverseProxy{
		Transport:     local,
		FlushInterval: -1,
		ErrorLog:      nil,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(h.to)
			r.Out.Header.Set(peerHeader, r.In.RemoteAddr)
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			h.log.Debug("the server does not answer", "error", err)
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	h.serve(q, h.protocols(patient(proxy)))
	slots := make(chan struct{}, h.MaxConnections)
	h.remove = n.Handle(ID, func(s core.Stream) error {
		if from := s.Conn().RemotePeer(); h.allow != nil && !slices.Contains(h.allow, from) {
			return fmt.Errorf("%s may not ask; add it to serve.allow", from)
		}
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			return fmt.Errorf("more than %d connections; raise max_connections", h.MaxConnections)
		}
		c := newConn(s)
		if err := q.put(c); err != nil {
			return err
		}
		select {
		case <-c.closed:
		case <-s.Conn().Done():
			c.lose()
			<-c.closed // the server closes every connection in the end
		}
		return nil
	})
}

// connKey is the key of the connection in the context of a request.
type connKey struct{}

// patient answers peers who have ended their side of the stream after the request, as
// go-libp2p's do. The HTTP library takes that for a lost connection, and the context
// of the request ends.
func patient(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
		defer cancel()
		if c, ok := r.Context().Value(connKey{}).(*conn); ok {
			defer context.AfterFunc(c.lost, cancel)()
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// protocols answers who asks what the server speaks, if the configuration says.
func (h *HTTP) protocols(next http.Handler) http.Handler {
	if len(h.Serve.Protocols) == 0 {
		return next
	}
	type place struct {
		Path string `json:"path"`
	}
	list := make(map[string]place)
	for id, path := range h.Serve.Protocols {
		list[id] = place{path}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != wellKnown || r.Method != http.MethodGet {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(list) // who asked has gone
	})
}
