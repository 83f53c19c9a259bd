// SPDX-License-Identifier: Apache-2.0 OR MIT

package bbolt

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// fileIn is the path of the store that [load] uses in a folder.
func fileIn(folder string) string { return filepath.Join(folder, "data", "store.db") }

func load(t *testing.T, folder string) core.Storage {
	t.Helper()
	return coretest.MustLoad[core.Storage](t, "bbolt", fmt.Sprintf(`{"path": %q}`, fileIn(folder)))
}

func TestStorage(t *testing.T) {
	coretest.TestStorage(t, coretest.StorageOptions{New: load, Durable: true})
}

func TestConfig(t *testing.T) {
	coretest.TestConfigs[core.Storage](t, "bbolt", []coretest.Config{
		{Name: "empty", JSON: `{}`},
		{Name: "all", JSON: `{"path": "{xnode.data}/other.db", "max_size": "1MiB"}`},
		{Name: "unknown key", JSON: `{"quota": "1GiB"}`, WantErr: `unknown field "quota"`},
		{Name: "too small", JSON: `{"max_size": "64KiB"}`, WantErr: `max_size: 64KiB is too little; write at least "1MiB"`},
		{Name: "unknown placeholder", JSON: `{"path": "{xnode.date}/store.db"}`, WantErr: "path: "},
	})
}
