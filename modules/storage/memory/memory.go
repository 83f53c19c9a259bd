// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package memory keeps what modules store in memory, for as long as the node
// runs.
//
//	"storage": {"module": "memory"}
//
// What it takes is bounded by what each module allows its tables.
package memory

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/modules/storage/internal/memtable"
)

func init() { core.Register(new(Memory), core.Beta) }

// Memory is the module. It has no settings.
type Memory struct {
	tables memtable.Store
	open   atomic.Bool
}

// CaddyModule implements [caddy.Module].
func (*Memory) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.storage.memory", New: func() caddy.Module { return new(Memory) }}
}

// Start implements [core.Service].
func (m *Memory) Start(context.Context, core.Node) error {
	m.open.Store(true)
	return nil
}

// Table implements [core.Storage].
func (m *Memory) Table(name string, quota core.Quota) (core.Table, error) {
	if !m.open.Load() {
		return nil, fmt.Errorf("table %s: storage memory: %w", name, net.ErrClosed)
	}
	return m.tables.Table(name, quota)
}

// Close implements [core.Service].
func (m *Memory) Close() error {
	m.open.Store(false)
	return nil
}

var _ core.Storage = (*Memory)(nil)
