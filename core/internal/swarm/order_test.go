// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

func TestRank(t *testing.T) {
	relay := "/p2p/" + target.ID().String() + "/p2p-circuit"
	const quic, quic6 = "/ip4/1.1.1.1/udp/1/quic-v1", "/ip6/2600::1/udp/1/quic-v1"
	for name, tc := range map[string]struct {
		policy      DialPolicy
		addrs, want []string
	}{
		"none": {},
		"one":  {addrs: []string{addr1}, want: []string{"0s " + addr1}},
		"QUIC, then IPv6": {
			addrs: []string{"/ip6/2600::1/tcp/1", addr1, quic6, quic},
			want:  []string{"0s " + quic6, "250ms " + quic, "500ms /ip6/2600::1/tcp/1", "750ms " + addr1},
		},
		"the versions take turns": {
			addrs: []string{"/ip6/2600::1/tcp/1", "/ip6/2600::2/tcp/1", addr1, addr2},
			want:  []string{"0s /ip6/2600::1/tcp/1", "250ms " + addr1, "500ms /ip6/2600::2/tcp/1", "750ms " + addr2},
		},
		"all sorts": {
			addrs: []string{
				"/ip4/1.1.1.1/udp/1/webrtc-direct", "/ip4/1.1.1.1/tcp/1/ws", "/ip4/1.1.1.1/tcp/1/tls/sni/a.example.com/ws",
				"/ip4/1.1.1.1/udp/1/quic-v1/webtransport", addr1, quic, "/memory/1",
			},
			want: []string{
				"0s /memory/1", "0s " + quic, "250ms " + addr1, "500ms /ip4/1.1.1.1/udp/1/quic-v1/webtransport",
				"750ms /ip4/1.1.1.1/tcp/1/ws", "1s /ip4/1.1.1.1/tcp/1/tls/sni/a.example.com/ws", "1.25s /ip4/1.1.1.1/udp/1/webrtc-direct",
			},
		},
		"webrtc-direct waits": {
			addrs: []string{"/ip4/1.1.1.1/udp/1/webrtc-direct", quic},
			want:  []string{"0s " + quic, "1s /ip4/1.1.1.1/udp/1/webrtc-direct"},
		},
		"webrtc-direct alone": {
			addrs: []string{"/ip4/1.1.1.1/udp/1/webrtc-direct"},
			want:  []string{"0s /ip4/1.1.1.1/udp/1/webrtc-direct"},
		},
		"private and public at once": {
			addrs: []string{addr1, "/ip4/10.0.0.2/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1", addr2},
			want:  []string{"0s /ip4/10.0.0.2/tcp/1", "0s " + addr1, "30ms /ip4/10.0.0.1/tcp/1", "60ms /ip4/127.0.0.1/tcp/1", "250ms " + addr2},
		},
		"many of one sort": {
			addrs: []string{"/ip4/1.1.1.1/tcp/1", "/ip4/1.1.1.1/tcp/2", "/ip4/1.1.1.1/tcp/3", "/ip4/1.1.1.1/tcp/4", "/ip4/1.1.1.1/tcp/5", "/ip4/1.1.1.1/tcp/6", "/ip4/1.1.1.1/tcp/7/ws"},
			want: []string{"0s /ip4/1.1.1.1/tcp/1", "250ms /ip4/1.1.1.1/tcp/2", "500ms /ip4/1.1.1.1/tcp/3", "750ms /ip4/1.1.1.1/tcp/4",
				"1s /ip4/1.1.1.1/tcp/5", "1s /ip4/1.1.1.1/tcp/6", "1.25s /ip4/1.1.1.1/tcp/7/ws"},
		},
		"relays last": {
			addrs: []string{addr1 + relay, addr2 + relay, addr3},
			want:  []string{"0s " + addr3, "500ms " + addr1 + relay, "750ms " + addr2 + relay},
		},
		"relays alone": {
			addrs: []string{addr1 + relay, addr2 + relay},
			want:  []string{"0s " + addr1 + relay, "250ms " + addr2 + relay},
		},
		"another order": {
			policy: DialPolicy{Order: []string{"tcp"}, Prefer: "ip4", Stagger: core.Duration(time.Second)},
			addrs:  []string{quic, quic6, addr1, "/ip6/2600::1/tcp/1"},
			want:   []string{"0s " + addr1, "1s /ip6/2600::1/tcp/1", "2s " + quic, "3s " + quic6},
		},
	} {
		tc.policy.Provision()
		if err := tc.policy.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, r := range tc.policy.rank(addrs(tc.addrs...)) {
			got = append(got, fmt.Sprint(r.delay, " ", r.addr))
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A rank has every address once.
func TestRankProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p DialPolicy
		p.Provision()
		given := rapid.SliceOfDistinct(rapid.Custom(func(t *rapid.T) string {
			return rapid.SampledFrom([]string{"/ip4/1.1.1.%d", "/ip4/10.0.0.%d", "/ip6/2600::%d"}).Draw(t, "host") +
				rapid.SampledFrom([]string{"/tcp/1", "/tcp/1/ws", "/udp/1/quic-v1", "/udp/1/quic-v1/webtransport", "/udp/1/webrtc-direct"}).Draw(t, "rest")
		}), rapid.ID[string]).Draw(t, "addrs")
		var list []string
		for i, g := range given {
			list = append(list, fmt.Sprintf(g, i+1))
		}
		var got []string
		last := time.Duration(0)
		for _, r := range p.rank(addrs(list...)) {
			got = append(got, r.addr.String())
			if r.delay < last {
				t.Fatalf("%s begins before the one in front of it", r.addr)
			}
			last = r.delay
		}
		slices.Sort(got)
		slices.Sort(list)
		if !slices.Equal(got, list) {
			t.Fatalf("%v became %v", list, got)
		}
	})
}

func TestDialPolicyErrors(t *testing.T) {
	for want, p := range map[string]DialPolicy{
		`order/0: "udp" is no sort of address; there are quic, tcp,`: {Order: []string{"udp"}},
		`order/1: "tcp" is listed twice`:                             {Order: []string{"tcp", "tcp"}},
		`prefer: "v6" is no IP version`:                              {Prefer: "v6"},
		"stagger: -1s is negative":                                   {Stagger: core.Duration(-time.Second)},
		"webrtc_delay: -1s is negative":                              {WebRTCDelay: core.Duration(-time.Second)},
	} {
		c := DialConfig{Policy: p}
		c.Provision()
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "policy: "+want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestBackoff(t *testing.T) {
	c := DialConfig{Backoff: core.Duration(5 * time.Second), BackoffMax: core.Duration(time.Minute)}
	k, other := backoffKey{"p", "a"}, backoffKey{"p", "b"}
	now := time.Unix(1e9, 0)
	var b backoff
	for i, want := range []time.Duration{5, 10, 20, 40, 60, 60, 60} {
		b.failed(k, now, c)
		want *= time.Second
		if !b.waits(k, now.Add(want-1)) || b.waits(k, now.Add(want)) {
			t.Errorf("failure %d: the wait is not %v", i+1, want)
		}
		if b.waits(other, now) || b.waits(backoffKey{"q", "a"}, now) {
			t.Error("others wait too")
		}
		now = now.Add(want)
	}
	b.failed(k, now.Add(time.Hour), c)
	if now = now.Add(time.Hour); b.waits(k, now.Add(5*time.Second)) {
		t.Error("what was long ago counts")
	}
	b.failed(k, now, c)
	if b.succeeded(k); b.waits(k, now) || len(b.entries) != 0 {
		t.Error("a success does not count")
	}
	b.failed(k, now, DialConfig{Backoff: core.Duration(time.Hour), BackoffMax: core.Duration(time.Hour)})
	for range 100 {
		b.failed(k, now, DialConfig{Backoff: core.Duration(time.Hour), BackoffMax: core.Duration(1<<63 - 1)})
	}
	if !b.waits(k, now.Add(time.Hour)) {
		t.Error("the wait overflows")
	}
}

func TestBackoffIsBounded(t *testing.T) {
	c := DialConfig{Backoff: core.Duration(time.Second), BackoffMax: core.Duration(time.Minute)}
	now := time.Unix(1e9, 0)
	var b backoff
	first := backoffKey{"p", "first"}
	b.failed(first, now, c)
	for i := range maxBackoffs + 50 {
		now = now.Add(time.Millisecond)
		b.failed(backoffKey{"p", fmt.Sprint(i)}, now, c)
	}
	if len(b.entries) != maxBackoffs {
		t.Errorf("%d entries, limit %d", len(b.entries), maxBackoffs)
	}
	if _, ok := b.entries[first]; ok {
		t.Error("the one that ends first is kept")
	}
	b.failed(first, now.Add(time.Hour), c)
	if len(b.entries) != 1 {
		t.Errorf("%d entries, all but one of which ended long ago", len(b.entries))
	}
}

// The wait after n failures in a row is base*2^(n-1), but not more than the most.
func TestBackoffProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "base"))
		most := base + time.Duration(rapid.Int64Range(0, int64(24*time.Hour)).Draw(t, "more"))
		c := DialConfig{Backoff: core.Duration(base), BackoffMax: core.Duration(most)}
		var b backoff
		model := map[backoffKey]time.Duration{}
		now := time.Unix(1e9, 0)
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			k := backoffKey{peer.ID(rapid.SampledFrom([]string{"p", "q"}).Draw(t, "peer")), rapid.SampledFrom([]string{"a", "b"}).Draw(t, "addr")}
			if rapid.IntRange(0, 9).Draw(t, "success") == 0 {
				b.succeeded(k)
				delete(model, k)
			} else {
				b.failed(k, now, c)
				model[k] = min(max(base, 2*model[k]), most)
			}
			if wait, ok := model[k]; ok && (!b.waits(k, now.Add(wait-1)) || b.waits(k, now.Add(wait))) {
				t.Fatalf("the wait of %v is not %v", k, wait)
			} else if !ok && b.waits(k, now) {
				t.Fatalf("%v waits", k)
			}
		}
	})
}

// The list of streams is a set.
func TestStreamListProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l streamList
		var model []*Stream
		all := make([]*Stream, 8)
		for i := range all {
			all[i] = new(Stream)
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			st := rapid.SampledFrom(all).Draw(t, "stream")
			i := slices.Index(model, st)
			if rapid.Bool().Draw(t, "push") && i < 0 {
				l.push(st)
				model = slices.Insert(model, 0, st)
			} else {
				l.remove(st) // there or not
				if i >= 0 {
					model = slices.Delete(model, i, i+1)
				}
			}
			if got := l.all(); !slices.Equal(got, model) || l.len != len(model) {
				t.Fatalf("%d streams, want %d", len(got), len(model))
			}
		}
	})
}

func TestDialConfig(t *testing.T) {
	second := core.Duration(time.Second)
	for name, tc := range map[string]struct {
		given, want DialConfig
		ok          bool
	}{
		"defaults":  {DialConfig{}, DialConfig{60 * second, 15 * second, 160, 8, 5 * second, 300 * second, DialPolicy{}}, true},
		"short":     {DialConfig{Timeout: 5 * second}, DialConfig{5 * second, 5 * second, 160, 8, 5 * second, 300 * second, DialPolicy{}}, true},
		"patient":   {DialConfig{AttemptTimeout: 90 * second}, DialConfig{90 * second, 90 * second, 160, 8, 5 * second, 300 * second, DialPolicy{}}, true},
		"long wait": {DialConfig{Backoff: 900 * second}, DialConfig{60 * second, 15 * second, 160, 8, 900 * second, 900 * second, DialPolicy{}}, true},
		"attempt beyond all": {
			DialConfig{Timeout: second, AttemptTimeout: 2 * second}, DialConfig{second, 2 * second, 160, 8, 5 * second, 300 * second, DialPolicy{}}, false,
		},
		"backoff beyond its most": {
			DialConfig{Backoff: 2 * second, BackoffMax: second}, DialConfig{60 * second, 15 * second, 160, 8, 2 * second, second, DialPolicy{}}, false,
		},
		"negative":          {DialConfig{Parallel: -1}, DialConfig{60 * second, 15 * second, -1, 8, 5 * second, 300 * second, DialPolicy{}}, false},
		"negative per peer": {DialConfig{ParallelPerPeer: -1}, DialConfig{60 * second, 15 * second, 160, -1, 5 * second, 300 * second, DialPolicy{}}, false},
	} {
		c := tc.given
		c.Provision()
		tc.want.Policy.Provision()
		if !cmp.Equal(c, tc.want) || (c.Validate() == nil) != tc.ok {
			t.Errorf("%s: %+v, %v", name, c, c.Validate())
		}
	}
}
