// SPDX-License-Identifier: Apache-2.0 OR MIT

package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/cmd/internal/node"
	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/peer"
)

const (
	defaultTimeout  = time.Minute
	maxTimeout      = time.Hour
	defaultInterval = time.Second
	maxPings        = 1 << 20
)

// Request is the body of the routes that concern a peer.
type Request struct {
	// Target is the peer: its ID, an address of it, or a domain.
	Target string `json:"target"`
	// Timeout bounds the request. Default: 1m.
	Timeout core.Duration `json:"timeout,omitempty"`
	// Count and Interval are those of pings. Default: 10, 1s.
	Count    int           `json:"count,omitempty"`
	Interval core.Duration `json:"interval,omitempty"`
}

// running returns the node of the configuration.
func running() (*host.Host, error) {
	h, ok := host.Running()
	if !ok {
		return nil, fail(http.StatusServiceUnavailable, errors.New(`this configuration runs no node: add "xnode": {} to apps`))
	}
	return h, nil
}

// call is a request about a peer.
type call struct {
	Request
	host *host.Host
	peer peer.AddrInfo
}

// asked reads a request about a peer and has it handled within its timeout.
func asked(handle func(context.Context, http.ResponseWriter, call) error) caddy.AdminHandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) (err error) {
		c := call{Request: Request{Timeout: core.Duration(defaultTimeout)}}
		if c.host, err = running(); err != nil {
			return err
		}
		if err := readRequest(r, &c.Request); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(r.Context(), min(time.Duration(c.Timeout), maxTimeout))
		defer cancel()
		if c.peer, err = node.Target(ctx, c.Target, net.DefaultResolver); err != nil {
			return fail(http.StatusBadRequest, err)
		}
		return handle(ctx, w, c)
	}
}

func serveID(w http.ResponseWriter, r *http.Request) error {
	h, err := running()
	if err != nil {
		return err
	}
	target := r.URL.Query().Get("peer")
	if target == "" {
		return reply(w, http.StatusOK, node.Self(h))
	}
	p, err := peer.ParseAddrInfo(target)
	if err != nil {
		return fail(http.StatusBadRequest, err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), defaultTimeout)
	defer cancel()
	info, err := node.Identify(ctx, h, p)
	if err != nil {
		return fail(http.StatusBadGateway, err)
	}
	return reply(w, http.StatusOK, info)
}

func servePeers(w http.ResponseWriter, _ *http.Request) error {
	h, err := running()
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, node.Conns(h))
}

func serveDiscovered(w http.ResponseWriter, _ *http.Request) error {
	h, err := running()
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, node.DiscoveredPeers(h))
}

func serveAddrs(w http.ResponseWriter, _ *http.Request) error {
	h, err := running()
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, node.AddrsOf(h))
}

func serveReach(w http.ResponseWriter, _ *http.Request) error {
	h, err := running()
	if err != nil {
		return err
	}
	reach, err := node.ReachOf(h)
	if err != nil {
		return fail(http.StatusNotImplemented, err)
	}
	return reply(w, http.StatusOK, reach)
}

func serveDoctor(w http.ResponseWriter, r *http.Request) error {
	h, err := running()
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, node.Diagnose(node.NodeFacts(r.Context(), h)))
}

func serveRelay(w http.ResponseWriter, _ *http.Request) error {
	h, err := running()
	if err != nil {
		return err
	}
	r, ok := core.Find[core.Relay](h)
	if !ok {
		return fail(http.StatusNotImplemented, node.ErrNoRelay)
	}
	return reply(w, http.StatusOK, r.RelayStats())
}

func serveLimits(w http.ResponseWriter, _ *http.Request) error {
	h, err := running()
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, h.Limits())
}

// Peer is the answer to a request that changes the connections to a peer.
type Peer struct {
	Peer string `json:"peer"`
	// Connections are how many there are, or were before they were closed.
	Connections int `json:"connections"`
}

func serveConnect(ctx context.Context, w http.ResponseWriter, c call) error {
	if _, err := c.host.Connect(core.AllowLimited(ctx), c.peer); err != nil {
		return fail(http.StatusBadGateway, err)
	}
	return reply(w, http.StatusOK, Peer{c.peer.ID.String(), len(c.host.ConnsTo(c.peer.ID))})
}

func serveDisconnect(_ context.Context, w http.ResponseWriter, c call) error {
	n := len(c.host.ConnsTo(c.peer.ID))
	if n == 0 {
		return fail(http.StatusNotFound, core.ErrNotConnected)
	}
	if err := c.host.Disconnect(c.peer.ID); err != nil {
		return fail(http.StatusInternalServerError, err)
	}
	return reply(w, http.StatusOK, Peer{c.peer.ID.String(), n})
}

func serveTrace(ctx context.Context, w http.ResponseWriter, c call) error {
	return reply(w, http.StatusOK, node.TraceDial(ctx, c.host, c.Target, c.peer))
}

func servePing(ctx context.Context, w http.ResponseWriter, c call) error {
	if c.Count == 0 {
		c.Count = 10
	}
	if c.Interval == 0 {
		c.Interval = core.Duration(defaultInterval)
	}
	if c.Count < 0 || c.Count > maxPings {
		return fail(http.StatusBadRequest, fmt.Errorf("count: %d is not between 1 and %d", c.Count, maxPings))
	}
	out := lines{w: w}
	err := node.Ping(ctx, c.host, c.peer, c.Count, time.Duration(c.Interval), func(pong node.Pong) error { return out.write(pong) })
	return out.end(http.StatusBadGateway, err)
}
