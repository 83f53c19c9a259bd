// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
)

func init() { core.Register(new(faulty)) }

// faulty is a protocol that goes wrong at a stage of one's choice.
type faulty struct {
	// Fail is "provision", "validate", "start", or one of these with "panic "
	// in front; "close" hangs.
	Fail string `json:"fail,omitempty"`
}

// CaddyModule implements [caddy.Module].
func (*faulty) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.protocol.faulty", New: func() caddy.Module { return new(faulty) }}
}

func (f *faulty) at(stage string) error {
	switch f.Fail {
	case stage:
		return fmt.Errorf("fail: it was told to at %s; choose another stage", stage)
	case "panic " + stage:
		panic("told to at " + stage)
	}
	return nil
}

// Provision implements [caddy.Provisioner].
func (f *faulty) Provision(caddy.Context) error { return f.at("provision") }

// Validate implements [caddy.Validator].
func (f *faulty) Validate() error { return f.at("validate") }

// Start implements [core.Service].
func (f *faulty) Start(context.Context, core.Node) error {
	return errors.Join(f.at("start"))
}

// Close implements [core.Service].
func (f *faulty) Close() error {
	if f.Fail == "close" {
		fmt.Fprintln(os.Stderr, "faulty: closing")
		select {}
	}
	return f.at("close")
}
