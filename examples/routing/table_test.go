// SPDX-License-Identifier: Apache-2.0 OR MIT

package table

import (
	"errors"
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

func TestContract(t *testing.T) {
	coretest.TestLifecycle(t, func(t *testing.T) core.Service { return coretest.MustLoad[core.Routing](t, "table", `{}`) })
}

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.Routing](t, "table", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "no multiaddr", JSON: `{"peers": ["192.0.2.1"]}`, WantErr: "is no multiaddr"},
		{Name: "nobody", JSON: `{"peers": ["/ip4/192.0.2.1/tcp/1"]}`, WantErr: "does not say who"},
		{Name: "unknown key", JSON: `{"peer": []}`, WantErr: `unknown field "peer"`},
	})
}

func TestFindsWhoIsInTheTable(t *testing.T) {
	known, unknown := coretest.NewIdentity(1).ID(), coretest.NewIdentity(2).ID()
	table := coretest.MustLoad[*Table](t, "table", `{"peers": ["/ip4/192.0.2.1/tcp/1/p2p/`+known.String()+`"]}`)
	if p, err := table.FindPeer(t.Context(), known); err != nil || len(p.Addrs) != 1 || p.Addrs[0].String() != "/ip4/192.0.2.1/tcp/1" {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := table.FindPeer(t.Context(), unknown); !errors.Is(err, core.ErrNotFound) {
		t.Errorf("somebody unknown: %v", err)
	}
	if list, err := table.ClosestPeers(t.Context(), []byte("key")); err != nil || len(list) != 1 || list[0].ID != known {
		t.Errorf("%+v, %v", list, err)
	}
}
