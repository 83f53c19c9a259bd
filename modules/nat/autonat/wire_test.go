// SPDX-License-Identifier: Apache-2.0 OR MIT

package autonat

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/wire"
)

// The bytes of messages, field by field as the specification numbers them.
func TestGoldenBytes(t *testing.T) {
	a := addr("/ip4/1.2.3.4/tcp/1")
	for name, tc := range map[string]struct {
		got  []byte
		want string
	}{
		"dial 1":          {dial1{"id", []ma.Multiaddr{a}}.marshal(), "0800" + "1210" + "0a0e" + "0a026964" + "1208" + "0401020304060001"},
		"response 1":      {response1{status: status1DialError, text: "no"}.marshal(), "0801" + "1a06" + "0864" + "12026e6f"},
		"request 2":       {request2{[]ma.Multiaddr{a}, 0x0102030405060708}.marshal(), "0a13" + "0a08" + "0401020304060001" + "11" + "0807060504030201"},
		"response 2":      {response2{status2OK, 1, dialBackError}.marshal(), "1207" + "08c801" + "1001" + "1865"},
		"data request 2":  {dataRequest2{2, 30000}.marshal(), "1a06" + "0802" + "10b0ea01"},
		"data response 2": {marshalData([]byte{1, 2}), "2204" + "0a020102"},
		"dial back":       {marshalDialBack(1), "09" + "0100000000000000"},
	} {
		if got := hex.EncodeToString(tc.got); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	a, id := addr("/ip4/1.2.3.4/tcp/1"), coretest.NewIdentity(1).ID()
	if d, err := unmarshalDial1(dial1{id, []ma.Multiaddr{a}}.marshal()); err != nil || d.peer != id || len(d.addrs) != 1 || !d.addrs[0].Equal(a) {
		t.Errorf("%+v, %v", d, err)
	}
	if r, err := unmarshalResponse1(response1{status1OK, "text\n", a}.marshal()); err != nil || r.status != status1OK || r.text != `text\n` || !r.addr.Equal(a) {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := unmarshalRequest2(request2{[]ma.Multiaddr{a, a}, 1 << 63}.marshal()); err != nil || r.nonce != 1<<63 || len(r.addrs) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if r, d, err := unmarshalAnswer2(response2{status2OK, 3, dialOK}.marshal()); err != nil || d != nil || *r != (response2{status2OK, 3, dialOK}) {
		t.Errorf("%+v, %+v, %v", r, d, err)
	}
	if r, d, err := unmarshalAnswer2(dataRequest2{3, 4}.marshal()); err != nil || r != nil || *d != (dataRequest2{3, 4}) {
		t.Errorf("%+v, %+v, %v", r, d, err)
	}
	if n, err := dataLength(marshalData(make([]byte, 77))); n != 77 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := unmarshalDialBack(marshalDialBack(9)); n != 9 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// An address that is none keeps its place in a request of version 2.
func TestUnknownAddresses(t *testing.T) {
	b := appendBytes(appendBytes(nil, 1, []byte{0xff, 0xff}), 1, addr("/ip4/1.2.3.4/tcp/1").Bytes())
	r, err := unmarshalRequest2(appendBytes(nil, fieldDialRequest, b))
	if err != nil || len(r.addrs) != 2 || r.addrs[0] != nil || r.addrs[1] == nil {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestTooManyAddresses(t *testing.T) {
	var list []ma.Multiaddr
	for range maxAddrs + 1 {
		list = append(list, addr("/ip4/1.2.3.4/tcp/1"))
	}
	if _, err := unmarshalRequest2(request2{list, 1}.marshal()); !errors.Is(err, wire.ErrTooMany) {
		t.Errorf("version 2: %v", err)
	}
	if _, err := unmarshalDial1(dial1{coretest.NewIdentity(1).ID(), list}.marshal()); !errors.Is(err, wire.ErrTooMany) {
		t.Errorf("version 1: %v", err)
	}
}

// FuzzMessages reads bytes as every message there is. What is read as a request
// can be written and read again.
func FuzzMessages(f *testing.F) {
	a, id := addr("/ip4/1.2.3.4/udp/1/quic-v1"), coretest.NewIdentity(1).ID()
	for _, b := range [][]byte{
		nil,
		dial1{id, []ma.Multiaddr{a}}.marshal(),
		response1{status1OK, "text", a}.marshal(),
		request2{[]ma.Multiaddr{a, a}, 7}.marshal(),
		response2{status2OK, 3, dialOK}.marshal(),
		dataRequest2{3, 40000}.marshal(),
		marshalData(make([]byte, 77)),
		marshalDialBack(9),
		bytes.Repeat([]byte{0x0a, 0}, 300),
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		unmarshalResponse1(b)
		unmarshalAnswer2(b)
		unmarshalDialBack(b)
		if n, err := dataLength(b); err == nil && n > len(b) {
			t.Errorf("%d bytes of data in %d", n, len(b))
		}
		if d, err := unmarshalDial1(b); err == nil && d.peer != "" {
			again, err := unmarshalDial1(d.marshal())
			if err != nil || again.peer != d.peer || len(again.addrs) != len(d.addrs) {
				t.Errorf("%+v becomes %+v, %v", d, again, err)
			}
		}
		if r, err := unmarshalRequest2(b); err == nil {
			if len(r.addrs) > maxAddrs {
				t.Errorf("%d addresses", len(r.addrs))
			}
			for _, a := range r.addrs {
				sameWay(a, a)
				withoutPeer(a, id)
				atIP(a, here4)
				mayCheck(a, false)
			}
		}
	})
}
