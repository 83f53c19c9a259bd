// SPDX-License-Identifier: Apache-2.0 OR MIT

package selfsigned

import (
	"crypto/x509"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.CertificateSource](t, "selfsigned", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "names", JSON: `{"names": ["node.lan", "*.node.lan", "192.168.1.5", "::1"]}`},
		{Name: "an address with a port", JSON: `{"names": ["node.lan", "node.lan:443"]}`, WantErr: `names/1: "node.lan:443" is no host name`},
		{Name: "nothing", JSON: `{"names": [""]}`, WantErr: `names/0: ""`},
		{Name: "unknown key", JSON: `{"hosts": []}`, WantErr: `unknown field "hosts"`},
	})
}

func TestValidForItsNames(t *testing.T) {
	for _, tc := range []struct {
		config string
		hosts  []string
		names  []string
	}{
		{`{}`, []string{"localhost", "127.0.0.1"}, nil},
		{`{"names": ["node.lan", "192.0.2.1"]}`, []string{"node.lan", "192.0.2.1"}, []string{"node.lan"}},
	} {
		s := coretest.MustLoad[core.CertificateSource](t, "selfsigned", tc.config)
		c, err := s.Certificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(c.Leaf)
		for _, host := range tc.hosts {
			if _, err := c.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
				t.Errorf("%s: %v", host, err)
			}
		}
		if diff := cmp.Diff(tc.names, s.ServerNames(netip.MustParseAddr("192.0.2.1"))); diff != "" {
			t.Errorf("names (-want +got):\n%s", diff)
		}
		s.Watch(func() {})()
	}
}
