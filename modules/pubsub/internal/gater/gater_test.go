// SPDX-License-Identifier: Apache-2.0 OR MIT

package gater

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

var start = time.Unix(1_800_000_000, 0)

func newGater(t *testing.T, p Params) *Gater {
	t.Helper()
	p.Provision()
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	return New(&p, rand.New(rand.NewPCG(1, 2)))
}

// share is the part of messages of p that are let through.
func share(g *Gater, p peer.ID, now time.Time) float64 {
	const tries = 20_000
	n := 0
	for range tries {
		if g.Accept(p, now) {
			n++
		}
	}
	return float64(n) / tries
}

var ip = netip.MustParseAddr("192.0.2.1")

// The defaults are those of go-libp2p-pubsub.
func TestDefaults(t *testing.T) {
	var p Params
	p.Provision()
	if p.Threshold != 0.33 || p.DuplicateWeight != 0.125 || p.IgnoreWeight != 1 || p.RejectWeight != 16 || p.DecayToZero != 0.01 ||
		time.Duration(p.DecayInterval) != time.Second || time.Duration(p.RetainStats) != 6*time.Hour || time.Duration(p.Quiet) != time.Minute {
		t.Errorf("%+v", p)
	}
	for seconds, v := range map[float64]float64{120: p.GlobalDecay, 3600: p.SourceDecay} {
		if got := math.Pow(v, seconds); math.Abs(got-0.01) > 1e-9 {
			t.Errorf("%v: after %v s %v is left, want 0.01", v, seconds, got)
		}
	}
}

// When the gater works, and what part of the messages it lets through then.
func TestAccept(t *testing.T) {
	busy := func(g *Gater) { // a third of the messages is throttled
		for range 90 {
			g.Validate()
		}
		for range 30 {
			g.Throttle(start)
		}
	}
	bad := func(g *Gater) {
		for range 10 {
			g.Reject("a")
		}
	}
	for _, c := range []struct {
		name  string
		play  func(*Gater)
		after time.Duration
		want  float64
	}{
		{"nothing has happened", func(*Gater) {}, 0, 1},
		{"bad, but nothing is throttled", bad, 0, 1},
		{"throttled without anything of the peer", busy, 0, 1},
		{"throttled and bad", func(g *Gater) { busy(g); bad(g) }, 0, 1.0 / 161},
		{"below the threshold", func(g *Gater) { busy(g); g.Validate(); bad(g) }, 0, 1},
		{"nothing could be validated", func(g *Gater) { g.Throttle(start); bad(g) }, 0, 1.0 / 161},
		{"just as good as bad", func(g *Gater) {
			busy(g)
			bad(g)
			for range 160 {
				g.Deliver("a", "news")
			}
		}, 0, 161.0 / 321},
		{"duplicates weigh little", func(g *Gater) {
			busy(g)
			for range 8 {
				g.Duplicate("a")
			}
		}, 0, 1.0 / 2},
		{"ignored", func(g *Gater) {
			busy(g)
			for range 3 {
				g.Ignore("a")
			}
		}, 0, 1.0 / 4},
		{"a topic that counts more", func(g *Gater) {
			busy(g)
			g.Deliver("a", "blocks")
			for range 4 {
				g.Ignore("a")
			}
		}, 0, 5.0 / 9},
		{"at the end of the quiet time", func(g *Gater) { busy(g); bad(g) }, time.Minute, 1.0 / 161},
		{"after it", func(g *Gater) { busy(g); bad(g) }, time.Minute + 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGater(t, Params{TopicDeliveryWeights: map[string]float64{"blocks": 4}})
			g.Join("a", ip)
			c.play(g)
			if got := share(g, "a", start.Add(c.after)); math.Abs(got-c.want) > 0.02 {
				t.Errorf("%v of the messages are let through, want %v", got, c.want)
			}
			if got := share(g, "stranger", start); got != 1 {
				t.Errorf("of a peer that is not here, %v", got)
			}
		})
	}
}

// Peers of one address share their counters, those without one do not.
func TestSources(t *testing.T) {
	g := newGater(t, Params{})
	for range 9 {
		g.Throttle(start)
	}
	g.Join("a", ip)
	g.Join("b", netip.AddrFrom16(ip.As16()))
	g.Join("c", netip.MustParseAddr("192.0.2.2"))
	g.Join("d", netip.Addr{})
	g.Join("e", netip.Addr{})
	g.Reject("a")
	g.Reject("d")
	for p, gated := range map[peer.ID]bool{"a": true, "b": true, "c": false, "d": true, "e": false} {
		if got := share(g, p, start) < 1; got != gated {
			t.Errorf("%s is gated: %v, want %v", p, got, gated)
		}
	}
}

// Whoever leaves and comes back from the same address begins where it was.
func TestRetain(t *testing.T) {
	g := newGater(t, Params{RetainStats: core.Duration(time.Hour)})
	now := start
	back := func(p peer.ID) bool {
		g.Join(p, ip)
		g.Throttle(now)
		gated := share(g, p, now) < 1
		g.Leave(p, now)
		return gated
	}
	g.Join("a", ip)
	g.Reject("a")
	g.Leave("a", now)
	g.Leave("a", now)
	if peers, sources := g.Size(); peers != 0 || sources != 1 {
		t.Errorf("%d peers and %d sources are left", peers, sources)
	}
	now = now.Add(59 * time.Minute)
	g.Refresh(now)
	if !back("b") {
		t.Error("after 59 minutes nothing is known")
	}
	now = now.Add(time.Hour + 1)
	g.Refresh(now)
	if back("a") {
		t.Error("after an hour something is known")
	}
	if peers, sources := g.Size(); peers != 0 || sources != 0 {
		t.Errorf("%d peers and %d sources are left", peers, sources)
	}
}

func TestDecay(t *testing.T) {
	g := newGater(t, Params{GlobalDecay: 0.5, SourceDecay: 0.5, DecayToZero: 0.3})
	g.Join("a", ip)
	g.Throttle(start)
	g.Reject("a")
	g.Refresh(start)
	if g.throttled != 0.5 || g.peers["a"].rejected != 0.5 {
		t.Errorf("after one interval %v, %v", g.throttled, g.peers["a"].rejected)
	}
	g.Refresh(start.Add(time.Second / 2))
	if g.throttled != 0.5 {
		t.Error("decays before it is time to")
	}
	g.Refresh(start.Add(time.Second))
	if g.throttled != 0 || g.peers["a"].rejected != 0 {
		t.Errorf("after two intervals %v, %v", g.throttled, g.peers["a"].rejected)
	}
}

// However many come and go, from however many addresses, what is remembered of
// them has a bound; and one that comes and goes often does not make others
// forgotten.
func TestEvil_G14_Sources(t *testing.T) {
	g := newGater(t, Params{})
	g.Join("bad", ip)
	g.Reject("bad")
	g.Leave("bad", start)
	for i := range 2 * maxRetained {
		p := peer.ID(fmt.Sprint(i))
		g.Join(p, netip.MustParseAddr("198.51.100.1"))
		g.Reject(p)
		g.Leave(p, start)
	}
	if _, sources := g.Size(); sources != 2 || len(g.retained) != 2 {
		t.Errorf("%d sources are remembered, %d of them in order, want 2", sources, len(g.retained))
	}
	for i := range maxRetained + 100 {
		p := peer.ID(fmt.Sprint(i))
		g.Join(p, netip.Addr{})
		g.Reject(p)
		g.Leave(p, start)
	}
	if peers, sources := g.Size(); peers != 0 || sources != maxRetained || len(g.retained) != maxRetained {
		t.Errorf("%d peers, %d sources are remembered", peers, sources)
	}
	g.Refresh(start.Add(7 * time.Hour))
	if _, sources := g.Size(); sources != 0 {
		t.Errorf("%d sources are left", sources)
	}
}

func TestValidate(t *testing.T) {
	for want, p := range map[string]Params{
		"threshold: want a number above 0, have -1":    {Threshold: -1},
		"global_decay: want a number between 0 and 1":  {GlobalDecay: 1},
		"source_decay: want a number between 0 and 1":  {SourceDecay: -0.5},
		"decay_to_zero: want a number between 0 and 1": {DecayToZero: 2},
		"duplicate_weight: want a number above 0":      {DuplicateWeight: math.NaN()},
		"ignore_weight: want a number at least 1":      {IgnoreWeight: 0.5},
		"reject_weight: want a number at least 1":      {RejectWeight: math.Inf(1)},
		"topic_delivery_weights/news: want a number":   {TopicDeliveryWeights: map[string]float64{"news": -1}},
		"decay_interval: want 1s to 24h0m0s, have 1ms": {DecayInterval: core.Duration(time.Millisecond)},
		"retain_stats: want 1s to 720h0m0s, have 1ms":  {RetainStats: core.Duration(time.Millisecond)},
		"quiet: want 1s to 24h0m0s, have 1ms":          {Quiet: core.Duration(time.Millisecond)},
	} {
		p.Provision()
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
