// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package env takes the node's private key from an environment variable,
// https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md.
//
//	{"identity": {"module": "env", "var": "XNODE_IDENTITY"}}
//
// It makes no key: `xnode key gen` does.
package env

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/modules/identity/internal/keytext"
)

func init() { core.Register(new(Env), core.Beta) }

// defaultVar is the variable that is read if the configuration names none.
const defaultVar = "XNODE_IDENTITY"

// Env is the module.
type Env struct {
	// Var is the name of the environment variable. It holds base64 of the key
	// in libp2p's protobuf form, as the file of the module file may.
	// Default: XNODE_IDENTITY.
	Var string `json:"var,omitempty"`

	mu  sync.Mutex
	key peer.PrivateKey
}

// CaddyModule implements [caddy.Module].
func (*Env) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "xnode.identity.env",
		New: func() caddy.Module { return new(Env) },
	}
}

// Provision implements [caddy.Provisioner].
func (e *Env) Provision(caddy.Context) error {
	if e.Var == "" {
		e.Var = defaultVar
	}
	return nil
}

// Validate implements [caddy.Validator]. A variable that is not set is no
// mistake of the configuration.
func (e *Env) Validate() error {
	if strings.ContainsAny(e.Var, "=\x00 ") {
		return fmt.Errorf("var: %q cannot be the name of an environment variable", e.Var)
	}
	if os.Getenv(e.Var) == "" {
		return nil
	}
	_, err := e.read()
	return err
}

// PrivateKey implements [core.KeySource].
func (e *Env) PrivateKey() (peer.PrivateKey, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.key == nil {
		key, err := e.read()
		if err != nil {
			return nil, err
		}
		e.key = key
	}
	return e.key, nil
}

func (e *Env) read() (peer.PrivateKey, error) {
	name := e.Var
	if name == "" {
		name = defaultVar
	}
	text := os.Getenv(name)
	if text == "" {
		return nil, fmt.Errorf("environment variable %s is not set: put base64 of a private key there, or use another identity module", name)
	}
	key, err := keytext.Decode([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("environment variable %s: not base64 of a libp2p private key: %w", name, err)
	}
	return key, nil
}

var (
	_ caddy.Provisioner = (*Env)(nil)
	_ caddy.Validator   = (*Env)(nil)
	_ core.KeySource    = (*Env)(nil)
)
