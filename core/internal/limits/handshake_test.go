// SPDX-License-Identifier: Apache-2.0 OR MIT

package limits

import (
	"fmt"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
)

// begin counts a connection in its handshake. It reports when that has to give
// way.
func begin(t *testing.T, l *Limits, from ma.Multiaddr) (c *Conn, yielded *bool) {
	t.Helper()
	c, err := l.OpenConn(core.Inbound, from)
	if err != nil {
		t.Fatal(err)
	}
	yielded = new(bool)
	c.OnYield(func() {
		if *yielded {
			t.Error("told twice to give way")
		}
		*yielded = true
	})
	return c, yielded
}

// Attackers stall in all handshakes that there may be. A newcomer gets in, in
// place of the oldest from where the most are from.
func TestEvil_A9_StalledGiveWay(t *testing.T) {
	for name, greedy := range map[string]func(i int) ma.Multiaddr{
		"many addresses":     func(i int) ma.Multiaddr { return addr(fmt.Sprintf("6.6.%d.6", i)) },
		"loopback addresses": func(i int) ma.Multiaddr { return addr(fmt.Sprintf("127.6.%d.6", i)) },
		"no addresses":       same(addr("/memory/7")),
	} {
		t.Run(name, func(t *testing.T) {
			k := newClock()
			l := newLimits(t, Config{Handshakes: 10}, k)
			first, kept := begin(t, l, addr("1.2.3.4"))
			var stalled []*Conn
			var told []*bool
			for i := range 9 {
				k.t = k.t.Add(time.Millisecond)
				c, yielded := begin(t, l, greedy(i))
				stalled, told = append(stalled, c), append(told, yielded)
			}
			if _, err := l.OpenConn(core.Inbound, addr("1.2.3.5")); err == nil || knob(t, err) != "limits.handshakes" {
				t.Errorf("within the grace: %v", err)
			}
			k.t = k.t.Add(handshakeGrace)
			newcomer, _ := begin(t, l, addr("1.2.3.5"))
			all := append([]*Conn{first}, stalled...)
			tellings := append([]*bool{kept}, told...)
			victim := 0
			if name == "no addresses" {
				victim = 1 // the first is from elsewhere
			}
			for i, yielded := range tellings {
				if *yielded != (i == victim) {
					t.Errorf("%d is told to give way: %v", i, *yielded)
				}
			}
			if n := l.Stat().Handshakes; n != 10 {
				t.Errorf("%d handshakes are counted", n)
			}
			if err := all[victim].SetPeer(peerID(9)); err == nil {
				t.Error("who has given way is let in")
			}
			late := false
			if all[victim].OnYield(func() { late = true }); !late {
				t.Error("who asks too late is not told")
			}
			if err := newcomer.SetPeer(peerID(1)); err != nil {
				t.Error(err)
			}
			for _, c := range append(all, newcomer) {
				c.Done()
			}
			wantZero(t, l)
			if len(l.handshakes.from) > 0 {
				t.Errorf("sources are left: %v", l.handshakes.from)
			}
		})
	}
}

// Who is known does not give way any more.
func TestKnownDoNotGiveWay(t *testing.T) {
	k := newClock()
	l := newLimits(t, Config{Handshakes: 1}, k)
	c, yielded := begin(t, l, local)
	if err := c.SetPeer(peerID(1)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		begin(t, l, local)
		k.t = k.t.Add(handshakeGrace)
	}
	if *yielded {
		t.Error("a connection of a known peer gives way")
	}
	c.Done()
}
