// SPDX-License-Identifier: Apache-2.0 OR MIT

package limits

import (
	"fmt"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
)

// TestEvil_D4_Flood: how many connections each kind of source can have at once
// when it opens as many as it can.
func TestEvil_D4_Flood(t *testing.T) {
	cases := []struct {
		name string
		from func(i int) ma.Multiaddr
		held int
		knob string
	}{
		{"one IPv4", same(addr("1.2.3.4")), 8, "connections_per_subnet"},
		{"one IPv4 in IPv6 form", same(addr("::ffff:1.2.3.4")), 8, "connections_per_subnet"},
		{"both forms", func(i int) ma.Multiaddr { return addr([]string{"1.2.3.4", "::ffff:1.2.3.4"}[i%2]) }, 8, "connections_per_subnet"},
		{"one IPv6 /56", func(i int) ma.Multiaddr { return addr(fmt.Sprintf("2600:1:2:3%02x::1", i%256)) }, 8, "connections_per_subnet"},
		{"one IPv6 /48", func(i int) ma.Multiaddr { return addr(fmt.Sprintf("2600:1:2:%x00::1", i%256)) }, 64, "connections_per_subnet"},
		{"many IPv6 /48", func(i int) ma.Multiaddr { return addr(fmt.Sprintf("2600:1:%x::1", i)) }, 400, "inbound_connections"},
		{"many IPv4", func(i int) ma.Multiaddr { return addr(fmt.Sprintf("1.2.%d.%d", i/250, 1+i%250)) }, 400, "inbound_connections"},
		{"a private address", same(addr("10.0.0.1")), 64, "connections_per_subnet"},
		{"a private IPv6 /56", same(addr("fd00::1")), 64, "connections_per_subnet"},
		{"loopback", same(addr("127.0.0.1")), 400, "inbound_connections"},
		{"IPv6 loopback", same(addr("::1")), 400, "inbound_connections"},
		{"in memory", same(addr("/memory/7")), 400, "inbound_connections"},
		{"through a relay", same(addr("/ip4/1.2.3.4/tcp/1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA/p2p-circuit")), 400, "inbound_connections"},
		{"trusted range", same(addr("203.0.114.9")), 400, "inbound_connections"},
		{"trusted address", same(addr("2600::7")), 400, "inbound_connections"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			l := newLimits(t, Config{Trusted: []string{"203.0.114.0/24", "2600::7"}}, newClock())
			fill := conns(l, core.Inbound, c.from, each)
			var undo []func()
			for {
				done, err := fill()
				if err != nil {
					if got := knob(t, err); got != "limits."+c.knob {
						t.Errorf("knob %s", got)
					}
					break
				}
				undo = append(undo, done)
			}
			if len(undo) != c.held {
				t.Errorf("%d connections", len(undo))
			}
			if _, err := l.OpenConn(core.Outbound, c.from(1)); err != nil {
				t.Errorf("outbound: %v", err)
			}
			for _, done := range undo {
				done()
			}
		})
	}
}

// TestEvil_D4_Rate: connections that come and go, well or not.
func TestEvil_D4_Rate(t *testing.T) {
	k := newClock()
	l := newLimits(t, Config{}, k)
	remote := addr("1.2.3.4")
	attempt := func(good bool) error {
		c, err := l.OpenConn(core.Inbound, remote)
		if err != nil {
			return err
		}
		if good {
			err = c.SetPeer(peerID(1))
		}
		c.Done()
		return err
	}
	run := func(good bool) (n int) {
		for ; n < 1000; n++ {
			if err := attempt(good); err != nil {
				return n
			}
		}
		return n
	}
	if n := run(true); n != 61 { // each costs a quarter, and needs a whole
		t.Errorf("%d good ones at once", n)
	}
	k.t = k.t.Add(time.Minute) // twelve tokens
	if n := run(true); n < 46 || n > 50 {
		t.Errorf("%d good ones after a minute", n)
	}
	if got := knob(t, attempt(true)); got != "limits.connect_burst" {
		t.Error(got)
	}
	k.t = k.t.Add(10 * time.Minute)
	if n := run(false); n != 8 { // each costs two
		t.Errorf("%d bad ones at once", n)
	}
	good := 0
	for range 600 {
		k.t = k.t.Add(time.Second)
		good += run(true)
	}
	if good < 4*115 || good > 4*125 {
		t.Errorf("%d good ones in ten minutes", good)
	}
	if got := knob(t, attempt(true)); got != "limits.connect_rate" {
		t.Error(got)
	}
	k.t = k.t.Add(-time.Hour) // a clock that jumps back gives and takes nothing
	if err := attempt(true); err == nil {
		t.Error("connected")
	}
	k.t = k.t.Add(2 * time.Hour)
	if err := attempt(true); err != nil {
		t.Error(err)
	}
	wantZero(t, l)
}

// TestEvil_D4_Neighbour: attackers hold all they can get of the handshakes, and
// an honest peer from elsewhere connects all the same.
func TestEvil_D4_Neighbour(t *testing.T) {
	l := newLimits(t, Config{}, newClock())
	held := 0
	for subnet := range 15 {
		for range 100 {
			if _, err := l.OpenConn(core.Inbound, addr(fmt.Sprintf("6.6.6.%d", subnet+1))); err == nil {
				held++
			}
		}
	}
	if held >= 64 {
		t.Errorf("fifteen addresses hold all %d handshakes", held)
	}
	for i := range 8 {
		open(t, l, core.Inbound, addr("1.2.3.4"), i)
	}
	if _, err := l.OpenConn(core.Outbound, addr("6.6.6.1")); err != nil {
		t.Errorf("outbound: %v", err)
	}
}

// TestEvil_D5_Starve: others fill all they may, and the node's own connections
// are made all the same.
func TestEvil_D5_Starve(t *testing.T) {
	l := newLimits(t, Config{Connections: 100}, newClock())
	sybils := 0
	for i := range 1000 {
		c, err := l.OpenConn(core.Inbound, addr(fmt.Sprintf("6.%d.%d.1", i/250, i%250)))
		if err != nil {
			continue
		}
		if err := c.SetPeer(peerID(i)); err != nil {
			t.Fatal(err)
		}
		sybils++
	}
	if sybils != 80 {
		t.Errorf("%d sybils", sybils)
	}
	for i := range 20 {
		open(t, l, core.Outbound, addr("1.2.3.4"), 5000+i)
	}
	if _, err := l.OpenConn(core.Outbound, addr("1.2.3.4")); knob(t, err) != "limits.connections" {
		t.Error(err)
	}
}

// TestSourcesForgotten: what is remembered of subnets is bounded, and goes away.
func TestSourcesForgotten(t *testing.T) {
	k := newClock()
	l := newLimits(t, Config{}, k)
	visit := func(i int) {
		c, err := l.OpenConn(core.Inbound, addr(fmt.Sprintf("%d.%d.%d.7", 64+i>>16, i>>8&255, i&255)))
		if err != nil {
			t.Fatal(err)
		}
		c.Done()
	}
	for i := range 3 * maxSources {
		visit(i)
	}
	if n := len(l.sources); n > maxSources+2 {
		t.Errorf("remembers %d", n)
	}
	k.t = k.t.Add(time.Hour)
	for i := range maxSources / 2 {
		visit(i)
		k.t = k.t.Add(time.Second)
	}
	if n := len(l.sources); n > 100 {
		t.Errorf("still remembers %d", n)
	}
	wantZero(t, l)
}
