// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package peers checks who wrote messages.
//
//	"validators": [{"module": "peers", "allow": ["12D3Koo…"]}]
//
// It looks at the author, not at who sent the message on. Authors are known where
// messages are signed; the policy strict_no_sign leaves none.
package peers

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

func init() { core.Register(new(Validator), core.Beta) }

// Validator is the xnode.pubsub.validator.peers module.
type Validator struct {
	// Allow are the IDs of the peers whose messages are accepted. The node's own
	// is among them only if it is listed.
	// Default: those of all peers that are not denied.
	Allow []string `json:"allow,omitempty"`
	// Deny are the IDs of the peers whose messages are not.
	// Default: none.
	Deny []string `json:"deny,omitempty"`
	// Verdict says what is done about messages of others: "reject" blames who
	// sends them on, which is right where all nodes have the same list, and
	// "ignore" nobody.
	// Default: "reject".
	Verdict string `json:"verdict,omitempty" xnode:"one_of=reject|ignore"`

	allow, deny map[peer.ID]bool
	refuse      core.TopicVerdict
}

// CaddyModule implements [caddy.Module].
func (*Validator) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.pubsub.validator.peers", New: func() caddy.Module { return new(Validator) }}
}

// Provision implements [caddy.Provisioner].
func (v *Validator) Provision(caddy.Context) error {
	if v.Verdict == "" {
		v.Verdict = "reject"
	}
	return nil
}

// Validate implements [caddy.Validator].
func (v *Validator) Validate() error {
	if len(v.Allow)+len(v.Deny) == 0 {
		return errors.New("allow, deny: want peers in at least one of them")
	}
	switch v.Verdict {
	case "reject":
		v.refuse = core.TopicReject
	case "ignore":
		v.refuse = core.TopicIgnore
	default:
		return fmt.Errorf("verdict: want reject or ignore, have %q", v.Verdict)
	}
	var err error
	if v.allow, err = decode("allow", v.Allow); err != nil {
		return err
	}
	v.deny, err = decode("deny", v.Deny)
	return err
}

func decode(key string, list []string) (map[peer.ID]bool, error) {
	set := make(map[peer.ID]bool, len(list))
	for i, text := range list {
		id, err := peer.Decode(text)
		if err != nil {
			return nil, fmt.Errorf("%s/%d: %w", key, i, err)
		}
		set[id] = true
	}
	return set, nil
}

// ValidateMessage implements [core.TopicValidator].
func (v *Validator) ValidateMessage(_ context.Context, m *core.TopicMessage) core.TopicVerdict {
	if v.deny[m.From] || len(v.allow) > 0 && !v.allow[m.From] {
		return v.refuse
	}
	return core.TopicAccept
}

// ValidatesInOrder implements [core.OrderedTopicValidator].
func (*Validator) ValidatesInOrder() {}

var (
	_ core.OrderedTopicValidator = (*Validator)(nil)
	_ caddy.Provisioner          = (*Validator)(nil)
	_ caddy.Validator            = (*Validator)(nil)
)
