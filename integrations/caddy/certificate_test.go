// SPDX-License-Identifier: Apache-2.0 OR MIT

package caddy

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.CertificateSource](t, "caddy", []coretest.Config{
		{Name: "names", JSON: `{"names": ["Node.example.org", "other.example.org"]}`},
		{Name: "empty", JSON: `{}`, WantErr: "names: a host name is missing"},
		{Name: "wildcard", JSON: `{"names": ["node.example.org", "*.example.org"]}`, WantErr: `names/1: "*.example.org" is no host name`},
		{Name: "address", JSON: `{"names": ["192.0.2.1"]}`, WantErr: `names/0: "192.0.2.1" is no host name`},
		{Name: "URL", JSON: `{"names": ["https://example.org"]}`, WantErr: `names/0: `},
		{Name: "unknown key", JSON: `{"name": "x"}`, WantErr: `unknown field "name"`},
	})
}

func TestLifecycle(t *testing.T) {
	coretest.TestLifecycle(t, func(t *testing.T) core.Service {
		return coretest.MustLoad[*Certificate](t, "caddy", `{"names": ["node.example.org"]}`)
	})
}

// store stands for what Caddy has in memory.
type store struct {
	mu    sync.Mutex
	certs map[string][]*tls.Certificate
}

func (s *store) lookup(name string) []*tls.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.certs[name]
}

func (s *store) set(name string, list ...*tls.Certificate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.certs[name] = list
}

func valid(from, to time.Duration) *tls.Certificate {
	now := time.Now()
	return &tls.Certificate{Leaf: &x509.Certificate{NotBefore: now.Add(from), NotAfter: now.Add(to)}}
}

// TestCertificate follows a name through issue, renewal, reload and end.
func TestCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const a, b = "a.example.org", "b.example.org"
		s := &store{certs: map[string][]*tls.Certificate{}}
		c := coretest.MustLoad[*Certificate](t, "caddy", `{"names": ["A.example.org", "b.example.org"]}`)
		c.lookup = s.lookup
		changes := make(chan struct{}, 100)
		stop := c.Watch(func() { changes <- struct{}{} })
		if err := c.Start(t.Context(), coretest.FakeNodes(t, 1)[0]); err != nil {
			t.Fatal(err)
		}
		want := func(what string, after time.Duration, changed int, names ...string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if diff := cmp.Diff(names, c.ServerNames(netip.Addr{})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
			if len(changes) != changed {
				t.Errorf("%s: told %d times, want %d", what, len(changes), changed)
			}
		}
		get := func(name string) *tls.Certificate {
			got, err := c.Certificate(&tls.ClientHelloInfo{ServerName: name})
			if (got == nil) == (err == nil) {
				t.Errorf("%s: %v, %v", name, got, err)
			}
			return got
		}
		want("at first", time.Minute, 0)
		if _, err := c.Certificate(&tls.ClientHelloInfo{ServerName: b}); err == nil || !strings.Contains(err.Error(), "no certificate for b.example.org") {
			t.Errorf("without one: %v", err)
		}
		first := valid(-time.Hour, 10*time.Hour)
		s.set(a, first)
		want("issued", 2*checkEvery, 1, a)
		for _, name := range []string{"", a, "A.EXAMPLE.ORG.", "elsewhere.example"} {
			if get(name) != first {
				t.Errorf("%q: another certificate", name)
			}
		}
		if get(b) != nil {
			t.Error("the certificate of another name")
		}
		s.set(b, valid(time.Hour, 20*time.Hour), valid(-20*time.Hour, -time.Hour))
		want("not valid", 2*checkEvery, 1, a)
		second := valid(-time.Hour, 20*time.Hour)
		s.set(a, first, second)
		s.set(b)
		want("renewed", 2*checkEvery, 1, a)
		if get(a) != second {
			t.Error("the old certificate")
		}
		s.set(a) // as during a reload
		want("gone", 2*checkEvery, 1, a)
		if get(a) != second {
			t.Error("the last certificate is forgotten")
		}
		want("ended", 21*time.Hour, 2)
		stop()
		s.set(a, valid(0, time.Hour))
		want("nobody watches", 2*checkEvery, 2, a)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestChallenge has an authority look for the answer to a challenge that nobody
// has asked for.
func TestChallenge(t *testing.T) {
	c := coretest.MustLoad[*Certificate](t, "caddy", `{"names": ["a.example.org"]}`)
	_, err := c.Certificate(&tls.ClientHelloInfo{ServerName: "a.example.org", SupportedProtos: []string{"acme-tls/1"}})
	if err == nil || !strings.Contains(err.Error(), "no challenge for a.example.org is under way") {
		t.Errorf("got %v", err)
	}
}
