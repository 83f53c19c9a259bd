// SPDX-License-Identifier: Apache-2.0 OR MIT

package record

import (
	"errors"
	"fmt"

	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/wire"
)

// maxAddrs bounds the addresses of a peer record.
const maxAddrs = 500

// Domain and payload type of peer records: what all implementations of today
// verify, and the legacy pair that RFC 0003 still shows and that rust-libp2p
// signs by default.
const (
	peerRecordDomain = "libp2p-peer-record"
	peerRecordType   = "\x03\x01" // multicodec libp2p-peer-record

	legacyRecordDomain = "libp2p-routing-state"
	legacyRecordType   = "/libp2p/routing-state-record"
)

// ErrWrongPeer says that a peer record names another peer than the one who
// signed it, or than the one it was expected from.
var ErrWrongPeer = errors.New("record of another peer")

// PeerRecord is a peer's statement of its addresses at one time.
type PeerRecord struct {
	// ID names the peer whose addresses these are.
	ID peer.ID
	// Seq orders the records of a peer: the greater one is newer. It is often,
	// but not always, a time; it has no meaning beyond the order.
	Seq uint64
	// Addrs are transport addresses, without the peer's own /p2p at the end.
	Addrs []ma.Multiaddr
}

// Numbers of the fields of the PeerRecord message and of its AddressInfo.
const (
	recordPeerID    protowire.Number = 1
	recordSeq       protowire.Number = 2
	recordAddresses protowire.Number = 3

	addressMultiaddr protowire.Number = 1
)

// Marshal returns the record as the protobuf message of RFC 0003. More than 500
// addresses are [wire.ErrTooMany].
func (r *PeerRecord) Marshal() ([]byte, error) {
	if err := r.ID.Validate(); err != nil {
		return nil, fmt.Errorf("peer record: %w", err)
	}
	if len(r.Addrs) > maxAddrs {
		return nil, fmt.Errorf("peer record: %d addresses: %w", len(r.Addrs), wire.ErrTooMany)
	}
	b := appendBytes(nil, recordPeerID, r.ID.Bytes())
	if r.Seq != 0 {
		b = protowire.AppendTag(b, recordSeq, protowire.VarintType)
		b = protowire.AppendVarint(b, r.Seq)
	}
	for _, addr := range r.Addrs {
		info := appendBytes(nil, addressMultiaddr, addr.Bytes())
		b = protowire.AppendTag(b, recordAddresses, protowire.BytesType)
		b = protowire.AppendBytes(b, info)
	}
	return b, nil
}

// Unmarshal decodes a peer record. More than 500 addresses are
// [wire.ErrTooMany]. An address that is not understood is left out: it may be
// of a protocol yet to come. So is one that leads to another peer; the peer's
// own /p2p at the end of an address is taken off.
func (r *PeerRecord) Unmarshal(b []byte) error {
	*r = PeerRecord{}
	var id []byte
	var raw [][]byte
	quota := wire.Quota(maxAddrs)
	for f, err := range wire.Fields(b) {
		if err != nil {
			return fmt.Errorf("peer record: %w: %w", ErrInvalid, err)
		}
		switch f.Num {
		case recordPeerID:
			err = setOnce(&id, f)
		case recordSeq:
			r.Seq, err = f.Uint64()
		case recordAddresses:
			var addr []byte
			if err = quota.Take(); err == nil {
				addr, err = addressInfo(f)
			}
			raw = append(raw, addr)
		}
		if err != nil {
			return fmt.Errorf("peer record: %w: %w", ErrInvalid, err)
		}
	}
	var err error
	if r.ID, err = peer.FromBytes(id); err != nil {
		return fmt.Errorf("peer record: %w: %w", ErrInvalid, err)
	}
	for _, b := range raw {
		if addr, ok := r.transport(b); ok {
			r.Addrs = append(r.Addrs, addr)
		}
	}
	return nil
}

// addressInfo returns the multiaddr within an AddressInfo message.
func addressInfo(f wire.Field) ([]byte, error) {
	b, err := f.Bytes()
	if err != nil {
		return nil, err
	}
	var addr []byte
	for f, err := range wire.Fields(b) {
		if err == nil && f.Num == addressMultiaddr {
			err = setOnce(&addr, f)
		}
		if err != nil {
			return nil, err
		}
	}
	return addr, nil
}

// transport decodes an address of the record's peer.
func (r *PeerRecord) transport(b []byte) (ma.Multiaddr, bool) {
	addr, err := peer.DecodeAddr(b)
	if err != nil {
		return nil, false
	}
	transport, id := peer.SplitAddr(addr)
	return transport, transport != nil && (id == "" || id == r.ID)
}

// SealPeerRecord signs a record and returns the encoded envelope. The signer
// has to be the peer that the record names.
func SealPeerRecord(s Signer, r *PeerRecord) ([]byte, error) {
	return sealRecord(s, r, peerRecordDomain, peerRecordType)
}

// SealLegacyPeerRecord is [SealPeerRecord] in the legacy domain, for receivers
// that verify no other, such as rendezvous points on rust-libp2p.
func SealLegacyPeerRecord(s Signer, r *PeerRecord) ([]byte, error) {
	return sealRecord(s, r, legacyRecordDomain, legacyRecordType)
}

func sealRecord(s Signer, r *PeerRecord, domain, payloadType string) ([]byte, error) {
	if !r.ID.Matches(s.PublicKey()) {
		return nil, fmt.Errorf("seal record of %v: signer: %w", r.ID, ErrWrongPeer)
	}
	payload, err := r.Marshal()
	if err != nil {
		return nil, err
	}
	env, err := Seal(s, domain, []byte(payloadType), payload)
	if err != nil {
		return nil, err
	}
	b := env.Marshal()
	if len(b) > MaxEnvelope {
		return nil, fmt.Errorf("peer record of %d bytes, limit %d: %w", len(b), MaxEnvelope, wire.ErrTooLarge)
	}
	return b, nil
}

// ConsumePeerRecord opens an encoded envelope with the peer record of expect,
// in the domain of today or the legacy one, each with its own payload type. It
// returns the record only if the signature is valid and the peer ID of the
// signing key, the peer ID in the record and expect are one and the same; else
// [ErrWrongPeer], [ErrSignature], [ErrPayloadType] or [ErrInvalid].
//
// Whether the record is newer than the last one is for the keeper of the
// records to compare.
func ConsumePeerRecord(env []byte, expect peer.ID) (*PeerRecord, error) {
	e, err := Unmarshal(env)
	if err != nil {
		return nil, err
	}
	// The cheap comparison comes before the signature.
	if signer := peer.FromPublicKey(e.PublicKey); signer != expect {
		return nil, fmt.Errorf("peer record: signed by %v, want %v: %w", signer, expect, ErrWrongPeer)
	}
	domain := peerRecordDomain
	payloadType := peerRecordType
	if string(e.PayloadType) == legacyRecordType {
		domain, payloadType = legacyRecordDomain, legacyRecordType
	}
	if err := e.Verify(domain, []byte(payloadType)); err != nil {
		return nil, fmt.Errorf("peer record of %v: %w", expect, err)
	}
	r := new(PeerRecord)
	if err := r.Unmarshal(e.Payload); err != nil {
		return nil, err
	}
	if r.ID != expect {
		return nil, fmt.Errorf("peer record: names %v, want %v: %w", r.ID, expect, ErrWrongPeer)
	}
	return r, nil
}
