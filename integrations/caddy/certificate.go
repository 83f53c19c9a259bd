// SPDX-License-Identifier: Apache-2.0 OR MIT

package caddy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"

	"github.com/xnode-p2p/xnode/core"
)

const (
	// checkEvery is how often Caddy's certificates are looked at.
	checkEvery = 2 * time.Second
	// patience is how long a name may be without a certificate before that is
	// told.
	patience = time.Minute
)

// Certificate is the xnode.certificate.caddy module. It shows the certificates
// that Caddy's TLS app has, whoever had them issued: a site of that name, or the
// TLS app itself, whose "automate" list is for names without a site:
//
//	"tls": {"certificates": {"automate": ["node.example.org"]}}
type Certificate struct {
	// Names are the host names whose certificates are shown and that are told
	// to peers. The first one is shown to clients that ask for no name.
	Names []string `json:"names,omitempty"`

	log    *slog.Logger
	stop   context.CancelFunc
	runs   sync.WaitGroup
	lookup func(name string) []*tls.Certificate

	mu      sync.Mutex
	last    map[string]*tls.Certificate // one each name at most
	watches []*func()
}

// CaddyModule implements [caddy.Module].
func (*Certificate) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.certificate.caddy", New: func() caddy.Module { return new(Certificate) }}
}

// Provision implements [caddy.Provisioner]. The module may outlive the
// configuration that names it, so it asks the TLS app of the one that runs.
func (c *Certificate) Provision(ctx caddy.Context) error {
	c.log = core.Logger(ctx)
	c.last = make(map[string]*tls.Certificate)
	c.lookup = inCache
	for i, name := range c.Names {
		c.Names[i] = strings.ToLower(name)
	}
	return nil
}

// Validate implements [caddy.Validator].
func (c *Certificate) Validate() error {
	if len(c.Names) == 0 {
		return errors.New("names: a host name is missing")
	}
	for i, name := range c.Names {
		if _, err := netip.ParseAddr(name); err == nil || !certmagic.SubjectQualifiesForCert(name) || strings.ContainsAny(name, "*:/") {
			return fmt.Errorf("names/%d: %q is no host name", i, name)
		}
	}
	return nil
}

// Start implements [core.Service].
func (c *Certificate) Start(context.Context, core.Node) error {
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	c.runs.Go(func() { c.run(ctx) })
	return nil
}

// Close implements [core.Service].
func (c *Certificate) Close() error {
	if c.stop != nil {
		c.stop()
	}
	c.runs.Wait()
	return nil
}

// run tells who watches when a name gets its certificate or loses it.
func (c *Certificate) run(ctx context.Context) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	told, began, missed := c.ready(), time.Now(), false
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		ready := c.ready()
		if !slices.Equal(ready, told) {
			told = ready
			c.log.Info("certificates", "names", ready)
			c.notify()
		}
		if !missed && len(ready) < len(c.Names) && time.Since(began) > patience {
			missed = true
			c.log.Warn("names without a certificate: make them sites, or list them in apps/tls/certificates/automate",
				"names", slices.DeleteFunc(slices.Clone(c.Names), func(name string) bool { return slices.Contains(ready, name) }))
		}
	}
}

func (c *Certificate) notify() {
	c.mu.Lock()
	watches := slices.Clone(c.watches)
	c.mu.Unlock()
	for _, w := range watches {
		(*w)()
	}
}

// ready lists the names that there is a certificate for.
func (c *Certificate) ready() (list []string) {
	for _, name := range c.Names {
		if c.find(name) != nil {
			list = append(list, name)
		}
	}
	return list
}

// find returns the certificate for a name that is valid the longest, or nil.
// During a reload Caddy may have none for a moment; the last one is good then.
func (c *Certificate) find(name string) (found *tls.Certificate) {
	now := time.Now()
	for _, cert := range append(c.lookup(name), c.remembered(name)) {
		if cert == nil || cert.Leaf == nil || now.Before(cert.Leaf.NotBefore) || now.After(cert.Leaf.NotAfter) {
			continue
		}
		if found == nil || found.Leaf.NotAfter.Before(cert.Leaf.NotAfter) {
			found = cert
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last[name] = found
	return found
}

func (c *Certificate) remembered(name string) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last[name]
}

// inCache lists the certificates for a name that Caddy has in memory.
func inCache(name string) (list []*tls.Certificate) {
	ctx := caddy.ActiveContext()
	if _, err := ctx.AppIfConfigured("tls"); err != nil {
		return nil
	}
	// If the TLS app goes at this moment, the memory is not there any more.
	defer func() { _ = recover() }()
	for _, cert := range caddytls.AllMatchingCertificates(name) {
		list = append(list, &cert.Certificate)
	}
	return list
}

// Certificate implements [core.CertificateSource].
func (c *Certificate) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acmez.ACMETLS1Protocol {
		challenge, ok := certmagic.GetACMEChallenge(name)
		if !ok {
			return nil, fmt.Errorf("no challenge for %s is under way", name)
		}
		return acmez.TLSALPN01ChallengeCert(challenge.Challenge)
	}
	if !slices.Contains(c.Names, name) {
		name = c.Names[0]
	}
	if found := c.find(name); found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("no certificate for %s in Caddy: make it a site, or list it in apps/tls/certificates/automate", name)
}

// ServerNames implements [core.CertificateSource]: the names that there is a
// certificate for, wherever they lead.
func (c *Certificate) ServerNames(netip.Addr) []string { return c.ready() }

// Watch implements [core.CertificateSource].
func (c *Certificate) Watch(changed func()) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &changed
	c.watches = append(c.watches, w)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.watches = slices.DeleteFunc(c.watches, func(o *func()) bool { return o == w })
	}
}

var (
	_ core.CertificateSource = (*Certificate)(nil)
	_ core.Service           = (*Certificate)(nil)
	_ caddy.Provisioner      = (*Certificate)(nil)
	_ caddy.Validator        = (*Certificate)(nil)
)
