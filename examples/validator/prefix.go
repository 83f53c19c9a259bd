// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package prefix checks that messages begin with certain bytes.
//
//	"validators": [{"module": "prefix", "prefix": "v1:"}]
//
// What comes after them may be anything.
package prefix

import (
	"bytes"
	"context"
	"errors"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
)

func init() { core.Register(new(Validator), core.Development) }

// Validator is the xnode.pubsub.validator.prefix module.
type Validator struct {
	// Prefix is what messages begin with. It must be given.
	Prefix string `json:"prefix"`
}

// CaddyModule implements [caddy.Module].
func (*Validator) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.pubsub.validator.prefix", New: func() caddy.Module { return new(Validator) }}
}

// Validate implements [caddy.Validator].
func (v *Validator) Validate() error {
	if v.Prefix == "" {
		return errors.New("prefix: it is missing; write what messages begin with")
	}
	return nil
}

// ValidateMessage implements [core.TopicValidator].
func (v *Validator) ValidateMessage(_ context.Context, m *core.TopicMessage) core.TopicVerdict {
	if !bytes.HasPrefix(m.Data, []byte(v.Prefix)) {
		return core.TopicReject
	}
	return core.TopicAccept
}

var _ core.TopicValidator = (*Validator)(nil)
