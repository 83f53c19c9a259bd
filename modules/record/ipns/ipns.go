// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package ipns checks and makes IPNS records, by which the holder of a key says
// what its name stands for: /ipns/NAME, with the bytes of the name, which is a
// peer ID.
//
// Spec: https://specs.ipfs.tech/ipns/ipns-record/
//
//	"records": {"ipns": {}}
//
// Of the record's old form, which is signed otherwise, nothing is believed: where
// it is there it has to say the same. Where a path leads is not looked at.
package ipns

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
)

func init() { core.Register(new(Validator), core.Beta) }

// prefix is what the keys begin with.
const prefix = "/ipns/"

// Validator is the xnode.record.ipns module.
type Validator struct{}

// CaddyModule implements [caddy.Module].
func (*Validator) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "xnode.record.ipns", New: func() caddy.Module { return new(Validator) }}
}

// Validate implements [record.Validator].
func (*Validator) Validate(key string, value []byte) error {
	raw, ok := strings.CutPrefix(key, prefix)
	if !ok {
		return fmt.Errorf("not a key of an IPNS record: %w", record.ErrInvalid)
	}
	name, err := peer.FromBytes([]byte(raw))
	if err != nil {
		return fmt.Errorf("name: %w: %w", record.ErrInvalid, err)
	}
	r, err := Open(name, value)
	if err != nil {
		return err
	}
	if now := time.Now(); now.After(r.Validity) {
		return fmt.Errorf("it ended %v ago: %w", now.Sub(r.Validity).Round(time.Second), record.ErrExpired)
	}
	return nil
}

// Select implements [record.Validator]: the greatest sequence number, then the
// latest end. Two records that do not differ in those are ordered by their bytes,
// so that everybody keeps the same one.
func (*Validator) Select(_ string, values [][]byte) (int, error) {
	var best *Record
	chosen := 0
	for i, b := range values {
		r, err := content(b)
		if err != nil {
			return 0, err
		}
		if best == nil || cmp.Or(cmp.Compare(r.Sequence, best.Sequence), r.Validity.Compare(best.Validity),
			bytes.Compare(b, values[chosen])) > 0 {
			best, chosen = r, i
		}
	}
	return chosen, nil
}

// Lifetime implements [record.Limited].
func (*Validator) Lifetime(value []byte) (fresh time.Duration, end time.Time, err error) {
	r, err := content(value)
	if err != nil {
		return 0, time.Time{}, err
	}
	return r.TTL, r.Validity, nil
}

// content is what a record says that has been checked before.
func content(b []byte) (*Record, error) {
	e, err := decode(b)
	if err != nil {
		return nil, err
	}
	return e.record()
}

var (
	_ core.RecordValidator = (*Validator)(nil)
	_ record.Limited       = (*Validator)(nil)
)
