// SPDX-License-Identifier: Apache-2.0 OR MIT

package autotls

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
)

// load makes a module whose data folder is the test's own.
func load(t *testing.T, config string) *AutoTLS {
	t.Helper()
	return coretest.MustLoad[*AutoTLS](t, "autotls", config)
}

func dataDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XNODE_DATA", dir)
	return dir
}

// node is one with addresses of its own.
type node struct {
	*coretest.FakeNode

	mu    sync.Mutex
	addrs []ma.Multiaddr
}

func newNode(t *testing.T, addrs ...string) *node {
	n := &node{FakeNode: coretest.FakeNodes(t, 1)[0]}
	n.moves(addrs...)
	return n
}

func (n *node) Addrs() []ma.Multiaddr {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.addrs)
}

func (n *node) moves(to ...string) {
	n.mu.Lock()
	n.addrs = nil
	for _, a := range to {
		n.addrs = append(n.addrs, ma.StringCast(a))
	}
	n.mu.Unlock()
	n.Emit(core.LocalAddrsChanged{})
}

func TestConfig(t *testing.T) {
	dataDir(t)
	r := newRoots(t)
	coretest.TestConfigs[core.CertificateSource](t, "autotls", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "all", JSON: fmt.Sprintf(`{"domain": "Example.org", "broker": "https://broker.example.org/x", "directory": "https://ca.example.org:14000/dir",
			"dns": "[2001:db8::53]:53", "root_ca_file": %q, "allow_private": true}`, r.file)},
		{Name: "domain with a dot", JSON: `{"domain": ".example.org"}`, WantErr: `domain: ".example.org" is no domain`},
		{Name: "domain with a port", JSON: `{"domain": "example.org:53"}`, WantErr: `domain: `},
		{Name: "broker without TLS", JSON: `{"broker": "http://broker.example.org"}`, WantErr: `broker: "http://broker.example.org" is no URL that begins with https://`},
		{Name: "directory without a host", JSON: `{"directory": "https:///x"}`, WantErr: `directory: "https:///x"`},
		{Name: "DNS server without a port", JSON: `{"dns": "192.0.2.53"}`, WantErr: `dns: "192.0.2.53" is no IP address and port`},
		{Name: "no roots", JSON: `{"root_ca_file": "/dev/null"}`, WantErr: "root_ca_file: /dev/null: no certificate in PEM"},
		{Name: "placeholder", JSON: `{"root_ca_file": "{env.XNODE_TEST_NONE}"}`, WantErr: "root_ca_file: "},
		{Name: "unknown key", JSON: `{"email": "x"}`, WantErr: `unknown field "email"`},
	})
	if got := load(t, `{"domain": "example.org"}`).Broker; got != "https://registration.example.org/v1/_acme-challenge" {
		t.Errorf("the broker is %s", got)
	}
}

func TestLifecycle(t *testing.T) {
	dataDir(t)
	coretest.TestLifecycle(t, func(t *testing.T) core.Service { return load(t, `{}`) })
}

// TestName is the specification's example.
func TestName(t *testing.T) {
	id, err := peer.Decode("12D3KooWATZi2wFwQxQ14Z3q24TDNWKap6f8W5ryLE6Da4RMfsxy")
	if err != nil {
		t.Fatal(err)
	}
	n := newNames(id, "libp2p.direct", false)
	if want := "*.k51qzi5uqu5dgf513xbrfjl4smgo2eh1x8p8y6grzsf1oz0reiy56p65tds3s6.libp2p.direct"; n.wildcard != want {
		t.Errorf("got %s, want %s", n.wildcard, want)
	}
	if want := "_acme-challenge.k51qzi5uqu5dgf513xbrfjl4smgo2eh1x8p8y6grzsf1oz0reiy56p65tds3s6.libp2p.direct."; n.challenge() != want {
		t.Errorf("got %s, want %s", n.challenge(), want)
	}
	dialable := n.dialable([]ma.Multiaddr{
		ma.StringCast("/ip4/127.0.0.1/tcp/49309"), ma.StringCast("/ip4/142.93.194.175/tcp/49309"),
		ma.StringCast("/ip4/10.17.0.5/tcp/49309"), ma.StringCast("/ip4/10.108.0.2/tcp/49309"),
	})
	if diff := cmp.Diff([]string{"/ip4/142.93.194.175/tcp/49309"}, dialable); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
}

func TestServerNames(t *testing.T) {
	for ip, want := range map[string]string{
		"1.2.3.4":               "1-2-3-4",
		"::ffff:1.2.3.4":        "1-2-3-4",
		"2a01:4f8::1":           "2a01-4f8--1",
		"2a01:4f8::":            "2a01-4f8--0",
		"2a01:4f8::1:0:0:1%e0":  "2a01-4f8--1-0-0-1",
		"2a01:4f8:0:1:2:3:4:5":  "2a01-4f8-0-1-2-3-4-5",
		"10.0.0.1":              "",
		"100.64.0.1":            "",
		"127.0.0.1":             "",
		"::1":                   "",
		"fd00::1":               "",
		"fe80::1%eth0":          "",
		"2001:db8::1":           "",
		"64:ff9b::8.8.8.8":      "",
		"::":                    "",
		"2a00::ffff:192.0.2.33": "2a00--ffff-c000-221",
	} {
		n := names{base: "peer.example.org"}
		var list []string
		if want != "" {
			list = []string{want + ".peer.example.org"}
		}
		if diff := cmp.Diff(list, n.of(netip.MustParseAddr(ip))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", ip, diff)
		}
	}
	private := names{base: "p", allowPrivate: true}
	for ip, want := range map[string]string{"::1": "0--1", "2001:db8::1": "2001-db8--1", "2001:db8::": "2001-db8--0", "127.0.0.1": "127-0-0-1"} {
		if got := private.of(netip.MustParseAddr(ip)); len(got) != 1 || got[0] != want+".p" {
			t.Errorf("%s: %v, want %s", ip, got, want)
		}
	}
	if got := private.of(netip.Addr{}); got != nil {
		t.Errorf("no address: %v", got)
	}
}

func TestDialable(t *testing.T) {
	addrs := []ma.Multiaddr{}
	for _, s := range []string{
		"/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.4/udp/1/quic-v1", "/ip6/2a01:4f8::1/tcp/1/ws",
		"/ip4/1.2.3.4/tcp/1/tls/ws", "/ip4/1.2.3.4/tcp/1/wss", "/ip4/1.2.3.4/tcp/1/tls/sni/a.example/ws",
		"/ip4/1.2.3.4/tcp/1/p2p/12D3KooWATZi2wFwQxQ14Z3q24TDNWKap6f8W5ryLE6Da4RMfsxy/p2p-circuit",
		"/ip6/64:ff9b::808:808/tcp/1", "/ip6/fd00::1/tcp/1", "/ip4/192.168.0.1/tcp/1", "/dns/example.com/tcp/1", "/memory/1", "/ip4/0.0.0.0/tcp/1",
	} {
		addrs = append(addrs, ma.StringCast(s))
	}
	n := names{}
	if diff := cmp.Diff([]string{"/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.4/udp/1/quic-v1", "/ip6/2a01:4f8::1/tcp/1/ws"}, n.dialable(addrs)); diff != "" {
		t.Errorf("public (-want +got):\n%s", diff)
	}
	n.allowPrivate = true
	want := []string{"/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.4/udp/1/quic-v1", "/ip6/2a01:4f8::1/tcp/1/ws", "/ip6/64:ff9b::808:808/tcp/1", "/ip6/fd00::1/tcp/1", "/ip4/192.168.0.1/tcp/1"}
	if diff := cmp.Diff(want, n.dialable(addrs)); diff != "" {
		t.Errorf("private (-want +got):\n%s", diff)
	}
}

// TestStorage has files in the data folder that cannot be used, and looks at
// what the module leaves there.
func TestStorage(t *testing.T) {
	dir := dataDir(t)
	n := newNode(t)
	a := load(t, `{}`)
	if err := a.Start(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	f := &fake{roots: newRoots(t), name: a.names.wildcard}
	whole, err := f.fetch(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	f.name = "*.other." + a.Domain
	others, err := f.fetch(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.keep(whole); err != nil {
		t.Fatal(err)
	}
	if got := a.kept(); got == nil || !slices.Equal(got.pem, whole.pem) {
		t.Error("what was kept is not found")
	}
	for name, b := range map[string][]byte{
		"empty": {}, "torn": whole.pem[:len(whole.pem)/2], "no key": whole.pem[strings.Index(string(whole.pem), "-----BEGIN CERT"):],
		"of another peer": others.pem, "too large": make([]byte, maxFile+1), "garbage": []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
	} {
		if err := os.WriteFile(a.path(), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := a.kept(); got != nil {
			t.Errorf("%s: is used", name)
		}
	}
	key, err := a.accountKey()
	if err != nil {
		t.Fatal(err)
	}
	again, err := a.accountKey()
	if err != nil || !key.Equal(again) {
		t.Errorf("another key of the account: %v", err)
	}
	if err := os.WriteFile(filepath.Join(a.dir, "account.key"), []byte("-----BEGIN PRIV"), 0o600); err != nil {
		t.Fatal(err)
	}
	if again, err = a.accountKey(); err != nil || again == nil {
		t.Errorf("after a torn key: %v", err)
	}
	err = filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if want := os.FileMode(0o600); err == nil && info.Mode().IsRegular() && info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, want %v", path, info.Mode().Perm(), want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func FuzzParse(f *testing.F) {
	key, err := newKey()
	if err != nil {
		f.Fatal(err)
	}
	b, err := keyPEM(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := parse(b, "*.example"); err == nil && c.certificate.Leaf.DNSNames[0] != "*.example" {
			t.Error("a certificate for other names")
		}
	})
}

// fake issues certificates without a network.
type fake struct {
	roots *roots
	name  string

	mu    sync.Mutex
	calls int
	sent  []string
	err   error
	made  func() // called while an order is under way
	from  func() (from, to int)
}

func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

func (f *fake) set(change func(*fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fake) fetch(_ context.Context, dialable []string) (*issued, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	f.sent = dialable
	if f.made != nil {
		f.made()
	}
	if f.err != nil {
		return nil, f.err
	}
	return f.roots.issue(f.name, f.from)
}

func BenchmarkCertificate(b *testing.B) {
	b.Setenv("XNODE_DATA", b.TempDir())
	a := coretest.MustLoad[*AutoTLS](b, "autotls", `{}`)
	r := newRoots(b)
	c, err := r.issue("*.peer.example", nil)
	if err != nil {
		b.Fatal(err)
	}
	a.use(c)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Certificate(nil); err != nil {
			b.Fatal(err)
		}
	}
}
