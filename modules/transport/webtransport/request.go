// SPDX-License-Identifier: Apache-2.0 OR MIT

package webtransport

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"
)

const (
	// path is where the specification has libp2p served.
	path = "/.well-known/libp2p-webtransport"
	// maxHeaderBytes bounds the header of a request, as it is encoded and as
	// it is decoded.
	maxHeaderBytes = 16 << 10
)

// protocols are the names of WebTransport in a CONNECT request: that of the
// drafts up to 14 of draft-ietf-webtrans-http3, which browsers use, and the one
// since.
var protocols = []string{"webtransport", "webtransport-h3"}

// server serves HTTP/3 on one QUIC connection, to open one session.
type server struct {
	wt    webtransport.Server
	taken atomic.Bool
	// session gets the session; it has room for it.
	session chan *webtransport.Session
}

func newServer(t *Transport) *server {
	s := &server{session: make(chan *webtransport.Session, 1)}
	s.wt.H3 = &http3.Server{Handler: s, MaxHeaderBytes: maxHeaderBytes, Logger: slog.New(errorsOnly{t.log.Handler()})}
	s.wt.CheckOrigin = func(*http.Request) bool { return true } // Noise authenticates
	return s
}

// serve returns when the connection has ended.
func (s *server) serve(c *quic.Conn) error { return s.wt.ServeQUICConn(c) }

// ServeHTTP opens the session at the first request that asks for it. Whoever
// wants a second one has to make a second connection: each is counted.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case !wanted(r):
		w.WriteHeader(http.StatusNotFound)
	case s.taken.Swap(true):
		w.WriteHeader(http.StatusTooManyRequests)
	default:
		session, err := s.wt.Upgrade(w, r)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.session <- session
	}
}

// wanted tells whether a request is one for a session with libp2p on it.
func wanted(r *http.Request) bool {
	if r.Method != http.MethodConnect || !slices.Contains(protocols, r.Proto) || r.URL.Path != path {
		return false
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	return err == nil && slices.Equal(query["type"], []string{"noise"})
}

// errorsOnly leaves out of a log what every request would add to it.
type errorsOnly struct{ slog.Handler }

// Enabled implements [slog.Handler].
func (h errorsOnly) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError && h.Handler.Enabled(ctx, level)
}
