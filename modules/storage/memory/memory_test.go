// SPDX-License-Identifier: Apache-2.0 OR MIT

package memory

import (
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

func TestStorage(t *testing.T) {
	coretest.TestStorage(t, coretest.StorageOptions{
		New: func(t *testing.T, _ string) core.Storage { return coretest.MustLoad[core.Storage](t, "memory", `{}`) },
	})
}

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.Storage](t, "memory", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "unknown key", JSON: `{"path": "x"}`, WantErr: `unknown field "path"`},
	})
}
