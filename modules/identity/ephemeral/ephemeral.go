// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package ephemeral makes a new private key whenever the process starts,
// https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md.
//
//	{"identity": {"module": "ephemeral", "type": "ed25519"}}
//
// The key is kept in memory alone. It outlives a reload of the configuration,
// as long as that has an ephemeral identity of the same type too.
package ephemeral

import (
	"fmt"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

func init() { core.Register(new(Ephemeral), core.Beta) }

// Ephemeral is the module. One that is not provisioned has a key of its own.
type Ephemeral struct {
	// Type is the type of the key: ed25519, secp256k1, ecdsa or rsa.
	// Default: ed25519.
	Type string `json:"type,omitempty" xnode:"one_of=ed25519|secp256k1|ecdsa|rsa"`

	shared *generated // from the pool
	own    generated
}

// pool hands the keys from one configuration to the next.
var pool = caddy.NewUsagePool()

// generated is a key that is made when it is first asked for.
type generated struct {
	mu  sync.Mutex
	key peer.PrivateKey
}

// Destruct implements [caddy.Destructor].
func (*generated) Destruct() error { return nil }

// CaddyModule implements [caddy.Module].
func (*Ephemeral) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "xnode.identity.ephemeral",
		New: func() caddy.Module { return new(Ephemeral) },
	}
}

// Provision implements [caddy.Provisioner].
func (e *Ephemeral) Provision(caddy.Context) error {
	kind, err := e.kind()
	if err != nil {
		return err
	}
	shared, _, err := pool.LoadOrNew(kind, func() (caddy.Destructor, error) { return new(generated), nil })
	if err != nil {
		return err
	}
	e.shared = shared.(*generated)
	return nil
}

// Cleanup implements [caddy.CleanerUpper].
func (e *Ephemeral) Cleanup() error {
	if e.shared == nil {
		return nil
	}
	e.shared = nil
	kind, err := e.kind()
	if err == nil {
		_, err = pool.Delete(kind)
	}
	return err
}

// PrivateKey implements [core.KeySource].
func (e *Ephemeral) PrivateKey() (peer.PrivateKey, error) {
	kind, err := e.kind()
	if err != nil {
		return nil, err
	}
	if e.shared != nil {
		return e.shared.get(kind)
	}
	return e.own.get(kind)
}

func (e *Ephemeral) kind() (peer.KeyType, error) {
	if e.Type == "" {
		return peer.Ed25519, nil
	}
	kind, err := peer.ParseKeyType(e.Type)
	if err != nil {
		return 0, fmt.Errorf("type: %w", err)
	}
	return kind, nil
}

func (g *generated) get(kind peer.KeyType) (peer.PrivateKey, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.key == nil {
		key, err := peer.GenerateKey(kind, nil)
		if err != nil {
			return nil, err
		}
		g.key = key
	}
	return g.key, nil
}

var (
	_ caddy.Provisioner  = (*Ephemeral)(nil)
	_ caddy.CleanerUpper = (*Ephemeral)(nil)
	_ core.KeySource     = (*Ephemeral)(nil)
)
