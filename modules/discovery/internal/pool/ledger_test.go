// SPDX-License-Identifier: Apache-2.0 OR MIT

package pool

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core/coretest"
	"github.com/xnode-p2p/xnode/core/peer"
)

var errAway = errors.New("away")

// ids are those of peers 0 to n-1, in ascending order.
func ids(n int) []peer.ID {
	list := make([]peer.ID, n)
	for i := range list {
		list[i] = coretest.NewIdentity(uint64(i + 1)).ID()
	}
	slices.Sort(list)
	return list
}

func info(id peer.ID, addrs ...string) peer.AddrInfo {
	p := peer.AddrInfo{ID: id}
	for _, a := range addrs {
		p.Addrs = append(p.Addrs, ma.StringCast(a))
	}
	return p
}

func members(sources ...Source) []*Member {
	list := make([]*Member, len(sources))
	for i, s := range sources {
		list[i] = &Member{source: s}
	}
	return list
}

func count(dials []peer.AddrInfo, _ time.Time) int { return len(dials) }

func TestFindsAreRememberedOnce(t *testing.T) {
	id := ids(3)
	l, m := newLedger(id[0], 1), members(Source{Most: 10}, Source{Most: 10})
	now := time.Unix(0, 0)
	for i, tc := range []struct {
		by   *Member
		who  peer.AddrInfo
		want bool
	}{
		{m[0], info(id[1], "/memory/1"), true},
		{m[0], info(id[1], "/memory/1"), false},
		{m[0], info(id[1], "/memory/1", "/memory/2"), true},
		{m[0], info(id[1], "/memory/2"), false},
		{m[1], info(id[1], "/memory/2"), true},
		{m[0], info(id[0], "/memory/9"), false}, // oneself
		{m[0], info("", "/memory/9"), false},
	} {
		if got := l.found(tc.by, tc.who, time.Minute, now); got != tc.want {
			t.Errorf("%d: fresh %v, want %v", i, got, tc.want)
		}
	}
	if len(l.entries) != 1 || m[0].count != 1 || m[1].count != 1 {
		t.Errorf("%d entries, %d and %d finds", len(l.entries), m[0].count, m[1].count)
	}
	l.lost(m[0], id[1])
	if len(l.list(m[0], now)) != 0 || len(l.list(m[1], now)) != 1 {
		t.Error("lost by one, and not by the other")
	}
	if got := l.list(m[1], now.Add(time.Minute)); len(got) != 0 || len(l.entries) != 0 || m[1].count != 0 {
		t.Errorf("after its time: %v", got)
	}
}

func TestSourcesWantSoManyConnections(t *testing.T) {
	id := ids(30)
	now := time.Unix(0, 0)
	for name, tc := range map[string]struct {
		source    Source
		finds     int
		connected []peer.ID
		want      int
	}{
		"of its own":                 {Source{Connect: 3}, 10, nil, 3},
		"some are":                   {Source{Connect: 3}, 10, id[1:3], 1},
		"others do not count":        {Source{Connect: 3}, 5, id[10:20], 3},
		"none":                       {Source{}, 10, nil, 0},
		"few are found":              {Source{Connect: 3}, 1, nil, 1},
		"at most eight at one time":  {Source{Connect: 20}, 20, nil, maxDials},
		"of all":                     {Source{Connect: 4, All: true}, 5, id[10:12], 2},
		"of all, and there are many": {Source{Connect: 4, All: true}, 5, id[10:20], 0},
	} {
		t.Run(name, func(t *testing.T) {
			tc.source.Most = 100
			l, m := newLedger(id[0], 1), members(tc.source)
			for _, p := range id[1 : 1+tc.finds] {
				l.found(m[0], info(p), 0, now)
			}
			connected := make(map[peer.ID]bool)
			for _, p := range tc.connected {
				connected[p] = true
			}
			if got := count(l.step(m, connected, now)); got != tc.want {
				t.Errorf("%d dials, want %d", got, tc.want)
			}
			if got := count(l.step(m, connected, now)); got != 0 {
				t.Errorf("%d more", got)
			}
		})
	}
}

// A golden trace of one peer that does not answer, answers, and goes.
func TestBackOff(t *testing.T) {
	id := ids(2)
	l, m := newLedger(id[0], 1), members(Source{Most: 1, Connect: 1})
	start := time.Unix(0, 0)
	now := start
	l.found(m[0], info(id[1]), 0, now)
	within := func(w, want time.Duration) string {
		if w < want-want/4 || w > want+want/4 {
			return fmt.Sprintf("%v, want about %v", w, want)
		}
		return ""
	}
	for i, want := range []time.Duration{5, 10, 20, 40, 80, 160, 320, 600, 600, 600} {
		if got := count(l.step(m, nil, now)); got != 1 {
			t.Fatalf("%d: %d dials", i, got)
		}
		if news := l.dialed(id[1], errAway, now); news != (i == 0) {
			t.Errorf("%d: news: %v", i, news)
		}
		dials, wake := l.step(m, nil, now)
		if bad := within(wake.Sub(now), want*time.Second); len(dials) > 0 || bad != "" {
			t.Errorf("%d: %d dials, wait %s", i, len(dials), bad)
		}
		if got := count(l.step(m, nil, wake.Add(-1))); got != 0 {
			t.Errorf("%d: dialled too early", i)
		}
		now = wake
	}
	l.step(m, nil, now)
	l.dialed(id[1], nil, now)
	l.disconnected(id[1], now)
	_, wake := l.step(m, nil, now)
	if bad := within(wake.Sub(now), firstWait); bad != "" {
		t.Errorf("after a connection: %s", bad)
	}
}

// A node that has nobody does not wait long for those that its configuration names.
func TestAloneWaitsAreShort(t *testing.T) {
	id := ids(3)
	for name, tc := range map[string]struct {
		source    Source
		connected map[peer.ID]bool
		short     bool
	}{
		"alone":     {Source{Most: 10, Connect: 2, Configured: true}, nil, true},
		"not alone": {Source{Most: 10, Connect: 2, Configured: true}, map[peer.ID]bool{id[2]: true}, false},
		"found":     {Source{Most: 10, Connect: 2}, nil, false},
	} {
		l, m := newLedger(id[0], 1), members(tc.source)
		now := time.Unix(0, 0)
		l.found(m[0], info(id[1], "/memory/1"), 0, now)
		for range 12 {
			dials, wake := l.step(m, tc.connected, now)
			if len(dials) == 0 {
				now = wake
				dials, _ = l.step(m, tc.connected, now)
			}
			if len(dials) != 1 {
				t.Fatalf("%s: dials %v at %v", name, dials, now)
			}
			l.dialed(id[1], errAway, now)
		}
		_, wake := l.step(m, tc.connected, now)
		if wait := wake.Sub(now); (wait <= loneWait*5/4) != tc.short {
			t.Errorf("%s: waits %v after many failures", name, wait)
		}
	}
}

func TestNewAddressesEndALongWait(t *testing.T) {
	id := ids(2)
	l, m := newLedger(id[0], 1), members(Source{Most: 1, Connect: 1})
	now := time.Unix(0, 0)
	l.found(m[0], info(id[1], "/memory/1"), 0, now)
	for range 10 {
		l.step(m, nil, now)
		l.dialed(id[1], errAway, now)
		_, now = l.step(m, nil, now)
	}
	l.step(m, nil, now)
	l.dialed(id[1], errAway, now)
	l.found(m[0], info(id[1], "/memory/2"), 0, now)
	if _, wake := l.step(m, nil, now); wake.Sub(now) > 2*firstWait {
		t.Errorf("still %v", wake.Sub(now))
	}
}

func TestOneOfTwoDialsFirst(t *testing.T) {
	id := ids(2)
	now := time.Unix(0, 0)
	for i, want := range []int{1, 0} {
		l, m := newLedger(id[i], 1), members(Source{Most: 1, Connect: 1, Mutual: true})
		l.found(m[0], info(id[1-i]), 0, now)
		dials, wake := l.step(m, nil, now)
		if len(dials) != want {
			t.Errorf("the one with ID %d of 2: %d dials", i+1, len(dials))
		}
		if want == 0 && !wake.Equal(now.Add(courtesy)) {
			t.Errorf("waits until %v", wake)
		}
	}
}

func TestOnlyConfiguredAddressesAreGiven(t *testing.T) {
	id := ids(2)
	l, m := newLedger(id[0], 1), members(Source{Most: 1, Connect: 1}, Source{Most: 1, Configured: true})
	now := time.Unix(0, 0)
	l.found(m[0], info(id[1], "/memory/1"), 0, now)
	l.found(m[1], info(id[1], "/memory/2"), 0, now)
	dials, _ := l.step(m, nil, now)
	if len(dials) != 1 || fmt.Sprint(dials[0].Addrs) != "[/memory/2]" {
		t.Errorf("%v", dials)
	}
}

// More peers than a source may have are left out, but for the place of those
// that turned out to be unreachable.
func TestEvil_R10_TooManyPeers(t *testing.T) {
	const most = 10
	id := ids(2*most + 2)
	l, m := newLedger(id[0], 1), members(Source{Most: most, Connect: most})
	now := time.Unix(0, 0)
	for _, p := range id[1:] {
		l.found(m[0], info(p), time.Hour, now)
	}
	if len(l.entries) != most {
		t.Fatalf("%d entries", len(l.entries))
	}
	dials, _ := l.step(m, nil, now)
	for _, d := range dials {
		l.dialed(d.ID, errAway, now)
	}
	honest := id[2*most+1]
	if !l.found(m[0], info(honest), time.Hour, now) || len(l.entries) != most {
		t.Errorf("no room for another; %d entries", len(l.entries))
	}
	many := make([]ma.Multiaddr, 10*maxAddrs)
	for i := range many {
		many[i] = ma.StringCast(fmt.Sprintf("/memory/%d", i+1))
	}
	l.found(m[0], peer.AddrInfo{ID: honest, Addrs: many}, time.Hour, now)
	for _, d := range l.list(m[0], now) {
		if len(d.Peer.Addrs) > maxAddrs {
			t.Errorf("%d addresses", len(d.Peer.Addrs))
		}
	}
}
