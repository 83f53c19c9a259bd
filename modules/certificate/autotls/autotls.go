// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package autotls gets a TLS certificate from an authority of the web for a node
// that has no domain of its own.
//
// Spec: https://github.com/libp2p/specs/blob/master/tls/autotls-client.md
//
//	"transports": {"tcp": {}, "websocket": {"certificate": {"module": "autotls"}}},
//	"listen": ["/ip4/0.0.0.0/tcp/4001", "/ip4/0.0.0.0/tcp/4001/tls/ws"]
//
// A broker owns a domain, libp2p.direct, in which every peer ID has a subdomain:
// 192-0-2-1.PEER.libp2p.direct leads to 192.0.2.1. The certificate is valid for
// all names under PEER. To get it, the module waits until the node has a public
// address, has the authority set a challenge, and asks the broker to put the
// answer into DNS. The broker dials the node before it does that, so there must
// be an address for it besides /tls/ws, which has no certificate yet. It takes
// some minutes, is renewed after two thirds of its time, and is kept in the data
// folder. Whoever uses the module agrees to the terms of the authority's service.
//
// The certificate is public: everybody can read in the logs of authorities that
// this peer ID has one. The module does not make the node reachable.
package autotls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/modules/certificate/internal/peeridauth"
)

func init() { core.Register(new(AutoTLS), core.Alpha) }

const (
	defaultDomain    = "libp2p.direct"
	defaultDirectory = "https://acme-v02.api.letsencrypt.org/directory"
)

// AutoTLS is the xnode.certificate.autotls module.
type AutoTLS struct {
	// Domain is the domain in which the broker gives out names.
	// Default: libp2p.direct.
	Domain string `json:"domain,omitempty"`
	// Broker is the URL to which the answer to a challenge is sent.
	// Default: https://registration.DOMAIN/v1/_acme-challenge.
	Broker string `json:"broker,omitempty"`
	// Directory is the URL of the authority's ACME directory.
	// Default: https://acme-v02.api.letsencrypt.org/directory.
	Directory string `json:"directory,omitempty"`
	// DNS is the IP address and port of the DNS server that is asked whether
	// the broker has done its part. Default: those of the system.
	DNS string `json:"dns,omitempty"`
	// RootCAFile is a file of certificates in PEM that those of the broker and
	// the authority are checked against. Placeholders are replaced. Default:
	// what the system has.
	RootCAFile string `json:"root_ca_file,omitempty"`
	// AllowPrivate gets a certificate for a node without a public address too,
	// tells the broker all of its addresses, and peers the names for them. It
	// is for brokers of local networks and for tests. Default: false.
	AllowPrivate bool `json:"allow_private,omitempty"`

	log      *slog.Logger
	dir      string // where the account and the certificates are kept
	roots    *x509.CertPool
	resolver *net.Resolver
	fetch    func(ctx context.Context, dialable []string) (*issued, error)

	identity core.Identity
	addrs    core.Addrs
	names    names
	broker   *peeridauth.Client // used under the turn
	turn     *turn
	changed  chan struct{} // of one place: the addresses have changed since it was taken
	cancel   context.CancelFunc
	release  []func()
	running  sync.WaitGroup

	mu      sync.Mutex
	state   State
	current *issued // nil if there is none
	watches []*func()
}

// CaddyModule implements [caddy.Module].
func (*AutoTLS) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.certificate.autotls", New: func() caddy.Module { return new(AutoTLS) }}
}

// Provision implements [caddy.Provisioner].
func (a *AutoTLS) Provision(ctx caddy.Context) (err error) {
	a.log = core.Logger(ctx)
	a.fetch = a.obtain
	if a.Domain = strings.ToLower(a.Domain); a.Domain == "" {
		a.Domain = defaultDomain
	}
	if a.Broker == "" {
		a.Broker = "https://registration." + a.Domain + "/v1/_acme-challenge"
	}
	if a.Directory == "" {
		a.Directory = defaultDirectory
	}
	a.dir = filepath.Join(core.DataDir(), "autotls", folder(a.Directory, a.Domain))
	a.resolver = net.DefaultResolver
	if a.DNS != "" {
		a.resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, a.DNS)
		}}
	}
	if a.RootCAFile != "" {
		if a.roots, err = readRoots(a.RootCAFile); err != nil {
			return fmt.Errorf("root_ca_file: %w", err)
		}
	}
	return nil
}

func readRoots(path string) (*x509.CertPool, error) {
	path, err := core.Expand(path)
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in PEM", path)
	}
	return roots, nil
}

// Validate implements [caddy.Validator].
func (a *AutoTLS) Validate() error {
	if !isDomain(a.Domain) {
		return fmt.Errorf("domain: %q is no domain, such as libp2p.direct", a.Domain)
	}
	for key, text := range map[string]string{"broker": a.Broker, "directory": a.Directory} {
		if u, err := url.Parse(text); err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
			return fmt.Errorf("%s: %q is no URL that begins with https://", key, text)
		}
	}
	if _, err := netip.ParseAddrPort(a.DNS); a.DNS != "" && err != nil {
		return fmt.Errorf("dns: %q is no IP address and port, such as 192.0.2.53:53", a.DNS)
	}
	return nil
}

// Start implements [core.Service]. It reads the certificate that is kept; one
// that is missing is got in the background.
func (a *AutoTLS) Start(_ context.Context, n core.Node) error {
	a.identity, a.addrs = n, n
	a.names = newNames(n.ID(), a.Domain, a.AllowPrivate)
	a.broker = &peeridauth.Client{Identity: n, URL: a.Broker}
	var leave func() error
	var err error
	if a.turn, leave, err = core.Share(n, turnKey{}, newTurn); err != nil {
		return err
	}
	a.changed = make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	a.release = []func(){
		core.On(n, func(core.LocalAddrsChanged) {
			select {
			case a.changed <- struct{}{}:
			default:
			}
		}),
		func() { _ = leave() }, // there is nothing that could fail
	}
	if _, err := a.restore(); err != nil {
		a.log.Warn("the certificate in the data folder cannot be used", "error", err)
	}
	a.running.Go(func() { a.run(ctx) })
	return nil
}

// Close implements [core.Service]. An order that is under way is given up.
func (a *AutoTLS) Close() error {
	if a.cancel == nil {
		return nil
	}
	a.cancel()
	a.running.Wait()
	for _, release := range a.release {
		release()
	}
	a.release = nil
	return nil
}

// Certificate implements [core.CertificateSource]. It does not wait: who connects
// before there is a certificate is told so.
func (a *AutoTLS) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.current.valid(time.Now()) {
		return nil, fmt.Errorf("no certificate for %s: %w", a.names.wildcard, errors.New(a.state.String()))
	}
	return a.current.certificate, nil
}

// ServerNames implements [core.CertificateSource].
func (a *AutoTLS) ServerNames(ip netip.Addr) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.current.valid(time.Now()) {
		return nil
	}
	return a.names.of(ip)
}

// Watch implements [core.CertificateSource].
func (a *AutoTLS) Watch(changed func()) (stop func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := &changed
	a.watches = append(a.watches, w)
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.watches = without(a.watches, w)
	}
}

var (
	_ core.CertificateSource = (*AutoTLS)(nil)
	_ core.Service           = (*AutoTLS)(nil)
	_ caddy.Provisioner      = (*AutoTLS)(nil)
	_ caddy.Validator        = (*AutoTLS)(nil)
)
