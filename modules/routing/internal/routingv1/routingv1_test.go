// SPDX-License-Identifier: Apache-2.0 OR MIT

package routingv1

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/coretest"
)

func record(t testing.TB, protocols string, addrs ...string) Record {
	t.Helper()
	r := Record{Protocols: strings.Fields(protocols)}
	r.ID = coretest.NewIdentity(1).ID()
	for _, a := range addrs {
		r.Addrs = append(r.Addrs, ma.StringCast(a))
	}
	return r
}

func TestRecord(t *testing.T) {
	r := record(t, "transport-bitswap", "/ip4/192.0.2.1/tcp/1", "/dns4/example.org/tcp/443/tls/ws")
	id := r.ID.String()
	b, err := json.Marshal(r)
	want := `{"Schema":"peer","ID":"` + id + `","Addrs":["/ip4/192.0.2.1/tcp/1","/dns4/example.org/tcp/443/tls/ws"],"Protocols":["transport-bitswap"]}`
	if err != nil || string(b) != want {
		t.Errorf("%s, %v, want %s", b, err, want)
	}
	if b, err = json.Marshal(record(t, "")); err != nil || string(b) != `{"Schema":"peer","ID":"`+id+`","Addrs":[],"Protocols":[]}` {
		t.Errorf("%s, %v", b, err)
	}
	cid := r.ID.CID()
	for text, want := range map[string]string{
		`{"Schema": "peer", "ID": "` + cid + `", "Addrs": ["/ip4/192.0.2.1/tcp/1"], "Protocols": ["a"], "a": {"b": 1}}`: "[/ip4/192.0.2.1/tcp/1] [a]",
		`{"Schema": "bitswap", "Protocol": "transport-bitswap", "ID": "` + id + `", "Addrs": null}`:                     "[] []",
		`{"Schema": "peer", "ID": "` + id + `"}`:                                                                     "[] []",
		`{"ID": "` + id + `", "Addrs": ["/ip4/192.0.2.1/tcp/1/p2p/` + id + `"]}`:                                     "[/ip4/192.0.2.1/tcp/1] []",
		`{"ID": "` + id + `", "Addrs": ["/ip4/192.0.2.1/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"]}`: "[] []",
		`{"ID": "` + id + `", "Addrs": ["/nonsense/1", "", "192.0.2.1", "/ip4/192.0.2.1/udp/1/quic-v1"]}`:            "[/ip4/192.0.2.1/udp/1/quic-v1] []",
		`{"Schema": "unknown"}`:              "error",
		`{"ID": ""}`:                         "error",
		`{"ID": "nobody"}`:                   "error",
		`{"ID": 5}`:                          "error",
		`{"ID": "` + id + `", "Addrs": "x"}`: "error",
		`[]`:                                 "error",
		`{"ID": "` + id + `", "x": "` + strings.Repeat("x", MaxRecord) + `"}`: "error",
	} {
		var r Record
		err := json.Unmarshal([]byte(text), &r)
		got := fmt.Sprint(r.Addrs, r.Protocols)
		if err != nil {
			got = "error"
		}
		if got != want || err == nil && r.ID.String() != id {
			t.Errorf("%.200s: %s, %v, want %s", text, got, err, want)
		}
	}
}

// TestEvil_D2_RecordOfManyAddresses takes no more of them than can be of use.
func TestEvil_D2_RecordOfManyAddresses(t *testing.T) {
	id := coretest.NewIdentity(1).ID().String()
	var r Record
	text := `{"ID": "` + id + `", "Addrs": [` + strings.Repeat(`"/memory/1",`, 4000) + `"/memory/2"], "Protocols": [` + strings.Repeat(`"a",`, 1000) + `"a"]}`
	if err := json.Unmarshal([]byte(text), &r); err != nil || len(r.Addrs) != maxAddrs || len(r.Protocols) != maxProtocols {
		t.Errorf("%d addresses, %d protocols, %v", len(r.Addrs), len(r.Protocols), err)
	}
}

func TestFilter(t *testing.T) {
	const tcp, quic, ws = "/ip4/192.0.2.1/tcp/1", "/ip6/2001:db8::1/udp/1/quic-v1", "/dns4/example.org/tcp/443/tls/ws"
	all := []string{tcp, quic, ws}
	for _, tt := range []struct {
		query     string
		protocols string
		addrs     []string
		want      string // the addresses that are left, or "-"
	}{
		{"", "", nil, "[]"},
		{"", "a", all, fmt.Sprint(all)},
		{"filter-addrs=tcp", "", all, fmt.Sprint([]string{tcp, ws})},
		{"filter-addrs=TCP,Quic-V1", "", all, fmt.Sprint(all)},
		{"filter-addrs=!ip6,!quic-v1", "", all, fmt.Sprint([]string{tcp, ws})},
		{"filter-addrs=tcp,!ws", "", all, fmt.Sprint([]string{tcp})},
		{"filter-addrs=tcp%2C!ws", "", all, fmt.Sprint([]string{tcp})},
		{"filter-addrs=webtransport", "", all, "-"},
		{"filter-addrs=nonsense", "", all, "-"},
		{"filter-addrs=tcp", "", nil, "-"},
		{"filter-addrs=unknown", "", nil, "[]"},
		{"filter-addrs=unknown", "", all, "-"},
		{"filter-addrs=unknown,tcp", "", all, fmt.Sprint([]string{tcp, ws})},
		{"filter-protocols=a", "a b", all, fmt.Sprint(all)},
		{"filter-protocols=A", "a", nil, "[]"},
		{"filter-protocols=a", "b", all, "-"},
		{"filter-protocols=a", "", all, "-"},
		{"filter-protocols=a,unknown", "", all, fmt.Sprint(all)},
		{"filter-protocols=unknown", "a", all, "-"},
		{"filter-protocols=a&filter-addrs=tcp", "a", all, fmt.Sprint([]string{tcp, ws})},
		{"filter-protocols=a&filter-addrs=tcp", "b", all, "-"},
	} {
		query, err := url.ParseQuery(tt.query)
		if err != nil {
			t.Fatal(err)
		}
		f, err := ParseFilter(query)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseFilter(f.Query())
		if err != nil || fmt.Sprint(again) != fmt.Sprint(f) {
			t.Errorf("%s: %v becomes %v, %v", tt.query, f, again, err)
		}
		got := "-"
		if r, ok := f.Apply(record(t, tt.protocols, tt.addrs...)); ok {
			got = fmt.Sprint(r.Addrs)
		}
		if got != tt.want {
			t.Errorf("%s of %q %v: %s, want %s", tt.query, tt.protocols, tt.addrs, got, tt.want)
		}
	}
	for _, query := range []url.Values{
		{"filter-addrs": {strings.Repeat("tcp,", 65)}},
		{"filter-protocols": {strings.Repeat("x", 64)}},
		{"filter-addrs": {"!"}},
	} {
		if _, err := ParseFilter(query); err == nil {
			t.Errorf("%.80v: no error", query)
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(`{"Schema": "peer", "ID": "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "Addrs": ["/ip4/1.2.3.4/tcp/1"]}`, "filter-addrs=tcp,!ws&filter-protocols=a")
	f.Fuzz(func(t *testing.T, text, filter string) {
		var r, again Record
		if json.Unmarshal([]byte(text), &r) != nil {
			return
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &again); len(b) <= MaxRecord && (err != nil || again.ID != r.ID || len(again.Addrs) != len(r.Addrs)) {
			t.Errorf("%s becomes %v, %v", text, again, err)
		}
		if query, err := url.ParseQuery(filter); err == nil {
			if f, err := ParseFilter(query); err == nil {
				f.Apply(r)
			}
		}
	})
}
