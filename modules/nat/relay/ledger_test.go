// SPDX-License-Identifier: Apache-2.0 OR MIT

package relay

import (
	"fmt"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
)

var epoch = time.Unix(1_800_000_000, 0)

// testService is a service with its defaults, changed.
func testService(t *testing.T, change func(*Service)) *Service {
	t.Helper()
	s := &Service{}
	if change != nil {
		change(s)
	}
	if err := s.Provision(); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	return s
}

func somebody(n int) peer.ID { return coretest.NewIdentity(uint64(n + 1)).ID() }

func at(format string, args ...any) ma.Multiaddr {
	return ma.StringCast("/ip4/" + fmt.Sprintf(format, args...) + "/tcp/4001")
}

func TestEvil_R1_Sybils(t *testing.T) {
	for _, c := range []struct {
		name string
		at   func(i int) ma.Multiaddr
		want int // places that 1000 peers get
	}{
		{"from everywhere", func(i int) ma.Multiaddr { return at("%d.%d.1.1", 11+i%100, i/100) }, 128},
		{"from one address", func(i int) ma.Multiaddr { return at("203.0.113.7") }, 8},
		{"from one network", func(i int) ma.Multiaddr { return at("203.0.%d.7", i%250) }, 32},
		{"from one IPv6 /56", func(i int) ma.Multiaddr {
			return ma.StringCast(fmt.Sprintf("/ip6/2001:db8:0:12%02x::%d/tcp/1", i%256, i))
		}, 8},
		{"from one IPv6 /32", func(i int) ma.Multiaddr {
			return ma.StringCast(fmt.Sprintf("/ip6/2001:db8:%x::1/tcp/1", i))
		}, 32},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, l := testService(t, nil), newLedger()
			attack := func(from int, now time.Time) (got int) {
				for i := range 1000 {
					_, err := l.reserve(s, somebody(from+i), c.at(i), now)
					if err == nil {
						got++
						l.left(somebody(from + i)) // to leave at once gives nothing back
					} else if err.Status != StatusResourceLimitExceeded {
						t.Fatalf("refused with %v", err)
					}
				}
				return got
			}
			if got := attack(0, epoch); got != c.want {
				t.Errorf("%d places, want %d", got, c.want)
			}
			if got := attack(1000, epoch.Add(59*time.Minute)); got != 0 {
				t.Errorf("%d more places before the first have run out", got)
			}
			if got := attack(2000, epoch.Add(time.Hour)); got != c.want {
				t.Errorf("%d places after the first have run out, want %d", got, c.want)
			}
			if len(l.places) != c.want || len(l.origins) > 2*c.want {
				t.Errorf("%d places and %d networks are remembered", len(l.places), len(l.origins))
			}
		})
	}
}

// TestEvil_R1_Networks: the limits for an address and a network are those of the
// configuration, however the address is written and wherever in a network it is.
func TestEvil_R1_Networks(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Service)
		at     func(i int) ma.Multiaddr
		want   int
	}{
		"one address":           {func(s *Service) { s.ReservationsPerIP = 3 }, func(int) ma.Multiaddr { return at("203.0.113.7") }, 3},
		"one address, in IPv6":  {func(s *Service) { s.ReservationsPerIP = 3 }, mapped, 3},
		"one network":           {func(s *Service) { s.ReservationsPerNet = 5 }, func(i int) ma.Multiaddr { return at("203.0.%d.7", i) }, 5},
		"an address of its own": {func(s *Service) { s.ReservationsPerIP = 1 }, func(i int) ma.Multiaddr { return at("203.0.113.%d", i) }, 32},
		"networks of their own": {func(s *Service) { s.ReservationsPerNet = 1 }, func(i int) ma.Multiaddr { return at("203.%d.113.7", i) }, 100},
		"no address at all":     {func(s *Service) { s.ReservationsPerIP = 1 }, func(int) ma.Multiaddr { return ma.StringCast("/memory/1") }, 100},
		"more for one than all": {func(s *Service) { s.Reservations, s.ReservationsPerIP = 2, 50 }, func(int) ma.Multiaddr { return at("203.0.113.7") }, 2},
		"another port every time": {func(s *Service) { s.ReservationsPerIP = 3 }, func(i int) ma.Multiaddr {
			return ma.StringCast(fmt.Sprintf("/ip4/203.0.113.7/udp/%d/quic-v1", 1000+i))
		}, 3},
	} {
		s, l := testService(t, c.change), newLedger()
		got := 0
		for i := range 100 {
			if _, err := l.reserve(s, somebody(i), c.at(i), epoch); err == nil {
				got++
			}
		}
		if got != c.want {
			t.Errorf("%s: %d places, want %d", name, got, c.want)
		}
	}
}

// mapped is one IPv4 address, in its two forms.
func mapped(i int) ma.Multiaddr {
	if i%2 == 0 {
		return at("203.0.113.7")
	}
	return ma.StringCast("/ip6/::ffff:203.0.113.7/tcp/1")
}

// TestPlaceIsRenewed: to ask again is no second place, also from elsewhere.
func TestPlaceIsRenewed(t *testing.T) {
	s, l := testService(t, func(s *Service) { s.Reservations, s.ReservationsPerIP = 1, 1 }), newLedger()
	p := somebody(1)
	for i, from := range []string{"9.9.9.9", "9.9.9.9", "9.9.9.8"} {
		now := epoch.Add(time.Duration(i) * 40 * time.Minute)
		expires, err := l.reserve(s, p, at("%s", from), now)
		if err != nil || !expires.Equal(now.Add(time.Hour)) {
			t.Fatalf("until %v, %v", expires, err)
		}
	}
	if len(l.places) != 1 || l.origins[originsOf(at("9.9.9.9"))[0]] != 0 || l.origins[originsOf(at("9.9.9.8"))[0]] != 1 {
		t.Errorf("%v, %v", l.places, l.origins)
	}
	// One who may not move stays where it is.
	if _, err := l.reserve(testService(t, func(s *Service) { s.Reserve.Deny = []string{"9.9.0.0/16"} }), p, at("9.9.9.7"), epoch); err == nil {
		t.Error("a denied address has a place")
	}
	if l.origins[originsOf(at("9.9.9.8"))[0]] != 1 {
		t.Errorf("%v", l.origins)
	}
}

func TestEvil_R2_ManyCircuits(t *testing.T) {
	s, l := testService(t, func(s *Service) { s.Circuits = 20 }), newLedger()
	dst := []peer.ID{somebody(1), somebody(2)}
	for _, p := range dst {
		if _, err := l.reserve(s, p, at("9.9.9.9"), epoch); err != nil {
			t.Fatal(err)
		}
	}
	attack := func(src, dst peer.ID) (got int) {
		for range 100 {
			if err := l.connect(s, src, at("9.9.9.8"), dst, epoch); err == nil {
				got++
			} else if err.Status != StatusResourceLimitExceeded {
				t.Fatalf("refused with %v", err)
			}
		}
		return got
	}
	if got := attack(somebody(3), dst[0]); got != 16 {
		t.Errorf("one peer has %d circuits", got)
	}
	if got := attack(somebody(4), dst[0]); got != 0 {
		t.Errorf("another has %d to the same peer", got)
	}
	if got := attack(somebody(4), dst[1]); got != 4 {
		t.Errorf("another has %d of the 4 that are left", got)
	}
	for range 16 {
		l.disconnect(somebody(3), dst[0])
	}
	for range 4 {
		l.disconnect(somebody(4), dst[1])
	}
	if l.total != 0 || len(l.circuits) != 0 {
		t.Errorf("%d circuits of %d peers are left", l.total, len(l.circuits))
	}
}

func TestAccess(t *testing.T) {
	p, q := somebody(1), somebody(2)
	for _, c := range []struct {
		access Access
		want   bool // for p from 192.0.2.1
	}{
		{Access{}, true},
		{Access{Allow: []string{p.String()}}, true},
		{Access{Allow: []string{q.String()}}, false},
		{Access{Allow: []string{"192.0.2.0/24"}}, true},
		{Access{Allow: []string{"192.0.2.2"}}, false},
		{Access{Deny: []string{q.String(), "192.0.3.0/24", "2001:db8::/32"}}, true},
		{Access{Deny: []string{"192.0.2.1"}}, false},
		{Access{Allow: []string{p.String()}, Deny: []string{"192.0.0.0/8"}}, false},
	} {
		if err := c.access.provision("x"); err != nil {
			t.Fatal(err)
		}
		if got := c.access.allows(p, at("192.0.2.1")); got != c.want {
			t.Errorf("%+v: %v", c.access, got)
		}
	}
}
