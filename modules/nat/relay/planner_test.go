// SPDX-License-Identifier: Apache-2.0 OR MIT

package relay

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// trace runs a planner through a story and writes down what it does. Peers are
// called by a letter.
type trace struct {
	p     *planner
	now   time.Duration
	next  time.Time
	lines []string
}

func newTrace() *trace { return &trace{p: newPlanner()} }

func named(letters string) (list []peer.AddrInfo) {
	for _, l := range letters {
		list = append(list, peer.AddrInfo{ID: somebody(int(l))})
	}
	return list
}

func letter(p peer.ID) string {
	for l := 'a'; l <= 'z'; l++ {
		if somebody(int(l)) == p {
			return string(l)
		}
	}
	return "?"
}

// on steps at a time after the beginning.
func (t *trace) on(at time.Duration, what string, event any) {
	t.now = at
	actions, next := t.p.step(event, epoch.Add(at))
	var done []string
	for _, a := range actions {
		switch a := a.(type) {
		case ask:
			done = append(done, "ask "+letter(a.ID))
		case drop:
			done = append(done, "drop "+letter(a.peer))
		case search:
			done = append(done, fmt.Sprintf("search %d", len(a.peers)))
		}
	}
	then := ""
	if !next.IsZero() {
		then = " @" + next.Sub(epoch).String()
	}
	t.next = next
	t.lines = append(t.lines, fmt.Sprintf("%v %s: %s%s", at, what, strings.Join(done, ", "), then))
}

func (t *trace) want(tb testing.TB, golden string) {
	tb.Helper()
	if got := strings.Join(t.lines, "\n"); got != strings.TrimSpace(golden) {
		tb.Errorf("got\n%s\nwant\n%s", got, strings.TrimSpace(golden))
	}
}

func relayOf(l rune) peer.ID { return somebody(int(l)) }

func placeAt(l rune, until time.Duration) reserved { return reserved{relayOf(l), epoch.Add(until)} }

func TestPlannerKeepsPlacesAtNamedRelays(t *testing.T) {
	p := newTrace()
	p.on(0, "listens on a and b", configured{settings{named: named("ab"), count: 2}})
	p.on(0, "a", placeAt('a', time.Hour))
	p.on(0, "b fails", failed{relayOf('b')})
	p.on(10*time.Second, "", nil)
	p.on(11*time.Second, "b fails", failed{relayOf('b')})
	p.on(31*time.Second, "", nil)
	p.on(32*time.Second, "b", placeAt('b', time.Hour))
	p.on(30*time.Minute, "", nil)
	p.on(30*time.Minute, "a again", placeAt('a', 90*time.Minute))
	p.on(31*time.Minute, "public", reachability{core.ReachabilityPublic})
	p.on(31*time.Minute, "b fails", failed{relayOf('b')})
	p.on(time.Hour, "", nil)
	p.on(time.Hour, "a fails", failed{relayOf('a')})
	p.on(time.Hour, "b is back", placeAt('b', 2*time.Hour))
	p.on(61*time.Minute, "a is gone", lost{relayOf('a')})
	p.on(61*time.Minute, "only b", configured{settings{named: named("b"), count: 2}})
	p.want(t, `
0s listens on a and b: ask a, ask b
0s a:  @30m0s
0s b fails:  @10s
10s : ask b @30m0s
11s b fails:  @31s
31s : ask b @30m0s
32s b:  @30m0s
30m0s : ask a @30m16s
30m0s a again:  @30m16s
31m0s public: ask b @1h0m0s
31m0s b fails:  @31m10s
1h0m0s : drop b, ask a, ask b @1h30m0s
1h0m0s a fails:  @1h0m10s
1h0m0s b is back:  @1h0m10s
1h1m0s a is gone: drop a, ask a @1h30m0s
1h1m0s only b:  @1h30m0s`)
}

func TestPlannerUsesTheRelaysOfTheConfiguration(t *testing.T) {
	p := newTrace()
	p.on(0, "three, two at a time", configured{settings{any: true, static: named("abc"), count: 2}})
	p.on(0, "a", placeAt('a', time.Hour))
	p.on(1*time.Second, "b fails", failed{relayOf('b')})
	p.on(2*time.Second, "c", placeAt('c', time.Hour))
	p.on(12*time.Second, "", nil)
	p.on(time.Minute, "a is gone", lost{relayOf('a')})
	p.on(time.Minute, "a fails", failed{relayOf('a')})
	p.on(2*time.Minute, "reachable", reachability{core.ReachabilityPublic})
	p.on(3*time.Minute, "private", reachability{core.ReachabilityPrivate})
	p.want(t, `
0s three, two at a time: ask a, ask b
0s a:  @30m0s
1s b fails: ask c @30m0s
2s c:  @30m0s
12s :  @30m0s
1m0s a is gone: drop a, ask a @30m1s
1m0s a fails: ask b @30m1s
2m0s reachable: drop c
3m0s private: ask c`)
}

func TestPlannerFindsRelays(t *testing.T) {
	p := newTrace()
	p.on(0, "listens", configured{settings{any: true, count: 2}})
	p.on(0, "somebody", found{relayOf('x')})
	p.on(0, "a relay", candidate{relayOf('a')})
	p.on(time.Second, "private", reachability{core.ReachabilityPrivate})
	p.on(2*time.Second, "a", placeAt('a', time.Hour))
	p.on(3*time.Second, "searched", searched{})
	p.on(31*time.Second, "", nil)
	p.on(32*time.Second, "a relay", candidate{relayOf('b')})
	p.on(33*time.Second, "b", placeAt('b', time.Hour))
	p.on(33*time.Second, "searched", searched{})
	p.on(time.Minute, "b is gone", lost{relayOf('b')})
	p.on(time.Minute, "b fails", failed{relayOf('b')})
	p.on(2*time.Minute, "public", reachability{core.ReachabilityPublic})
	p.want(t, `
0s listens: 
0s somebody: 
0s a relay: 
1s private: ask a, search 1
2s a:  @30m1s
3s searched:  @31s
31s : search 0 @30m1s
32s a relay: ask b @30m1s
33s b:  @30m1s
33s searched:  @30m1s
1m0s b is gone: drop b, ask b @30m1s
1m0s b fails:  @1m10s
2m0s public: drop a`)
}

// TestPlannerForgets: what does not answer is no candidate for ever, and there are
// never more than so many.
func TestPlannerForgets(t *testing.T) {
	p := newPlanner()
	p.step(configured{settings{any: true, count: 2}}, epoch)
	p.step(reachability{core.ReachabilityPrivate}, epoch)
	now := epoch
	asked := 0
	for i := range 10_000 {
		now = now.Add(time.Second)
		for _, e := range []any{candidate{somebody(i % 300)}, found{somebody(1000 + i%300)}} {
			actions, _ := p.step(e, now)
			for len(actions) > 0 {
				var more []any
				switch a := actions[0].(type) {
				case ask:
					asked++
					more, _ = p.step(failed{a.ID}, now)
				case search:
					more, _ = p.step(searched{}, now)
				}
				actions = append(actions[1:], more...)
			}
		}
		if len(p.relays) > maxCandidates || len(p.peers) > maxCandidates {
			t.Fatalf("%d candidates, %d peers", len(p.relays), len(p.peers))
		}
	}
	if asked < 100 || asked > 500 { // about once a minute
		t.Errorf("asked %d times", asked)
	}
}
