// SPDX-License-Identifier: Apache-2.0 OR MIT

package webrtcdirect

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/pion/stun/v4"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/coretest"
)

// newSTUNService is one with the configuration of a module.
func newSTUNService(t testing.TB, config string) *STUNService {
	t.Helper()
	m := coretest.MustLoad[core.Transport](t, "webrtcdirect", fmt.Sprintf(`{"stun_service": %s}`, config))
	return m.(*Transport).STUNService
}

// plainRequest is a binding request with the attributes of a writer, and a
// fingerprint or none.
func plainRequest(w stunWriter, checked bool) []byte {
	if checked {
		return w.mark()
	}
	binary.BigEndian.PutUint16(w[2:], uint16(len(w)-stunHeader))
	return w
}

// Clients of others find out where they are, on a port on which a connection lives.
func TestSTUNService(t *testing.T) {
	coretest.VerifyNoLeaks(t)
	nodes := newNodes(t, 2)
	dialer, server := nodes[0], nodes[1]
	server.transport.STUNService = newSTUNService(t, `{}`)
	for _, at := range []string{"/ip4/127.0.0.1/udp/0/webrtc-direct", "/ip6/::1/udp/0/webrtc-direct"} {
		l, err := server.transport.listen(ma.StringCast(at), new(coretest.Admissions).Admit)
		if err != nil {
			t.Fatal(err)
		}
		wait := serve(l)
		c, err := dialer.transport.Dial(t.Context(), l.Multiaddr(), server.ID(), coretest.NewMemory(-1))
		if err != nil {
			t.Fatal(err)
		}
		socket := attacker(t, l)
		for _, extra := range []stun.Setter{stun.NewSoftware("a client"), stun.Fingerprint} {
			request := stun.MustBuild(stun.TransactionID, stun.BindingRequest, extra)
			send(t, socket, request.Raw)
			answer := &stun.Message{Raw: make([]byte, maxSTUN)}
			if _, err := answer.ReadFrom(socket); err != nil {
				t.Fatal(err)
			}
			var got stun.XORMappedAddress
			if err := got.GetFrom(answer); err != nil || answer.TransactionID != request.TransactionID {
				t.Errorf("%s: %v: %s", at, err, answer)
			}
			if here := socket.LocalAddr().(*net.UDPAddr); !got.IP.Equal(here.IP) || got.Port != here.Port {
				t.Errorf("%s: the client is at %s, and told %s", at, here, got)
			}
			if _, asked := extra.(stun.FingerprintAttr); asked && stun.Fingerprint.Check(answer) != nil {
				t.Errorf("%s: the answer has no fingerprint", at)
			}
		}
		echo(t, c)
		honest(t, l, dialer, server)
		c.Close()
		l.Close()
		wait()
	}
}

// What has to be understood and is not is named.
func TestSTUNServiceUnknownAttributes(t *testing.T) {
	s := newSTUNService(t, `{}`)
	w := beginSTUN(bindingRequest, [12]byte{7}).add(attrPriority, make([]byte, 4)).add(0x8003, nil)
	for i := range uint16(6) {
		w = w.add(0x0003+i<<8, make([]byte, 4))
	}
	m, err := parseSTUN(plainRequest(w, false))
	if err != nil {
		t.Fatal(err)
	}
	answer := &stun.Message{Raw: s.answer(m, netip.MustParseAddrPort("192.0.2.1:1"), time.Unix(0, 0))}
	if err := answer.Decode(); err != nil {
		t.Fatal(err)
	}
	var code stun.ErrorCodeAttribute
	var unknown stun.UnknownAttributes
	if err := answer.Parse(&code, &unknown); err != nil || answer.Type != stun.BindingError || code.Code != stun.CodeUnknownAttribute {
		t.Fatalf("%v: %s: %s %v", err, answer, code, unknown)
	}
	if diff := cmp.Diff(stun.UnknownAttributes{0x003, 0x103, 0x203, 0x303}, unknown); diff != "" {
		t.Error(diff)
	}
}

// Who sends requests in the name of others has them sent little more than that, and
// no more a second than the limits say; nothing is kept of it.
func TestEvil_Q9_STUNAmplification(t *testing.T) {
	const perIP, all = 5, 50
	s := newSTUNService(t, fmt.Sprintf(`{"requests_per_ip": %d, "requests": %d}`, perIP, all))
	m := func(b []byte) message {
		m, err := parseSTUN(b)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	begin := func() stunWriter { return beginSTUN(bindingRequest, [12]byte{1}) }
	now := time.Unix(1_000_000, 0)
	const headers4, headers6 = 20 + 8, 40 + 8 // of IP and UDP
	for _, victim := range []struct {
		at      string
		headers int
		factor  float64
	}{{"192.0.2.1:53", headers4, 1.25}, {"[2001:db8::1]:53", headers6, 1.36}} {
		for _, request := range [][]byte{
			plainRequest(begin(), false), plainRequest(begin(), true),
			plainRequest(begin().add(0x8022, make([]byte, 100)), false),
			plainRequest(begin().add(0x0003, make([]byte, 4)), false),
			plainRequest(begin().add(0x0003, nil), true),
			plainRequest(begin().add(1, nil).add(2, nil).add(3, nil).add(4, nil).add(5, nil), false),
		} {
			now = now.Add(time.Second)
			answers := 0
			for range 100 * perIP {
				answer := s.answer(m(bytes.Clone(request)), netip.MustParseAddrPort(victim.at), now)
				if answer == nil {
					continue
				}
				answers++
				in, out := len(request)+victim.headers, len(answer)+victim.headers
				if float64(out) > victim.factor*float64(in) {
					t.Errorf("%s: %d bytes for %d: %x for %x", victim.at, out, in, answer, request)
				}
			}
			if answers != perIP {
				t.Errorf("%s: %d answers, want %d", victim.at, answers, perIP)
			}
		}
	}
	now = now.Add(time.Second)
	for answers, i := 0, 0; i < 100*all; i++ {
		from := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		if i%2 == 1 { // each in the same network
			from = netip.AddrFrom16([16]byte{0x20, 1, 15: byte(i)})
		}
		if s.answer(m(plainRequest(begin(), false)), netip.AddrPortFrom(from, 1), now) != nil {
			answers++
		}
		if answers > all || len(s.byIP) > all {
			t.Fatalf("%d answers, %d addresses kept, limit %d", answers, len(s.byIP), all)
		}
	}
	if n := s.byIP[netip.MustParsePrefix("2001::/64")]; n != perIP {
		t.Errorf("a network of IPv6 has %d answers, want %d", n, perIP)
	}
	if s.answer(m(plainRequest(begin(), false)), netip.MustParseAddrPort("192.0.2.9:1"), now.Add(time.Second)) == nil {
		t.Error("no answer a second later")
	}
}

// Only requests are answered, and none where the service is not wanted; nothing but
// the names of connections is kept.
func TestEvil_Q9_STUNServiceSilence(t *testing.T) {
	from := netip.MustParseAddrPort("192.0.2.1:1")
	request := plainRequest(beginSTUN(bindingRequest, [12]byte{1}), false)
	if answer := newTestDemux().bind(request, from); answer != nil {
		t.Errorf("answered without being asked for: %x", answer)
	}
	d := newTestDemux()
	d.stun = newSTUNService(t, `{}`)
	if d.bind(request, from) == nil {
		t.Error("no answer")
	}
	old := bytes.Clone(request)
	binary.BigEndian.PutUint32(old[4:], 1) // as in RFC 3489
	for name, b := range map[string][]byte{
		"an indication":    plainRequest(beginSTUN(0x0011, [12]byte{1}), false),
		"a response":       plainRequest(beginSTUN(bindingResponse, [12]byte{1}), false),
		"an error":         plainRequest(beginSTUN(bindingError, [12]byte{1}), false),
		"an allocation":    plainRequest(beginSTUN(0x0003, [12]byte{1}), false),
		"no cookie":        old,
		"too long":         plainRequest(beginSTUN(bindingRequest, [12]byte{1}).add(0x8022, make([]byte, maxSTUN)), false),
		"cut off":          request[:len(request)-1],
		"a name of nobody": checkRequest(t, "abcd:efgh", "abcd"),
		"an empty name":    plainRequest(beginSTUN(bindingRequest, [12]byte{1}).add(attrUsername, nil), false),
	} {
		if answer := d.bind(b, from); answer != nil {
			t.Errorf("%s: %x", name, answer)
		}
	}
	if len(d.byName)+len(d.byAddr)+d.idle.Len() > 0 {
		t.Error("something is left behind")
	}
}

func FuzzSTUNService(f *testing.F) {
	f.Add(plainRequest(beginSTUN(bindingRequest, [12]byte{1}), false), true)
	f.Add(plainRequest(beginSTUN(bindingRequest, [12]byte{1}).add(3, make([]byte, 4)).add(4, nil), true), false)
	d := newTestDemux()
	d.stun = newSTUNService(f, `{"requests": 1000000, "requests_per_ip": 1000000}`)
	f.Fuzz(func(t *testing.T, b []byte, six bool) {
		from := netip.MustParseAddrPort("192.0.2.1:1")
		if six {
			from = netip.MustParseAddrPort("[2001:db8::1]:1")
		}
		answer := d.bind(b, from)
		if answer == nil {
			return
		}
		if len(answer) > len(b)+24 || !bytes.Equal(answer[4:stunHeader], b[4:stunHeader]) {
			t.Fatalf("%x is answered with %x", b, answer)
		}
		m := &stun.Message{Raw: answer}
		if err := m.Decode(); err != nil {
			t.Fatalf("%x: %v", answer, err)
		}
	})
}
