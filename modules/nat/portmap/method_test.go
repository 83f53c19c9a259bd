// SPDX-License-Identifier: Apache-2.0 OR MIT

package portmap

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var wants = request{network: "tcp", inside: netip.MustParseAddrPort("127.0.0.1:4001"), outside: 4001, lifetime: time.Hour}

func TestDatagramMethods(t *testing.T) {
	for name, m := range map[string]method{
		"nat-pmp": natpmp{answering(t, fakePMP)},
		"pcp":     pcp{answering(t, fakePCP)},
	} {
		for _, network := range []string{"tcp", "udp"} {
			r := wants
			r.network = network
			g, err := m.add(t.Context(), r)
			if err != nil || g.outside != netip.AddrPortFrom(outside, 4002) || g.lifetime != time.Hour {
				t.Errorf("%s, %s: %+v, %v", name, network, g, err)
			}
			if err := m.remove(t.Context(), r); err != nil {
				t.Errorf("%s, %s: %v", name, network, err)
			}
		}
	}
}

// The bytes of questions, as the RFCs have them.
func TestQuestions(t *testing.T) {
	asked := make(chan string, 8)
	pmp := natpmp{answering(t, func(q []byte) [][]byte {
		if q[1] != pmpAddress {
			asked <- string(q)
		}
		return fakePMP(q)
	})}
	r := wants
	r.network = "udp"
	if _, err := pmp.add(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if want := "\x00\x01\x00\x00\x0f\xa1\x0f\xa1\x00\x00\x0e\x10"; <-asked != want {
		t.Errorf("NAT-PMP: want %x", want)
	}
	r.nonce = [12]byte{1, 2, 3}
	q := pcp{}.question(r, time.Hour)
	want := "\x02\x01\x00\x00\x00\x00\x0e\x10" + strings.Repeat("\x00", 10) + "\xff\xff\x7f\x00\x00\x01" +
		"\x01\x02\x03" + strings.Repeat("\x00", 9) + "\x11\x00\x00\x00\x0f\xa1\x0f\xa1" + strings.Repeat("\x00", 10) + "\xff\xff\x00\x00\x00\x00"
	if string(q) != want {
		t.Errorf("PCP: %x, want %x", q, want)
	}
}

func TestRefusals(t *testing.T) {
	pmp := natpmp{answering(t, func(q []byte) [][]byte { return [][]byte{{0, q[1] + pmpAnswer, 0, 2, 0, 0, 0, 0}} })}
	if _, err := pmp.add(t.Context(), wants); err == nil || !strings.Contains(err.Error(), "not authorized") {
		t.Errorf("NAT-PMP: %v", err)
	}
	p := pcp{answering(t, func(q []byte) [][]byte {
		b := fakePCP(q)[0]
		b[3] = 8
		return [][]byte{b}
	})}
	if _, err := p.add(t.Context(), wants); err == nil || !strings.Contains(err.Error(), "no resources") {
		t.Errorf("PCP: %v", err)
	}
	old := pcp{answering(t, func([]byte) [][]byte { return [][]byte{{0, 0x81, 0, 1, 0, 0, 0, 0}, {0, 128, 0, 1, 0, 0, 0, 0}} })}
	if _, err := old.add(t.Context(), wants); err == nil || !strings.Contains(err.Error(), "unsupported version") {
		t.Errorf("PCP with one who speaks NAT-PMP: %v", err)
	}
	closed := listen(t, loopback.router)
	to := at(closed)
	closed.Close()
	if _, err := (natpmp{to}).add(t.Context(), wants); !errors.Is(err, errNoAnswer) {
		t.Errorf("a closed port: %v", err)
	}
}

func TestUPnP(t *testing.T) {
	for version := 1; version <= 2; version++ {
		g := newIGD(t, version)
		m := &upnp{gateway: loopback, search: g.search}
		got, err := m.add(t.Context(), wants)
		if err != nil || got.outside != netip.AddrPortFrom(outside, 4001) || g.ports["TCP 4001"] != "127.0.0.1:4001" {
			t.Fatalf("version %d: %+v, %v, %v", version, got, err, g.ports)
		}
		if err := m.remove(t.Context(), wants); err != nil || len(g.ports) != 0 {
			t.Errorf("version %d: %v, %v", version, err, g.ports)
		}
	}
}

// A port that somebody has is left to him.
func TestUPnPConflict(t *testing.T) {
	g := newIGD(t, 1)
	g.ports["TCP 4001"] = "127.0.0.9:4001"
	m := &upnp{gateway: loopback, search: g.search}
	got, err := m.add(t.Context(), wants)
	if err != nil || got.outside.Port() == 4001 || got.outside.Port() < 1024 || len(g.ports) != 2 {
		t.Errorf("%+v, %v, %v", got, err, g.ports)
	}
	g.control = func(action string, args map[string]string) (int, string) {
		if action == "AddPortMapping" {
			return fault(upnpConflict)
		}
		return g.forward(action, args)
	}
	g.calls = nil
	if _, err := m.add(t.Context(), wants); err == nil || len(g.calls) != 1+portsTried {
		t.Errorf("%v, after %v", err, g.calls)
	}
}

// Some gateways forward for ever or not at all.
func TestUPnPPermanent(t *testing.T) {
	g := newIGD(t, 1)
	g.control = func(action string, args map[string]string) (int, string) {
		if action == "AddPortMapping" && args["NewLeaseDuration"] != "0" {
			return fault(upnpPermanentOnly)
		}
		return g.forward(action, args)
	}
	m := &upnp{gateway: loopback, search: g.search}
	if got, err := m.add(t.Context(), wants); err != nil || got.lifetime != time.Hour {
		t.Errorf("%+v, %v", got, err)
	}
}

// A gateway that has moved is looked for again.
func TestUPnPMoves(t *testing.T) {
	g := newIGD(t, 1)
	m := &upnp{gateway: loopback, search: g.search}
	if _, err := m.add(t.Context(), wants); err != nil {
		t.Fatal(err)
	}
	forward := g.control
	g.control = func(string, map[string]string) (int, string) { return http.StatusNotFound, "" }
	if _, err := m.add(t.Context(), wants); err == nil {
		t.Error("added by nobody")
	}
	g.control = forward
	if _, err := m.add(t.Context(), wants); err != nil {
		t.Error(err)
	}
}
