// SPDX-License-Identifier: Apache-2.0 OR MIT

package relay

import (
	"fmt"
	"math"
	"time"

	"github.com/xnode-p2p/xnode/core/peer"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/core/wire"
)

// How vouchers are sealed.
const (
	voucherDomain = "libp2p-relay-rsvp"
	voucherType   = "\x03\x02"
)

// Voucher is a relay's word that a peer has a place at it.
type Voucher struct {
	Relay, Peer peer.ID
	Expires     time.Time
}

// seal returns the voucher in an envelope signed by the relay.
func (v Voucher) seal(relay record.Signer) ([]byte, error) {
	b := appendPart(nil, 1, []byte(v.Relay))
	b = appendPart(b, 2, []byte(v.Peer))
	b = appendUint(b, 3, uint64(v.Expires.Unix()))
	e, err := record.Seal(relay, voucherDomain, []byte(voucherType), b)
	if err != nil {
		return nil, err
	}
	return e.Marshal(), nil
}

// openVoucher verifies an envelope and returns the voucher in it, which is of
// whoever signed it.
func openVoucher(b []byte) (v Voucher, err error) {
	e, err := record.Unmarshal(b)
	if err != nil {
		return v, fmt.Errorf("voucher: %w", err)
	}
	if err := e.Verify(voucherDomain, []byte(voucherType)); err != nil {
		return v, fmt.Errorf("voucher: %w", err)
	}
	if v, err = readVoucher(e.Payload); err != nil {
		return v, fmt.Errorf("voucher: %w", err)
	}
	if !v.Relay.Matches(e.PublicKey) {
		return v, fmt.Errorf("voucher of %s signed by another: %w", v.Relay.Short(), record.ErrSignature)
	}
	return v, nil
}

func readVoucher(b []byte) (v Voucher, err error) {
	for f, err := range wire.Fields(b) {
		if err != nil {
			return v, err
		}
		switch f.Num {
		case 1, 2:
			raw, err := f.Bytes()
			if err != nil {
				return v, err
			}
			id, err := peer.FromBytes(raw)
			if err != nil {
				return v, err
			}
			if f.Num == 1 {
				v.Relay = id
			} else {
				v.Peer = id
			}
		case 3:
			n, err := f.Uint64()
			if err != nil {
				return v, err
			}
			v.Expires = time.Unix(int64(min(n, math.MaxInt32*2)), 0)
		}
	}
	if v.Relay == "" || v.Peer == "" {
		return v, fmt.Errorf("relay or peer is missing: %w", errMessage)
	}
	return v, nil
}
