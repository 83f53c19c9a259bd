// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package size checks how large the data of messages is.
//
//	"validators": [{"module": "size", "max": "4KiB"}]
//
// It does not see what is around the data; max_message of the pub/sub module
// bounds that.
package size

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
)

func init() { core.Register(new(Validator), core.Beta) }

// Validator is the xnode.pubsub.validator.size module.
type Validator struct {
	// Min is how many bytes the data has at least.
	// Default: 0.
	Min core.Size `json:"min,omitempty"`
	// Max is how many bytes it has at most. A message that is smaller or larger
	// is rejected.
	// Default: none; it has to be given.
	Max core.Size `json:"max"`
}

// CaddyModule implements [caddy.Module].
func (*Validator) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.pubsub.validator.size", New: func() caddy.Module { return new(Validator) }}
}

// Validate implements [caddy.Validator].
func (v *Validator) Validate() error {
	if v.Max <= 0 {
		return errors.New(`max: want the largest size that data may have, such as "4KiB"`)
	}
	if v.Min < 0 || v.Min > v.Max {
		return fmt.Errorf("min: want 0 to max (%s), have %s", v.Max, v.Min)
	}
	return nil
}

// ValidateMessage implements [core.TopicValidator].
func (v *Validator) ValidateMessage(_ context.Context, m *core.TopicMessage) core.TopicVerdict {
	if n := core.Size(len(m.Data)); n < v.Min || n > v.Max {
		return core.TopicReject
	}
	return core.TopicAccept
}

// ValidatesInOrder implements [core.OrderedTopicValidator].
func (*Validator) ValidatesInOrder() {}

var (
	_ core.OrderedTopicValidator = (*Validator)(nil)
	_ caddy.Validator            = (*Validator)(nil)
)
