// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package selfsigned makes a TLS certificate that nobody has vouched for.
//
//	"certificate": {"module": "selfsigned", "names": ["node.lan", "192.168.1.5"]}
//
// It is for tests and local networks: browsers refuse it unless somebody has
// told them to make an exception, and other peers unless they do not check at
// all. Each start makes another one.
package selfsigned

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
)

func init() { core.Register(new(SelfSigned), core.Beta) }

const (
	// early is how long before now the certificate is valid, for clients whose
	// clocks are behind.
	early = time.Hour
	// lifetime is how long it is valid. A node that runs for longer is started
	// again before that.
	lifetime = 10 * 365 * 24 * time.Hour
)

// SelfSigned is the xnode.certificate.selfsigned module.
type SelfSigned struct {
	// Names are the host names and IP addresses that the certificate is valid
	// for. Default: localhost and the IP addresses of the machine.
	Names []string `json:"names,omitempty"`

	certificate *tls.Certificate
}

// CaddyModule implements [caddy.Module].
func (*SelfSigned) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.certificate.selfsigned", New: func() caddy.Module { return new(SelfSigned) }}
}

// Provision implements [caddy.Provisioner].
func (s *SelfSigned) Provision(caddy.Context) (err error) {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "xnode self-signed"},
		NotBefore:   time.Now().Add(-early),
		NotAfter:    time.Now().Add(lifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for i, name := range s.Names {
		if ip, err := netip.ParseAddr(name); err == nil {
			template.IPAddresses = append(template.IPAddresses, ip.AsSlice())
			continue
		}
		if name == "" || strings.ContainsAny(name, " /:") {
			return fmt.Errorf("names/%d: %q is no host name and no IP address", i, name)
		}
		template.DNSNames = append(template.DNSNames, name)
	}
	if len(s.Names) == 0 {
		template.DNSNames = []string{"localhost"}
		template.IPAddresses = machine()
	}
	s.certificate, err = sign(template)
	return err
}

// machine lists the IP addresses of the machine, as far as the system tells.
func machine() []net.IP {
	found, _ := net.InterfaceAddrs() // none is as good as an error
	list := make([]net.IP, 0, len(found))
	for _, f := range found {
		if n, ok := f.(*net.IPNet); ok {
			list = append(list, n.IP)
		}
	}
	return list
}

// sign makes a certificate and its key.
func sign(template *x509.Certificate) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// Certificate implements [core.CertificateSource].
func (s *SelfSigned) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return s.certificate, nil
}

// ServerNames implements [core.CertificateSource]. They are the host names of the
// configuration.
func (s *SelfSigned) ServerNames(netip.Addr) []string {
	if len(s.Names) == 0 {
		return nil
	}
	return slices.Clone(s.certificate.Leaf.DNSNames)
}

// Watch implements [core.CertificateSource]. The names do not change.
func (*SelfSigned) Watch(func()) (stop func()) { return func() {} }

var (
	_ core.CertificateSource = (*SelfSigned)(nil)
	_ caddy.Provisioner      = (*SelfSigned)(nil)
)
