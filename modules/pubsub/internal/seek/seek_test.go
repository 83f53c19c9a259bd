// SPDX-License-Identifier: Apache-2.0 OR MIT

package seek

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

var start = time.Unix(1_800_000_000, 0)

func newSeeker(t *testing.T, p Params) *Seeker {
	t.Helper()
	p.Provision()
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	return New(&p, rand.New(rand.NewPCG(1, 2)))
}

// play asks every second what is due for one topic, and answers at once.
func play(s *Seeker, d time.Duration, peers int, lasts time.Duration, fresh int) (advertised, found []int) {
	for i := range int(d / time.Second) {
		now := start.Add(time.Duration(i) * time.Second)
		advertise, find := s.Due(now, map[string]int{"news": peers}, 16)
		if len(advertise) > 0 {
			advertised = append(advertised, i)
			s.Advertised("news", lasts, now)
		}
		if len(find) > 0 {
			found = append(found, i)
			s.Found("news", fresh, now)
		}
	}
	return advertised, found
}

func TestIntervals(t *testing.T) {
	for _, c := range []struct {
		name              string
		peers             int
		lasts             time.Duration
		fresh             int
		advertised, found []int
	}{
		{"nobody is found", 0, time.Hour, 0, []int{0}, []int{0, 5, 15, 35, 75, 135, 195, 255}},
		{"somebody each time", 4, time.Hour, 1, []int{0}, []int{0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55}},
		{"enough peers", 5, time.Hour, 0, []int{0}, nil},
		{"advertised in vain", 5, 0, 0, []int{0, 5, 15, 35, 75, 155, 275}, nil},
		{"for a short time", 5, 100 * time.Second, 0, []int{0, 75, 150, 225}, nil},
		{"for no time at all", 5, 1, 0, []int{0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55}, nil},
	} {
		s := newSeeker(t, Params{MaxInterval: core.Duration(time.Minute)})
		advertised, found := play(s, 5*time.Minute, c.peers, c.lasts, c.fresh)
		if len(c.found) == 12 {
			found = found[:12]
		}
		if len(c.advertised) == 12 {
			advertised = advertised[:12]
		}
		if !slices.Equal(advertised, c.advertised) || !slices.Equal(found, c.found) {
			t.Errorf("%s: advertised %v, looked for %v, want %v and %v", c.name, advertised, found, c.advertised, c.found)
		}
	}
}

// Nothing is begun a second time before its end, nor more at once than may be,
// and a topic that the node is not in any more is forgotten.
func TestDue(t *testing.T) {
	s := newSeeker(t, Params{})
	topics := map[string]int{"a": 0, "b": 0, "c": 9}
	if advertise, find := s.Due(start, topics, 3); !slices.Equal(advertise, []string{"a", "b"}) || !slices.Equal(find, []string{"a"}) {
		t.Errorf("%v, %v", advertise, find)
	}
	if advertise, find := s.Due(start.Add(time.Hour), topics, 9); !slices.Equal(advertise, []string{"c"}) || !slices.Equal(find, []string{"b"}) {
		t.Errorf("%v, %v", advertise, find)
	}
	if advertise, find := s.Due(start.Add(2*time.Hour), nil, 9); advertise != nil || find != nil || len(s.topics) != 0 {
		t.Errorf("%v, %v, %d topics", advertise, find, len(s.topics))
	}
	s.Advertised("a", time.Hour, start) // too late
	s.Found("a", 1, start)
}

// A peer that is found again and again is dialled less and less often.
func TestDialBackoff(t *testing.T) {
	s := newSeeker(t, Params{})
	var waits []time.Duration
	last := start
	for i := range 20_000 {
		now := start.Add(time.Duration(i) * time.Second)
		if s.Try("a", now) {
			waits = append(waits, now.Sub(last))
			last = now
		}
	}
	most := []time.Duration{0, 10, 50, 250, 1250, 3600, 3600}
	if len(waits) < 7 || len(waits) > 14 {
		t.Fatalf("waits %v", waits)
	}
	for i, m := range most {
		if m *= time.Second; waits[i] > m+time.Second || waits[i] < m/2 {
			t.Errorf("wait %d is %v, want %v to %v", i, waits[i], m/2, m)
		}
	}
	s.Met("a")
	if !s.Try("a", start.Add(20_000*time.Second)) {
		t.Error("a peer that has been here is not dialled at once")
	}
}

// Whatever is found, what is remembered of it has a bound.
func TestEvil_G9_FoundPeers(t *testing.T) {
	s := newSeeker(t, Params{})
	dialled := 0
	for i := range 5 * maxPeers {
		if s.Try(peer.ID(fmt.Sprint(i)), start) {
			dialled++
		}
	}
	if len(s.peers) != maxPeers || dialled != maxPeers {
		t.Errorf("%d peers are remembered, %d dialled, want %d", len(s.peers), dialled, maxPeers)
	}
	if !s.Try("new", start.Add(time.Minute)) || len(s.peers) > maxPeers {
		t.Error("later there is no room for another")
	}
}

func TestValidate(t *testing.T) {
	for want, p := range map[string]Params{
		"min_peers: want 1 to 1000":          {MinPeers: -1},
		"interval: want 1s or more":          {Interval: 1},
		"dial_backoff: want 1s or more, and": {DialBackoff: core.Duration(2 * time.Hour)},
	} {
		p.Provision()
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
