// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxPings bounds how many pings a page may ask for.
	maxPings = 100
	// pollEvery is how often the node's connections are counted.
	pollEvery = 100 * time.Millisecond
	// settleTime is how long the node may take to have as many connections as
	// it should. A browser that goes without a word is noticed by silence.
	settleTime = time.Minute
)

// look is what was seen of the node at some moment.
type look struct {
	// Seconds is how long it took to the wanted number of connections.
	Seconds float64 `json:"seconds"`
	Conns   []conn  `json:"conns"`
	// Waited are the transports of the connections that it had just before.
	Waited []string `json:"waited"`
	// Others is how long a ping took to a node of another process, in
	// milliseconds, by transport.
	Others map[string]float64 `json:"others"`
	Error  string             `json:"error"`
}

// site is what the page and the driver ask of this process.
type site struct {
	node  *node
	cases []testCase
}

// serve serves the page on loopback.
func (r *run) serve(ctx context.Context, n *node, cases []testCase) (url string, stop func(), err error) {
	s := &site{n, cases}
	mux := http.NewServeMux()
	file := func(path string) http.HandlerFunc {
		return func(w http.ResponseWriter, q *http.Request) { http.ServeFile(w, q, path) }
	}
	mux.HandleFunc("GET /{$}", file(r.folder("page", "index.html")))
	mux.HandleFunc("GET /page.js", file(filepath.Join(r.out, "page.js")))
	mux.HandleFunc("GET /cases", answer(s.serveCases))
	mux.HandleFunc("GET /back", answer(s.serveBack))
	mux.HandleFunc("GET /call", answer(s.serveCall))
	mux.HandleFunc("GET /node", answer(s.serveNode))
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: mux, BaseContext: func(net.Listener) context.Context { return ctx }}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) }) // if it ends early, the page says so
	return "http://" + l.Addr().String() + "/", func() {
		_ = server.Close() // nobody waits for an answer any more
		serving.Wait()
	}, nil
}

// answer makes a handler that answers in JSON, or with an error's text.
func answer[T any](get func(*http.Request) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		v, err := get(q)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v) // whoever asked may be gone
	}
}

func (s *site) serveCases(*http.Request) ([]testCase, error) { return s.cases, nil }

// serveBack has the node ping the page's peer over the connection they have.
func (s *site) serveBack(q *http.Request) ([]float64, error) {
	count, err := strconv.Atoi(q.FormValue("count"))
	if err != nil || count < 1 || count > maxPings {
		return nil, fmt.Errorf("count %q: want 1 to %d", q.FormValue("count"), maxPings)
	}
	return s.node.ping(q.Context(), q.FormValue("peer"), count)
}

// serveCall has the node dial the page's peer, and tells its own ID.
func (s *site) serveCall(q *http.Request) (string, error) {
	return peerOf(s.node.addrs[0]), s.node.connect(q.Context(), q.FormValue("addr"))
}

// serveNode waits until the node has as many connections as it should, and then
// sees whether others are served.
func (s *site) serveNode(q *http.Request) (look, error) {
	want, err := strconv.Atoi(q.FormValue("peers"))
	if err != nil {
		return look{}, err
	}
	l, err := s.node.settle(q.Context(), want)
	if err != nil {
		return l, err
	}
	l.Others = map[string]float64{}
	for _, addr := range s.node.addrs {
		name := "tcp"
		if strings.Contains(addr, "/quic-v1/p2p/") {
			name = "quic"
		} else if strings.Contains(addr, "/p2p-circuit/") || strings.Contains(addr, "/ws/") || strings.Contains(addr, "/udp/") {
			continue
		}
		times, err := s.node.ping(q.Context(), addr, 1)
		if err != nil {
			return l, fmt.Errorf("another node: %w", err)
		}
		l.Others[name] = times[0]
	}
	return l, nil
}

// settle waits until the node has as many connections as are wanted.
func (n *node) settle(ctx context.Context, want int) (l look, err error) {
	start := time.Now()
	late := time.NewTimer(settleTime)
	defer late.Stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if l.Conns, err = n.conns(ctx); err != nil {
			return l, err
		}
		l.Seconds = time.Since(start).Seconds()
		if len(l.Conns) == want {
			return l, nil
		}
		l.Waited = l.Waited[:0]
		for _, c := range l.Conns {
			l.Waited = append(l.Waited, c.Transport)
		}
		select {
		case <-tick.C:
		case <-late.C:
			return l, fmt.Errorf("after %v it has %d connections, want %d: %q", settleTime, len(l.Conns), want, l.Waited)
		case <-ctx.Done():
			return l, context.Cause(ctx)
		}
	}
}
