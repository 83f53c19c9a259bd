// SPDX-License-Identifier: Apache-2.0 OR MIT

package kad

import (
	"strings"
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	_ "github.com/xnode-p2p/xnode/modules/record/pk"
	_ "github.com/xnode-p2p/xnode/modules/storage/memory"
)

func load(t testing.TB, config string) *Kad {
	t.Helper()
	return coretest.MustLoad[core.Routing](t, "kad", config).(*Kad)
}

// newStorage returns a running storage for a node.
func newStorage(t testing.TB, n core.Node) core.Storage {
	t.Helper()
	s := coretest.MustLoad[core.Storage](t, "memory", `{}`)
	if err := s.Start(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestLifecycle(t *testing.T) {
	for name, config := range map[string]string{
		"public":  `{}`,
		"server":  `{"mode": "server"}`,
		"client":  `{"mode": "client"}`,
		"private": `{"network": "test", "open_namespaces": ["v"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			coretest.TestLifecycle(t, func(t *testing.T) core.Service { return load(t, config) },
				func(n *coretest.FakeNode) {
					n.SetModules(newStorage(t, n))
				})
		})
	}
}

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.Routing](t, "kad", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "private", JSON: `{"network": "example", "open_namespaces": ["example"], "mode": "client"}`},
		{Name: "records", JSON: `{"records": {"pk": {}}}`},
		{Name: "accelerated", JSON: `{"accelerated": {}}`},
		{Name: "mode", JSON: `{"mode": "both"}`, WantErr: `mode: "both": want one of`},
		{Name: "lan", JSON: `{"lan": "on"}`, WantErr: `lan: "on": want one of`},
		{Name: "provide", JSON: `{"provide": "fast"}`, WantErr: `provide: "fast": want one of`},
		{Name: "network", JSON: `{"network": "a/b"}`, WantErr: `network: "a/b": want letters`},
		{Name: "prefix", JSON: `{"prefix": "ipfs"}`, WantErr: `prefix: "ipfs": want a path`},
		{Name: "protocol", JSON: `{"protocol": "/a b"}`, WantErr: `protocol: "/a b": want a path`},
		{Name: "open and public", JSON: `{"open_namespaces": ["v"]}`, WantErr: "open_namespaces: the public DHT takes no records"},
		{Name: "open and public, by protocol", JSON: `{"protocol": "/ipfs/kad/1.0.0", "open_namespaces": ["v"]}`, WantErr: "the public DHT"},
		{Name: "open and private, with the public protocol", JSON: `{"protocol": "/ipfs/kad/1.0.0", "network": "x", "open_namespaces": ["v"]}`},
		{Name: "open and checked", JSON: `{"network": "x", "open_namespaces": ["pk"]}`, WantErr: `open_namespaces: "pk": its records are checked`},
		{Name: "no namespace", JSON: `{"network": "x", "open_namespaces": ["a/b"]}`, WantErr: `open_namespaces: "a/b"`},
		{Name: "unknown validator", JSON: `{"records": {"nothing": {}}}`, WantErr: "unknown module: xnode.record.nothing"},
		{Name: "bucket size", JSON: `{"bucket_size": 101}`, WantErr: "bucket_size: 101: want 1 to 100"},
		{Name: "resiliency", JSON: `{"bucket_size": 5, "resiliency": 6}`, WantErr: "resiliency: 6: want 1 to 5"},
		{Name: "quorum", JSON: `{"quorum": -1}`, WantErr: "quorum: -1"},
		{Name: "time", JSON: `{"refresh": "1ms"}`, WantErr: "refresh: 1ms: want"},
		{Name: "unknown key", JSON: `{"alpha": 3}`, WantErr: `unknown field "alpha"`},
	})
}

func TestStartWithoutStorage(t *testing.T) {
	k := load(t, `{}`)
	err := k.Start(t.Context(), coretest.FakeNodes(t, 1)[0])
	if err == nil {
		t.Fatal("it starts")
	}
	if want := "add \"storage\""; !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want the remedy, %q", err, want)
	}
}
