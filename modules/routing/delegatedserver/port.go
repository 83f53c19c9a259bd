// SPDX-License-Identifier: Apache-2.0 OR MIT

package delegatedserver

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

const (
	// maxConns bounds the connections of a port.
	maxConns = 1024
	// maxHeader bounds the head of a request, in bytes.
	maxHeader = 16 << 10
	// headTime is how long a client may take to send it, idleTime how long a
	// connection may wait for the next.
	headTime = 10 * time.Second
	idleTime = time.Minute
)

// portKey is what the port of an address is shared under.
type portKey string

// port is one socket and the server of HTTP on it. A reload has two instances of
// the module on it for a moment: the later one answers.
type port struct {
	listener net.Listener
	server   *http.Server
	wg       sync.WaitGroup

	mu       sync.Mutex
	handlers []http.Handler // one each instance
}

func open(address string, logger *slog.Logger) (*port, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	p := &port{listener: netutil.LimitListener(l, maxConns)}
	p.server = &http.Server{
		Handler:           p,
		ReadHeaderTimeout: headTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(quiet{logger}, "", 0),
	}
	p.wg.Go(func() {
		if err := p.server.Serve(p.listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("no more requests are taken", "listen", address, "error", err)
		}
	})
	return p, nil
}

// quiet logs what package http has to say of its clients.
type quiet struct{ log *slog.Logger }

// Write implements [io.Writer].
func (q quiet) Write(b []byte) (int, error) {
	q.log.Log(context.Background(), slog.LevelDebug, "request", "error", string(b))
	return len(b), nil
}

// Close implements [io.Closer].
func (p *port) Close() error {
	err := p.server.Close()
	p.wg.Wait()
	return err
}

func (p *port) add(h http.Handler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handlers = append(p.handlers, h)
}

func (p *port) remove(h http.Handler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handlers = slices.DeleteFunc(p.handlers, func(o http.Handler) bool { return o == h })
}

// ServeHTTP implements [http.Handler].
func (p *port) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	var h http.Handler
	if n := len(p.handlers); n > 0 {
		h = p.handlers[n-1]
	}
	p.mu.Unlock()
	if h == nil {
		http.Error(w, "closing", http.StatusServiceUnavailable)
		return
	}
	h.ServeHTTP(w, r)
}
