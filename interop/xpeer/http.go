// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// httpEchoID is the protocol over HTTP that every peer serves: what is posted comes
// back, and httpAskedBy says who posted it.
const (
	httpEchoID  = "/http-echo/1.0.0"
	httpAskedBy = "Asked-By"
)

// webServer is a web server of this machine, which a node shows to its peers.
type webServer struct {
	server *http.Server
	done   chan struct{}
	url    string
}

func startWebServer() (*webServer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /echo/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(httpAskedBy, r.Header.Get("Libp2p-Peer-Id"))
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<20))
		if err == nil {
			_, _ = w.Write(body) // who asked has gone
		}
	})
	s := &webServer{&http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}, make(chan struct{}), "http://" + l.Addr().String()}
	go func() {
		defer close(s.done)
		_ = s.server.Serve(l) // until Close
	}()
	return s, nil
}

// config is that of the module http.
func (s *webServer) config() json.RawMessage {
	return fmt.Appendf(nil, `{"serve": {"to": %q, "allow": ["*"], "protocols": {%q: "/echo/"}}}`, s.url, httpEchoID)
}

// Close ends the server and waits for it.
func (s *webServer) Close() {
	_ = s.server.Close()
	<-s.done
}

type httpResult struct {
	OK        bool     `json:"ok"`
	Protocols []string `json:"protocols"` // that the server speaks over HTTP
	// AskedBy is who asks, as the server knows it, and PeerID as it is.
	AskedBy string  `json:"asked_by"`
	PeerID  string  `json:"peer_id"`
	Seconds float64 `json:"seconds"`
}

// httpCommand asks a peer what it speaks over HTTP, posts to its echo and compares.
func httpCommand(flags *flag.FlagSet) body {
	size := flags.Uint64("size", 1<<20, "bytes to post and to have back")
	return func(ctx context.Context, in *invocation) error {
		target, err := in.target()
		if err != nil {
			return err
		}
		b, err := in.clientBlueprint(target)
		if err != nil {
			return err
		}
		dir, err := os.MkdirTemp("", "xpeer")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		socket := filepath.Join(dir, "http.sock")
		b.protocols = map[string]json.RawMessage{"http": fmt.Appendf(nil, `{"listen": %q}`, "/unix"+socket)}
		n, err := b.start(ctx)
		if err != nil {
			return err
		}
		s, err := n.dial(ctx, target)
		if err != nil {
			n.Close()
			return err
		}
		defer s.Close()
		watch := startWatch()
		client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}}}
		defer client.CloseIdleConnections()
		result := httpResult{PeerID: n.ID().String()}
		if err := result.ask(ctx, client, "http://localhost/p2p/"+target.ID.String()+"/http", *size); err != nil {
			return fmt.Errorf("http: %w", err)
		}
		result.Seconds = watch.seconds()
		in.out.emit(result)
		return nil
	}
}

// ask fills in the result by two requests to the server at base.
func (r *httpResult) ask(ctx context.Context, c *http.Client, base string, size uint64) error {
	text, _, err := request(ctx, c, http.MethodGet, base+"/.well-known/libp2p/protocols", nil)
	if err != nil {
		return err
	}
	var places map[string]struct{ Path string }
	if err := json.Unmarshal(text, &places); err != nil {
		return err
	}
	r.Protocols = slices.Sorted(maps.Keys(places))
	place, ok := places[httpEchoID]
	if !ok {
		return fmt.Errorf("the server does not speak %s, but %v", httpEchoID, r.Protocols)
	}
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{'h', 't', 't', 'p'}).Read(data) // never fails
	back, header, err := request(ctx, c, http.MethodPost, base+place.Path, data)
	if err != nil {
		return err
	}
	if !bytes.Equal(back, data) {
		return fmt.Errorf("%d other bytes came back for %d", len(back), size)
	}
	r.OK, r.AskedBy = true, header.Get(httpAskedBy)
	return nil
}

// request returns the answer to a request, which has to be a success.
func request(ctx context.Context, c *http.Client, method, url string, data []byte) ([]byte, http.Header, error) {
	ask, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(data))
	if err != nil {
		return nil, nil, err
	}
	answer, err := c.Do(ask)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %.200s", method, url, answer.Status, text)
	}
	return text, answer.Header, err
}
