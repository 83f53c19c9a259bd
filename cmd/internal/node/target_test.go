// SPDX-License-Identifier: Apache-2.0 OR MIT

package node

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// records are TXT records by name.
type records map[string][]string

// LookupTXT implements [TXT].
func (r records) LookupTXT(_ context.Context, name string) ([]string, error) {
	if list, ok := r[name]; ok {
		return list, nil
	}
	return nil, errors.New("no such host")
}

func TestTarget(t *testing.T) {
	id := wanted.String()
	dns := records{
		"_dnsaddr.one.example": {"junk", "dnsaddr=/ip4/192.0.2.1/tcp/1/p2p/" + id, "dnsaddr=/ip4/192.0.2.2/tcp/1/p2p/" + id},
		"_dnsaddr.two.example": {"dnsaddr=/ip4/192.0.2.1/tcp/1/p2p/" + id, "dnsaddr=/ip4/192.0.2.2/tcp/1/p2p/" + other.String()},
		"_dnsaddr.no.example":  {"v=spf1"},
	}
	for text, want := range map[string]string{
		id:                                  "",
		wanted.CID():                        "",
		"/p2p/" + id:                        "",
		"/ip4/192.0.2.1/tcp/1/p2p/" + id:    "/ip4/192.0.2.1/tcp/1",
		"/dns4/one.example/tcp/1/p2p/" + id: "/dns4/one.example/tcp/1",
		"one.example":                       "/dnsaddr/one.example",
		"/dnsaddr/one.example":              "/dnsaddr/one.example",
		"/dnsaddr/two.example/p2p/" + id:    "/dnsaddr/two.example",
	} {
		p, err := Target(t.Context(), text, dns)
		if err != nil || p.ID != wanted {
			t.Errorf("%s: %v, %v", text, p.ID, err)
			continue
		}
		if got := strings.Join(texts(p.Addrs, ""), " "); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
		if NamesPeerOnly(text) != (want == "") {
			t.Errorf("%s: NamesPeerOnly = %v", text, NamesPeerOnly(text))
		}
	}
	for text, want := range map[string]string{
		"/ip4/192.0.2.1/tcp/1":          "/ip4/192.0.2.1/tcp/1 lacks the peer ID: write /ip4/192.0.2.1/tcp/1/p2p/ID; the node prints its ID",
		"192.0.2.1:4001":                "write /ip4/192.0.2.1/tcp/4001/p2p/ID",
		"[2001:db8::1]:4001":            "write /ip6/2001:db8::1/tcp/4001/p2p/ID",
		"node.example:4001":             "write /dns/node.example/tcp/4001/p2p/ID",
		"two.example":                   "leads to several peers; name one:\n  /dnsaddr/two.example/p2p/",
		"no.example":                    "TXT records at _dnsaddr.no.example name no peer",
		"gone.example":                  "/dnsaddr/gone.example: no such host",
		"hello":                         `"hello" is neither a peer ID, nor an address`,
		"":                              "neither a peer ID",
		"/ip4/192.0.2.1/tcp":            "is no address",
		"/nonsense/1":                   "is no address",
		"{env.HOME}":                    "neither a peer ID",
		"/ip4/192.0.2.1/tcp/1/p2p/Qm11": "is no address",
	} {
		if p, err := Target(t.Context(), text, dns); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, want %q", text, p, err, want)
		}
	}
}

func FuzzTarget(f *testing.F) {
	for _, text := range []string{wanted.String(), "/ip4/1.2.3.4/tcp/1", "one.example", "1.2.3.4:5", "[::1]:1", "/dnsaddr/x"} {
		f.Add(text, "dnsaddr=/ip4/192.0.2.1/tcp/1/p2p/"+wanted.String())
	}
	f.Fuzz(func(t *testing.T, text, record string) {
		dns := records{"_dnsaddr." + text: {record}}
		if p, err := Target(t.Context(), text, dns); err == nil && p.ID.Validate() != nil {
			t.Errorf("%q: peer %q", text, p.ID)
		}
	})
}
