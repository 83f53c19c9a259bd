// SPDX-License-Identifier: Apache-2.0 OR MIT

package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/cmd/internal/node"
	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
)

// RoutingRequest is the body of the routes that look something up. Their answers
// have a line of JSON for each thing that is found: [node.Found], and
// [node.Crawled] of a crawl.
type RoutingRequest struct {
	// Key is what is looked up: the ID of a peer, the CID of content, or the key
	// of a record, such as /ipns/NAME.
	Key string `json:"key,omitempty"`
	// Value is the record that is put; in base64, as JSON has it.
	Value []byte `json:"value,omitempty"`
	// Count ends the search for providers, or a crawl, after so many; zero means
	// when there are no more.
	Count int `json:"count,omitempty"`
	// Keep has content provided, or a record put, again and again; Stop ends that.
	Keep bool `json:"keep,omitempty"`
	Stop bool `json:"stop,omitempty"`
	// Trace adds the steps of the look-up to the answer.
	Trace bool `json:"trace,omitempty"`
	// Timeout bounds the request. Default: 1m.
	Timeout core.Duration `json:"timeout,omitempty"`
}

// Lookups are what looks things up on behalf of the routes, by their names: each
// calls its last argument with what it finds, until that returns false.
func Lookups() map[string]func(context.Context, *host.Host, RoutingRequest, func(any) bool) error {
	return map[string]func(context.Context, *host.Host, RoutingRequest, func(any) bool) error{
		"findpeer": findPeer, "query": query, "findprovs": findProviders, "provide": provide, "get": getValue, "put": putValue,
	}
}

// maxPending bounds the lines that wait to be sent. Of the steps of a look-up
// those are left out that find no room.
const maxPending = 1024

// badRequest is the error of a request that cannot be meant.
type badRequest struct{ error }

// emit takes a line of an answer. It returns false when no more are wanted.
type emit = func(any) bool

// routed makes a route of something that looks things up and tells what it finds.
func routed(do func(context.Context, *host.Host, RoutingRequest, emit) error) caddy.AdminHandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		h, err := running()
		if err != nil {
			return err
		}
		q := RoutingRequest{Timeout: core.Duration(defaultTimeout)}
		if err := readRequest(r, &q); err != nil {
			return err
		}
		if q.Count < 0 {
			return fail(http.StatusBadRequest, fmt.Errorf("count: %d is below zero", q.Count))
		}
		ctx, cancel := context.WithTimeout(r.Context(), min(time.Duration(q.Timeout), maxTimeout))
		defer cancel()
		pending := make(chan any, maxPending)
		if q.Trace {
			ctx = core.TraceLookup(ctx, func(s core.LookupStep) {
				select {
				case pending <- node.FoundStep(s):
				default:
				}
			})
		}
		ended := make(chan error, 1)
		go func() {
			ended <- do(ctx, h, q, func(v any) bool {
				select {
				case pending <- v:
					return true
				case <-ctx.Done():
					return false
				}
			})
		}()
		return answer(newLines(w, r), pending, ended, cancel)
	}
}

// answer sends the lines as they come, until it has ended, which it waits for.
func answer(out *lines, pending <-chan any, ended <-chan error, cancel func()) error {
	for {
		select {
		case v := <-pending:
			if err := out.write(v); err != nil {
				cancel()
				<-ended
				return err
			}
		case failed := <-ended:
			for len(pending) > 0 {
				if err := out.write(<-pending); err != nil {
					return err
				}
			}
			return out.end(statusOf(failed), failed)
		}
	}
}

func statusOf(err error) int {
	switch {
	case errors.As(err, new(badRequest)):
		return http.StatusBadRequest
	case errors.Is(err, core.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, core.ErrNoRouting), errors.Is(err, node.ErrNoDHT):
		return http.StatusNotImplemented
	}
	return http.StatusBadGateway
}

func findPeer(ctx context.Context, h *host.Host, q RoutingRequest, found emit) error {
	p, err := peer.ParseAddrInfo(q.Key)
	if err != nil {
		return badRequest{err}
	}
	if p.ID == h.ID() {
		return badRequest{errors.New("the node itself: 'xnode addrs local' has its addresses")}
	}
	info, err := core.Routers{Of: h}.FindPeer(ctx, p.ID)
	if err != nil {
		return err
	}
	found(node.FoundPeer(peer.AddrInfo{ID: p.ID, Addrs: info.Addrs}))
	return nil
}

func query(ctx context.Context, h *host.Host, q RoutingRequest, found emit) error {
	key, err := node.QueryKey(q.Key)
	if err != nil {
		return badRequest{err}
	}
	list, err := core.Routers{Of: h}.ClosestPeers(ctx, key)
	if err != nil {
		return err
	}
	for _, p := range list {
		found(node.FoundPeer(p))
	}
	return nil
}

func findProviders(ctx context.Context, h *host.Host, q RoutingRequest, found emit) error {
	key, err := node.ContentKey(q.Key)
	if err != nil {
		return badRequest{err}
	}
	some := false
	for p, err := range (core.Routers{Of: h}).FindProviders(ctx, key, q.Count) {
		if err != nil && (!some || !errors.Is(err, core.ErrNotFound)) {
			return err
		}
		if err != nil || !found(node.FoundPeer(p)) {
			break
		}
		some = true
	}
	if !some {
		return core.ErrNotFound
	}
	return nil
}

func provide(ctx context.Context, h *host.Host, q RoutingRequest, _ emit) error {
	key, err := node.ContentKey(q.Key)
	if err != nil {
		return badRequest{err}
	}
	if !q.Keep && !q.Stop {
		return core.Routers{Of: h}.Provide(ctx, key)
	}
	dht, ok := core.Find[core.DHT](h)
	switch {
	case !ok:
		return node.ErrNoDHT
	case q.Stop:
		return dht.Unkeep(key)
	}
	return dht.Keep(ctx, key)
}

func getValue(ctx context.Context, h *host.Host, q RoutingRequest, found emit) error {
	key, err := record.ParseKey(q.Key)
	if err != nil {
		return badRequest{err}
	}
	value, err := core.Routers{Of: h}.GetValue(ctx, key)
	if err != nil {
		return err
	}
	found(node.Found{Value: value})
	return nil
}

func putValue(ctx context.Context, h *host.Host, q RoutingRequest, _ emit) error {
	key, err := record.ParseKey(q.Key)
	if err != nil {
		return badRequest{err}
	}
	if !q.Keep && !q.Stop {
		return core.Routers{Of: h}.PutValue(ctx, key, q.Value)
	}
	dht, ok := core.Find[core.DHT](h)
	switch {
	case !ok:
		return node.ErrNoDHT
	case q.Stop:
		return dht.UnkeepValue(key)
	}
	return dht.KeepValue(ctx, key, q.Value)
}

// crawl asks everybody for everybody they know.
func crawl(ctx context.Context, h *host.Host, q RoutingRequest, found emit) error {
	dht, ok := core.Find[core.DHT](h)
	if !ok {
		return node.ErrNoDHT
	}
	n := 0
	for p, err := range dht.Crawl(ctx) {
		if err != nil {
			return err
		}
		if n++; !found(node.CrawledPeer(p)) || n == q.Count {
			break
		}
	}
	return nil
}

func serveDHT(w http.ResponseWriter, _ *http.Request) error {
	h, err := running()
	if err != nil {
		return err
	}
	stats := []core.DHTStats{}
	for _, dht := range core.FindAll[core.DHT](h) {
		stats = append(stats, dht.Stats()...)
	}
	if len(stats) == 0 {
		return fail(http.StatusNotImplemented, node.ErrNoDHT)
	}
	return reply(w, http.StatusOK, stats)
}
