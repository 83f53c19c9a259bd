// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package file takes a TLS certificate and its key from two files in PEM.
//
//	"certificate": {"module": "file", "cert_file": "/etc/ssl/node.pem", "key_file": "/etc/ssl/node.key"}
//
// Whoever renews the certificate writes the files anew, or changes where links
// to them lead; the new pair is used within seconds, for new connections. As
// long as the files are no good pair, the one before them stays in use.
package file

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
)

func init() { core.Register(new(File), core.Beta) }

const (
	// checkEvery is how often the files are looked at, at most.
	checkEvery = 5 * time.Second
	// soon is how long before its end a certificate is warned about, and
	// warnEvery how often, at most.
	soon      = 7 * 24 * time.Hour
	warnEvery = 24 * time.Hour
)

// File is the xnode.certificate.file module.
type File struct {
	// CertFile is the file of the certificate, with those between it and an
	// authority behind it. Placeholders are replaced.
	CertFile string `json:"cert_file,omitempty"`
	// KeyFile is the file of its private key, which is not encrypted.
	// Placeholders are replaced.
	KeyFile string `json:"key_file,omitempty"`
	// AllowReadable accepts a key that others can read, or that belongs to
	// another user, as the files of mounted secrets do. Default: false.
	AllowReadable bool `json:"allow_readable,omitempty"`

	log               *slog.Logger
	certPath, keyPath string // absolute, without placeholders

	mu      sync.Mutex
	current *tls.Certificate
	stamp   stamp     // of the files of current
	failing string    // what was wrong with the files when they were looked at last
	checked time.Time // when the files were looked at
	warned  time.Time // when the end of current was warned about
	watches []*func()
}

// CaddyModule implements [caddy.Module].
func (*File) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.certificate.file", New: func() caddy.Module { return new(File) }}
}

// Provision implements [caddy.Provisioner]. It does not look at the files.
func (f *File) Provision(ctx caddy.Context) (err error) {
	f.log = core.Logger(ctx)
	if f.certPath, err = expand(f.CertFile); err != nil {
		return fmt.Errorf("cert_file: %w", err)
	}
	if f.keyPath, err = expand(f.KeyFile); err != nil {
		return fmt.Errorf("key_file: %w", err)
	}
	return nil
}

func expand(path string) (string, error) {
	if path == "" {
		return "", errors.New("the path of the file is missing")
	}
	path, err := core.Expand(path)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

// Validate implements [caddy.Validator]. The files must be a pair that is valid
// at the time.
func (f *File) Validate() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	s, err := f.stampLocked()
	if err == nil {
		err = f.loadLocked(s, now)
	}
	f.checked = now
	return err
}

// Certificate implements [core.CertificateSource]. It is the same for all names.
func (f *File) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c, changed := f.refresh(time.Now())
	if changed {
		f.notify()
	}
	if c == nil {
		return nil, fmt.Errorf("%s: no certificate has been loaded", f.certPath)
	}
	return c, nil
}

// refresh looks at the files if that has not been done lately.
func (f *File) refresh(now time.Time) (c *tls.Certificate, changed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if since := now.Sub(f.checked); since >= 0 && since < checkEvery {
		return f.current, false
	}
	f.checked = now
	before := f.current
	s, err := f.stampLocked()
	if err == nil && s != f.stamp {
		err = f.loadLocked(s, now)
	}
	switch {
	case err == nil:
		f.failing = ""
	case err.Error() != f.failing:
		f.failing = err.Error()
		f.log.Error("the certificate in use stays, for the files cannot be used", "error", err)
	}
	if f.current != before {
		f.log.Info("certificate loaded", "file", f.certPath, "valid_until", f.current.Leaf.NotAfter)
	}
	f.warnLocked(now)
	return f.current, f.current != before
}

// loadLocked makes the pair in the files the current one.
func (f *File) loadLocked(s stamp, now time.Time) error {
	c, err := f.read(now)
	if err != nil {
		return err
	}
	f.current, f.stamp, f.warned = c, s, time.Time{}
	f.warnLocked(now)
	return nil
}

// warnLocked tells if the certificate is about to end.
func (f *File) warnLocked(now time.Time) {
	if f.current == nil || f.current.Leaf.NotAfter.Sub(now) > soon || now.Sub(f.warned) < warnEvery {
		return
	}
	f.warned = now
	f.log.Warn("the certificate is about to end or has ended; renew it", "file", f.certPath, "valid_until", f.current.Leaf.NotAfter)
}

// ServerNames implements [core.CertificateSource]. They are those in the
// certificate, except for wildcards, wherever they lead.
func (f *File) ServerNames(netip.Addr) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current == nil || time.Now().After(f.current.Leaf.NotAfter) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(f.current.Leaf.DNSNames), func(name string) bool {
		return strings.HasPrefix(name, "*") || name == "localhost"
	})
}

// Watch implements [core.CertificateSource].
func (f *File) Watch(changed func()) (stop func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := &changed
	f.watches = append(f.watches, w)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.watches = slices.DeleteFunc(f.watches, func(o *func()) bool { return o == w })
	}
}

func (f *File) notify() {
	f.mu.Lock()
	watches := slices.Clone(f.watches)
	f.mu.Unlock()
	for _, w := range watches {
		(*w)()
	}
}

var (
	_ core.CertificateSource = (*File)(nil)
	_ caddy.Provisioner      = (*File)(nil)
	_ caddy.Validator        = (*File)(nil)
)
