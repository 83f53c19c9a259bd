// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package json checks that the data of messages is JSON.
//
//	"validators": [{"module": "json", "required": ["id", "text"]}]
//
// It knows no schema: what more a message has to be, a module of one's own says.
package json

import (
	"bytes"
	"context"
	"encoding/json"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
)

func init() { core.Register(new(Validator), core.Beta) }

// Validator is the xnode.pubsub.validator.json module. What is no JSON, or not in
// UTF-8, is rejected.
type Validator struct {
	// Required are keys that the data, which then has to be an object, must
	// have.
	// Default: none, and the data may be any value.
	Required []string `json:"required,omitempty"`
}

// CaddyModule implements [caddy.Module].
func (*Validator) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.pubsub.validator.json", New: func() caddy.Module { return new(Validator) }}
}

// ValidateMessage implements [core.TopicValidator].
func (v *Validator) ValidateMessage(_ context.Context, m *core.TopicMessage) core.TopicVerdict {
	if !utf8.Valid(m.Data) || !json.Valid(m.Data) || len(v.Required) > 0 && !v.complete(m.Data) {
		return core.TopicReject
	}
	return core.TopicAccept
}

// complete reports whether valid JSON is an object that has all required keys.
func (v *Validator) complete(data []byte) bool {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return false
	}
	missing := make(map[string]bool, len(v.Required))
	for _, key := range v.Required {
		missing[key] = true
	}
	// Only the keys are kept, and no more than one at a time.
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return false
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return false
		}
		delete(missing, key.(string))
	}
	return len(missing) == 0
}

var _ core.TopicValidator = (*Validator)(nil)
