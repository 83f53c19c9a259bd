// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package pk checks records of public keys, by which a peer's key is found that
// its ID does not contain: /pk/ID, with the bytes of the ID.
//
// Spec: https://github.com/libp2p/specs/blob/master/kad-dht/README.md
//
//	"records": {"pk": {}}
//
// There is one valid value for a key, the encoded public key, so none is better
// than another.
package pk

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
)

func init() { core.Register(new(Validator), core.Beta) }

// prefix is what the keys begin with.
const prefix = "/pk/"

// Validator is the xnode.record.pk module.
type Validator struct{}

// CaddyModule implements [caddy.Module].
func (*Validator) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.record.pk", New: func() caddy.Module { return new(Validator) }}
}

// Validate implements [record.Validator].
func (*Validator) Validate(key string, value []byte) error {
	raw, ok := strings.CutPrefix(key, prefix)
	if !ok {
		return fmt.Errorf("not a key of a public key: %w", record.ErrInvalid)
	}
	id, err := peer.FromBytes([]byte(raw))
	if err != nil {
		return fmt.Errorf("key: %w: %w", record.ErrInvalid, err)
	}
	public, err := peer.UnmarshalPublicKey(value)
	if err != nil {
		return fmt.Errorf("%w: %w", record.ErrInvalid, err)
	}
	if !id.Matches(public) {
		return fmt.Errorf("the public key of %v: %w", peer.FromPublicKey(public), record.ErrWrongPeer)
	}
	return nil
}

// Select implements [record.Validator].
func (*Validator) Select(string, [][]byte) (int, error) { return 0, nil }

var _ core.RecordValidator = (*Validator)(nil)
