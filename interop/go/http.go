// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	libp2phttp "github.com/libp2p/go-libp2p/p2p/http"
)

// httpEchoID is the protocol over HTTP that every peer serves: what is posted comes back, and
// httpAskedBy says who posted it.
const (
	httpEchoID  = "/http-echo/1.0.0"
	httpAskedBy = "Asked-By"
)

// web is HTTP over the node's streams; nil if it serves none.
type web struct {
	host libp2phttp.Host
	done chan error
}

// startWeb serves peers the echo.
func (n *node) startWeb(wanted bool) *web {
	if !wanted {
		return nil
	}
	w := &web{libp2phttp.Host{StreamHost: n.Host}, make(chan error, 1)}
	w.host.SetHTTPHandler(httpEchoID, http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
		answer.Header().Set(httpAskedBy, libp2phttp.ClientPeerID(r).String())
		body, err := io.ReadAll(http.MaxBytesReader(answer, r.Body, 64<<20))
		if err == nil {
			_, _ = answer.Write(body) // who asked has gone
		}
	}))
	go func() { w.done <- w.host.Serve() }()
	return w
}

func (w *web) Close() error {
	if w == nil {
		return nil
	}
	err := w.host.Close()
	if served := <-w.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
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
		s, err := in.open(ctx)
		if err != nil {
			return err
		}
		defer s.Close()
		watch := startWatch()
		result := httpResult{PeerID: s.ID().String()}
		if err := result.ask(ctx, &libp2phttp.Host{StreamHost: s.Host}, s.remote, *size); err != nil {
			return fmt.Errorf("http: %w", err)
		}
		result.Seconds = watch.seconds()
		in.out.emit(result)
		return nil
	}
}

// ask fills in the result: the library asks for the protocols to know where the echo is.
func (r *httpResult) ask(ctx context.Context, h *libp2phttp.Host, server peer.ID, size uint64) error {
	client, err := h.NamespacedClient(httpEchoID, peer.AddrInfo{ID: server})
	if err != nil {
		return err
	}
	meta, ok := h.GetPeerMetadata(server)
	if !ok {
		return errors.New("the server's protocols are not known")
	}
	for _, id := range slices.Sorted(maps.Keys(meta)) {
		r.Protocols = append(r.Protocols, string(id))
	}
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{'h', 't', 't', 'p'}).Read(data) // never fails
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, "/", bytes.NewReader(data))
	if err != nil {
		return err
	}
	answer, err := client.Do(post)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	back, err := io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return err
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %.200s", answer.Status, back)
	case !bytes.Equal(back, data):
		return fmt.Errorf("%d other bytes came back for %d", len(back), size)
	}
	r.OK, r.AskedBy = true, answer.Header.Get(httpAskedBy)
	return nil
}
