// SPDX-License-Identifier: Apache-2.0 OR MIT

package relay

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/record"
	"github.com/xnode-p2p/xnode/core/wire"
)

func TestMessages(t *testing.T) {
	p := somebody(1)
	for name, c := range map[string]struct {
		d    *dialect
		m    message
		wire string // where it is short enough to be looked at
	}{
		"reserve": {hop, message{kind: hop.reserve}, "0800"},
		"connect": {hop, message{kind: hop.connect, peer: p}, ""},
		"granted": {hop, message{kind: hop.answer, status: StatusOK, limit: Limit{2 * time.Minute, 1 << 17}, place: &placeMessage{
			expires: epoch, addrs: []ma.Multiaddr{at("192.0.2.1")}, voucher: []byte("voucher"),
		}}, ""},
		"refused":      {hop, message{kind: hop.answer, status: StatusNoReservation}, "080228cc01"},
		"unlimited":    {hop, message{kind: hop.answer, status: StatusOK}, "08022864"},
		"asked":        {stop, message{kind: stop.connect, peer: p, limit: Limit{Data: 5}}, ""},
		"agreed":       {stop, message{kind: stop.answer, status: StatusOK}, "08012064"},
		"some seconds": {stop, message{kind: stop.connect, peer: p, limit: Limit{Duration: time.Second}}, ""},
	} {
		b := c.d.marshal(&c.m)
		if c.wire != "" && hex.EncodeToString(b) != c.wire {
			t.Errorf("%s: %x, want %s", name, b, c.wire)
		}
		got, err := c.d.unmarshal(b)
		if err != nil || !reflect.DeepEqual(*got, c.m) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.m)
		}
	}
}

func TestBadMessages(t *testing.T) {
	for name, b := range map[string]string{
		"no type":             "2864",
		"peer without ID":     "08011200",
		"peer that is none":   "080112040a02ffff",
		"type of other form":  "0a00",
		"truncated":           "08011205",
		"limit of other form": "08022001",
	} {
		raw, _ := hex.DecodeString(b)
		if m, err := hop.unmarshal(raw); !errors.Is(err, errMessage) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
	var long bytes.Buffer
	wire.WriteMessage(&long, make([]byte, maxMessage+1))
	if _, err := hop.read(&long); !errors.Is(err, wire.ErrTooLarge) {
		t.Errorf("a long message: %v", err)
	}
}

// TestHugeNumbers: numbers that no clock holds mean what they can.
func TestHugeNumbers(t *testing.T) {
	l := appendUint(appendUint(nil, 1, math.MaxUint64), 2, math.MaxUint64)
	b := appendPart(appendUint(nil, 1, stop.connect), stop.limit, l)
	m, err := stop.unmarshal(b)
	if err != nil || m.limit != (Limit{Data: math.MaxUint64}) {
		t.Errorf("%+v, %v", m, err)
	}
	place := appendPart(appendUint(nil, 1, hop.answer), hop.reservation, appendUint(nil, 1, math.MaxUint64))
	if m, err = hop.unmarshal(appendUint(place, hop.statusOfAnswer, math.MaxUint64)); err != nil || m.place.expires.Before(epoch) || m.status != math.MaxInt32 {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestManyAddresses: a reservation has no more than are taken.
func TestManyAddresses(t *testing.T) {
	var p []byte
	for i := range 200 {
		p = appendPart(p, 2, at("192.0.2.%d", i).Bytes())
	}
	m, err := hop.unmarshal(appendPart(appendUint(nil, 1, hop.answer), hop.reservation, p))
	if err != nil || len(m.place.addrs) != maxAddrs {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestVouchers(t *testing.T) {
	relay := coretest.NewIdentity(1)
	v := Voucher{Relay: relay.ID(), Peer: somebody(2), Expires: epoch}
	b, err := v.seal(relay)
	if err != nil {
		t.Fatal(err)
	}
	got, err := openVoucher(b)
	if err != nil || got.Relay != v.Relay || got.Peer != v.Peer || !got.Expires.Equal(v.Expires) {
		t.Errorf("%+v, %v", got, err)
	}
	// One that another has signed is none.
	forged, err := v.seal(coretest.NewIdentity(3))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openVoucher(forged); !errors.Is(err, record.ErrSignature) {
		t.Errorf("a forged voucher: %v", err)
	}
	for i := range b {
		b[i] ^= 1
		if got, err := openVoucher(b); err == nil && got != v {
			t.Errorf("altered at %d: %+v", i, got)
		}
		b[i] ^= 1
	}
}

func FuzzMessage(f *testing.F) {
	p := somebody(1)
	f.Add(hop.marshal(&message{kind: hop.connect, peer: p}))
	f.Add(hop.marshal(&message{kind: hop.answer, status: StatusOK, limit: Limit{time.Minute, 7},
		place: &placeMessage{expires: epoch, addrs: []ma.Multiaddr{at("192.0.2.1")}, voucher: []byte("v")}}))
	f.Add(stop.marshal(&message{kind: stop.connect, peer: p, limit: Limit{Data: 1}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, d := range []*dialect{hop, stop} {
			m, err := d.unmarshal(b)
			if err != nil {
				continue
			}
			if m.place != nil && len(m.place.addrs) > maxAddrs || m.peer != "" && m.peer.Validate() != nil {
				t.Fatalf("%+v", m)
			}
			again, err := d.unmarshal(d.marshal(m))
			if err != nil || again.kind != m.kind || again.peer != m.peer || again.limit != m.limit {
				t.Fatalf("%+v, then %+v, %v", m, again, err)
			}
		}
	})
}

func FuzzVoucher(f *testing.F) {
	b, err := Voucher{Relay: coretest.NewIdentity(1).ID(), Peer: somebody(2), Expires: epoch}.seal(coretest.NewIdentity(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	e, err := record.Unmarshal(b)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(e.Payload)
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := openVoucher(b); err == nil && (v.Relay == "" || v.Peer == "") {
			t.Fatalf("%+v", v)
		}
		if v, err := readVoucher(b); err == nil && (v.Relay.Validate() != nil || v.Peer.Validate() != nil) {
			t.Fatalf("%+v", v)
		}
	})
}
