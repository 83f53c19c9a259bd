// SPDX-License-Identifier: Apache-2.0 OR MIT

package greeting

import (
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

func load(t *testing.T) core.Service {
	t.Helper()
	return coretest.MustLoad[core.Protocol](t, "greeting", `{"text": "good day"}`)
}

func TestContract(t *testing.T) { coretest.TestLifecycle(t, load) }

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.Protocol](t, "greeting", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "unknown key", JSON: `{"txt": "x"}`, WantErr: `unknown field "txt"`},
	})
}

func TestGreets(t *testing.T) {
	service := load(t)
	client, server := coretest.FakePair(t, service)
	if text, err := Greeting(t.Context(), client, server.ID()); err != nil || text != "good day" {
		t.Errorf("%q, %v", text, err)
	}
	for _, c := range service.(core.Commander).Commands() {
		if _, err := c.Run(t.Context(), []string{"nobody"}); err == nil {
			t.Errorf("%s: a name that is nobody's was taken", c.Name)
		}
	}
}
