// SPDX-License-Identifier: Apache-2.0 OR MIT

package bounded

import (
	"net"
	"strings"
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
	_ "github.com/xnode-p2p/xnode/modules/muxer/yamux"
)

func TestContract(t *testing.T) {
	coretest.TestMuxer(t, coretest.MustLoad[core.Muxer](t, "bounded", `{}`))
}

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.Muxer](t, "bounded", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "nobody", JSON: `{"max_sessions": -1}`, WantErr: "the least is 1"},
		{Name: "an unknown muxer", JSON: `{"muxer": {"module": "nosuch"}}`, WantErr: "unknown module"},
		{Name: "unknown key", JSON: `{"max": 1}`, WantErr: `unknown field "max"`},
	})
}

func TestBoundsSessions(t *testing.T) {
	m := coretest.MustLoad[core.Muxer](t, "bounded", `{"max_sessions": 1}`)
	mux := func() (core.Session, error) {
		here, there := net.Pipe()
		t.Cleanup(func() { there.Close() })
		return m.Mux(here, true, coretest.NewMemory(1<<30))
	}
	first, err := mux()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mux(); err == nil || !strings.Contains(err.Error(), "raise max_sessions") {
		t.Errorf("the second: %v", err)
	}
	first.Close()
	again, err := mux()
	if err != nil {
		t.Fatalf("when there is room: %v", err)
	}
	again.Close()
}
