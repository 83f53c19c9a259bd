// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package delegated has servers on the web find content, peers and records of
// IPNS, over HTTP.
//
// Spec: https://specs.ipfs.tech/routing/http-routing-v1/
//
//	"routing": {"delegated": {"endpoints": ["https://delegated-ipfs.dev"]}}
//
// All servers are asked at once. They cannot be told what the node provides: that
// wants a DHT. routing.delegatedserver is such a server.
package delegated

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/modules/routing/internal/routingv1"
)

func init() { core.Register(new(Delegated), core.Beta) }

// maxEndpoints bounds the servers.
const maxEndpoints = 16

// Delegated is the xnode.routing.delegated module.
type Delegated struct {
	// Endpoints are the URLs of the servers, without /routing/v1. Placeholders
	// are expanded. There must be at least one.
	Endpoints []string `json:"endpoints"`
	// Timeout bounds a request. Default: "30s".
	Timeout core.Duration `json:"timeout,omitempty"`
	// FilterAddrs are protocols of addresses: those without any of them are left
	// out, and those with one that has ! before it. The server does that, and the
	// module once more. Default: none, which leaves nothing out.
	FilterAddrs []string `json:"filter_addrs,omitempty"`
	// FilterProtocols are protocols for transfer: providers that speak none of
	// them are left out; "unknown" stands for those of whom that is not known.
	// Default: none, which leaves nobody out.
	FilterProtocols []string `json:"filter_protocols,omitempty"`
	// Records are the modules that check records.
	// Default: {"ipns": {}}, if it is in the binary.
	Records core.Map[core.RecordValidator] `json:"records,omitempty"`

	log       *slog.Logger
	filter    routingv1.Filter
	records   record.Validators
	endpoints []*endpoint

	transport http.RoundTripper
	idle      func() // closes idle connections
	done      context.Context
	stop      context.CancelFunc
}

// CaddyModule implements [caddy.Module].
func (*Delegated) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.routing.delegated", New: func() caddy.Module { return new(Delegated) }}
}

// Provision implements [caddy.Provisioner].
func (d *Delegated) Provision(ctx caddy.Context) (err error) {
	d.log = core.Logger(ctx)
	if d.Timeout == 0 {
		d.Timeout = core.Duration(30 * time.Second)
	}
	if d.filter, err = routingv1.NewFilter(d.FilterAddrs, d.FilterProtocols); err != nil {
		return fmt.Errorf("filter_addrs, filter_protocols: %w", err)
	}
	if d.Records == nil {
		if _, err := caddy.GetModule("xnode.record.ipns"); err == nil {
			d.Records = core.Map[core.RecordValidator]{"ipns": []byte("{}")}
		}
	}
	loaded, err := d.Records.Load(ctx)
	if err != nil {
		return fmt.Errorf("records: %w", err)
	}
	d.records = make(record.Validators)
	for _, l := range loaded {
		d.records[l.Name] = l.Module
	}
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		MaxConnsPerHost:        maxConns,
		IdleConnTimeout:        time.Minute,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true, // an answer is as large as it is
	}
	d.transport, d.idle = transport, transport.CloseIdleConnections
	d.done, d.stop = context.WithCancel(context.Background())
	for i, text := range d.Endpoints {
		base, err := baseURL(text)
		if err != nil {
			return fmt.Errorf("endpoints/%d: %w", i, err)
		}
		d.endpoints = append(d.endpoints, &endpoint{module: d, base: base, local: isLocal(base)})
	}
	return nil
}

// baseURL reads the URL of a server.
func baseURL(text string) (*url.URL, error) {
	text, err := core.Expand(text)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w; an example is https://delegated-ipfs.dev", err)
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q is no URL of a server; an example is https://delegated-ipfs.dev", u.Redacted())
	}
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), "/routing/v1")
	return u, nil
}

// isLocal tells whether a server is on this machine or in this local network, and
// so may know peers that are.
func isLocal(u *url.URL) bool {
	if u.Hostname() == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && (ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast())
}

// Validate implements [caddy.Validator].
func (d *Delegated) Validate() error {
	if len(d.Endpoints) == 0 || len(d.Endpoints) > maxEndpoints {
		return fmt.Errorf("endpoints: there are %d; want 1 to %d", len(d.Endpoints), maxEndpoints)
	}
	return nil
}

// Start implements [core.Service].
func (d *Delegated) Start(_ context.Context, n core.Node) error {
	for _, e := range d.endpoints {
		e.self.Store(new(n.ID()))
	}
	return nil
}

// Close implements [core.Service]. Whoever waits for an answer gets an error.
func (d *Delegated) Close() error {
	d.stop()
	d.idle()
	return nil
}

// servers are the endpoints, each a router of its own, and what judges the records
// that they have.
type servers struct {
	endpoints []*endpoint
	judge     core.ValueJudge
}

// Modules implements [core.Modules].
func (s servers) Modules() []any {
	list := make([]any, 0, len(s.endpoints)+1)
	for _, e := range s.endpoints {
		list = append(list, e)
	}
	return append(list, struct{ core.ValueJudge }{s.judge})
}

func (d *Delegated) all() core.Routers { return core.Routers{Of: servers{d.endpoints, d}} }

// FindPeer implements [core.PeerRouting].
func (d *Delegated) FindPeer(ctx context.Context, p peer.ID) (peer.AddrInfo, error) {
	return d.all().FindPeer(ctx, p)
}

// ClosestPeers implements [core.PeerRouting]. Servers know keys only that are
// multihashes, such as peer IDs; not all can be asked.
func (d *Delegated) ClosestPeers(ctx context.Context, key []byte) ([]peer.AddrInfo, error) {
	return d.all().ClosestPeers(ctx, key)
}

// Provide implements [core.ContentRouting]: servers cannot be told.
func (d *Delegated) Provide(context.Context, []byte) error {
	return fmt.Errorf("delegated routing only finds: to provide, add a DHT to routing: %w", errors.ErrUnsupported)
}

// FindProviders implements [core.ContentRouting].
func (d *Delegated) FindProviders(ctx context.Context, key []byte, count int) iter.Seq2[peer.AddrInfo, error] {
	return d.all().FindProviders(ctx, key, count)
}

// PutValue implements [core.ValueStore].
func (d *Delegated) PutValue(ctx context.Context, key string, value []byte) error {
	if err := d.records.Validate(key, value); err != nil {
		return err
	}
	return d.all().PutValue(ctx, key, value)
}

// GetValue implements [core.ValueStore].
func (d *Delegated) GetValue(ctx context.Context, key string) ([]byte, error) {
	return d.all().GetValue(ctx, key)
}

// SearchValue implements [core.ValueStore].
func (d *Delegated) SearchValue(ctx context.Context, key string) iter.Seq2[[]byte, error] {
	return d.all().SearchValue(ctx, key)
}

// SelectValue implements [core.ValueJudge].
func (d *Delegated) SelectValue(key string, values [][]byte) (int, error) {
	return d.records.Select(key, values)
}

var (
	_ core.Routing        = (*Delegated)(nil)
	_ core.PeerRouting    = (*Delegated)(nil)
	_ core.ContentRouting = (*Delegated)(nil)
	_ core.ValueStore     = (*Delegated)(nil)
	_ core.ValueJudge     = (*Delegated)(nil)
	_ caddy.Provisioner   = (*Delegated)(nil)
	_ caddy.Validator     = (*Delegated)(nil)
)
