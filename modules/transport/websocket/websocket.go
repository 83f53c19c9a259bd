// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package websocket carries connections over WebSockets: /ip4/192.0.2.1/tcp/80/ws,
// /ip4/192.0.2.1/tcp/443/tls/sni/example.com/ws.
//
// Spec: https://github.com/libp2p/specs/blob/master/websockets/README.md, RFC 6455
//
//	"transports": {"websocket": {"certificate": {"module": "file", "cert_file": "…", "key_file": "…"}}},
//	"listen": ["/ip4/0.0.0.0/tcp/4001/ws", "/ip4/0.0.0.0/tcp/4001/tls/ws"]
//
// One TCP port serves it plain, with TLS, and transport tcp. /wss is the same as
// /tls/ws. An address that ends in /http-path/PATH wants that path, others any.
// Behind a certificate for a name, peers are told /tls/sni/NAME/ws. A web page may
// connect wherever it is from: who the peer is gets proved within the connection.
// With the HTTP server of somebody else in front see [Transport.ServeHTTP] and the
// field trusted_proxies.
//
// The frames are its own. What the library coder/websocket makes a connection of
// is closed by every deadline, and sends 64 KiB to a server in 17 writes and 0.9
// to 1.3 CPU seconds per GiB, both ends; here it is one write and 0.5, where bare
// TCP takes 0.4. The tests talk to that library in both directions.
//
// There is no compression, no HTTP/2 or HTTP/3, and no HTTP proxy on the way out.
package websocket

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
)

func init() { core.Register(new(Transport), core.Beta) }

const (
	defaultConnectTimeout = core.Duration(10 * time.Second)
	defaultClientIPHeader = "X-Forwarded-For"
)

// Transport is the xnode.transport.websocket module.
type Transport struct {
	// Certificate is where the TLS certificates for /tls/ws come from: a module
	// of the namespace xnode.certificate. Default: none; only /ws can be
	// listened on.
	Certificate core.One[core.CertificateSource] `json:"certificate,omitempty"`
	// TrustedProxies are the IP addresses and networks of proxies, such as
	// 10.0.0.0/8, that are believed when they say who the client is. Limits
	// and the gater then apply to that address. Default: none; what others
	// say of this kind is ignored.
	TrustedProxies []string `json:"trusted_proxies,omitempty"`
	// ClientIPHeader is the header of a request in which a trusted proxy adds
	// the client's address: a list like that of X-Forwarded-For, or Forwarded
	// of RFC 7239. The proxy must set it or add to it, whatever the client has
	// sent; no other header is looked at. Default: X-Forwarded-For.
	ClientIPHeader string `json:"client_ip_header,omitempty"`
	// ProxyProtocol expects the header of the PROXY protocol, version 1 or 2,
	// ahead of every connection from a trusted proxy. The port must not be
	// listened on by other transports. Default: false.
	ProxyProtocol bool `json:"proxy_protocol,omitempty"`
	// ConnectTimeout is how long one address may take to be dialled, with the
	// handshakes of TLS and WebSocket. Default: 10s.
	ConnectTimeout core.Duration `json:"connect_timeout,omitempty"`
	// RootCAFile is a file of certificates in PEM that the certificates of
	// servers are checked against. Placeholders are replaced. Default: what
	// the system has.
	RootCAFile string `json:"root_ca_file,omitempty"`
	// InsecureSkipTLSVerify does not check the certificates of servers. Who
	// the peer is gets proved within the connection all the same. It is for
	// tests. Default: false.
	InsecureSkipTLSVerify bool `json:"insecure_skip_tls_verify,omitempty"`

	log       *slog.Logger
	source    core.CertificateSource // nil if there is none
	trusted   []netip.Prefix
	header    string // ClientIPHeader
	clientTLS *tls.Config
	buffers   buffers
	shares    core.Shares     // the node's; nil before Start
	own       core.ShareTable // without a node

	mu      sync.Mutex
	carried []*listener // those that ServeHTTP feeds, in the order of their opening

	names names
}

// CaddyModule implements [caddy.Module].
func (*Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.transport.websocket", New: func() caddy.Module { return new(Transport) }}
}

// Provision implements [caddy.Provisioner].
func (t *Transport) Provision(ctx caddy.Context) (err error) {
	t.log = core.Logger(ctx)
	if t.ConnectTimeout == 0 {
		t.ConnectTimeout = defaultConnectTimeout
	}
	if t.trusted, err = parsePrefixes(t.TrustedProxies); err != nil {
		return fmt.Errorf("trusted_proxies/%w", err)
	}
	if t.header = t.ClientIPHeader; t.header == "" {
		t.header = defaultClientIPHeader
	}
	if t.clientTLS, err = t.provisionClientTLS(); err != nil {
		return fmt.Errorf("root_ca_file: %w", err)
	}
	if len(t.Certificate) > 0 {
		loaded, err := t.Certificate.Load(ctx)
		if err != nil {
			return fmt.Errorf("certificate: %w", err)
		}
		t.source = loaded.Module
	}
	return nil
}

// provisionClientTLS returns how servers are spoken to.
func (t *Transport) provisionClientTLS() (*tls.Config, error) {
	config := &tls.Config{
		MinVersion:                  tls.VersionTLS12,
		NextProtos:                  []string{http11},
		InsecureSkipVerify:          t.InsecureSkipTLSVerify,
		DynamicRecordSizingDisabled: true,
	}
	if t.RootCAFile == "" {
		return config, nil
	}
	path, err := core.Expand(t.RootCAFile)
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in PEM", path)
	}
	return config, nil
}

// Validate implements [caddy.Validator].
func (t *Transport) Validate() error {
	switch {
	case len(t.trusted) == 0 && t.ProxyProtocol:
		return errors.New("proxy_protocol: there are no trusted_proxies that could send its header")
	case len(t.trusted) == 0 && t.ClientIPHeader != "":
		return errors.New("client_ip_header: there are no trusted_proxies that could set it")
	case t.RootCAFile != "" && t.InsecureSkipTLSVerify:
		return errors.New("root_ca_file: with insecure_skip_tls_verify nothing is checked")
	}
	if t.InsecureSkipTLSVerify {
		t.log.Warn("TLS certificates of servers are not checked", "because", "insecure_skip_tls_verify")
	}
	return nil
}

// Start implements [core.Service]. It starts the source of certificates, and
// announces addresses with the names that they are valid for.
func (t *Transport) Start(ctx context.Context, n core.Node) error {
	t.shares = n
	if t.source == nil {
		return nil
	}
	if s, ok := t.source.(core.Service); ok {
		if err := s.Start(ctx, n); err != nil {
			return fmt.Errorf("certificate: %w", err)
		}
	}
	t.names.start(n, t.source)
	return nil
}

// Close implements [core.Service]. Listeners are closed by who opened them.
func (t *Transport) Close() error {
	t.names.close()
	if s, ok := t.source.(core.Service); ok {
		return s.Close()
	}
	return nil
}

// ports is where the open ports are kept.
func (t *Transport) ports() core.Shares {
	if t.shares == nil {
		return &t.own
	}
	return t.shares
}

// Match implements [core.Transport]. Addresses that begin with a name can be
// listened on alone: the node resolves names before it dials.
func (*Transport) Match(a ma.Multiaddr) bool {
	_, err := parse(a)
	return err == nil
}

var (
	_ core.RawTransport = (*Transport)(nil)
	_ core.Service      = (*Transport)(nil)
	_ caddy.Provisioner = (*Transport)(nil)
	_ caddy.Validator   = (*Transport)(nil)
)
