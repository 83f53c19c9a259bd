// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package routingv1 is what client and server of delegated routing over HTTP have
// in common: records as JSON, and filters.
// https://specs.ipfs.tech/routing/http-routing-v1/
package routingv1

import (
	"encoding/json"
	"errors"
	"fmt"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/peer"
)

// The media types of answers.
const (
	JSON   = "application/json"
	NDJSON = "application/x-ndjson"
	IPNS   = "application/vnd.ipfs.ipns-record"
)

const (
	// MaxRecord bounds a record as JSON, in bytes.
	MaxRecord = 64 << 10
	// maxAddrs bounds the addresses that are taken from a record, maxProtocols
	// the protocols.
	maxAddrs     = 64
	maxProtocols = 64
)

// schema is that of the records that are written. Older ones that are read have a
// peer in them too.
const schema = "peer"

// Record is a peer, and how content is got from it.
type Record struct {
	peer.AddrInfo
	// Protocols name how content is transferred; empty if that is not known.
	Protocols []string
}

// document is a record as JSON.
type document struct {
	Schema    string
	ID        string
	Addrs     []string
	Protocols []string
}

// MarshalJSON implements [json.Marshaler].
func (r Record) MarshalJSON() ([]byte, error) {
	d := document{Schema: schema, ID: r.ID.String(), Addrs: make([]string, 0, len(r.Addrs)), Protocols: r.Protocols}
	for _, a := range r.Addrs {
		d.Addrs = append(d.Addrs, a.String())
	}
	if d.Protocols == nil {
		d.Protocols = []string{}
	}
	return json.Marshal(d)
}

// UnmarshalJSON implements [json.Unmarshaler]. An address that is not understood
// is left out, and so is one that leads to another peer. What has no peer in it
// is an error.
func (r *Record) UnmarshalJSON(b []byte) error {
	*r = Record{}
	if len(b) > MaxRecord {
		return fmt.Errorf("record of %d bytes, limit %d", len(b), MaxRecord)
	}
	var d document
	if err := json.Unmarshal(b, &d); err != nil {
		return err
	}
	if d.ID == "" {
		return errors.New("record without a peer")
	}
	id, err := peer.Decode(d.ID)
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	r.ID = id
	for _, text := range d.Addrs {
		if a, ok := address(text, id); ok && len(r.Addrs) < maxAddrs {
			r.Addrs = append(r.Addrs, a)
		}
	}
	r.Protocols = d.Protocols[:min(len(d.Protocols), maxProtocols)]
	return nil
}

// address reads an address of a peer.
func address(text string, of peer.ID) (ma.Multiaddr, bool) {
	a, err := ma.NewMultiaddr(text)
	if err != nil {
		return nil, false
	}
	if a, err = peer.DecodeAddr(a.Bytes()); err != nil {
		return nil, false
	}
	transport, id := peer.SplitAddr(a)
	return transport, transport != nil && (id == "" || id == of)
}
