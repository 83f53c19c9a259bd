// SPDX-License-Identifier: Apache-2.0 OR MIT

package autonat

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

var update = flag.Bool("update", false, "write the golden traces")

// epoch is when all traces begin.
var epoch = time.Unix(1_000_000, 0)

// parseEvent reads a line of a trace: the seconds since its beginning, what
// happens, and to whom.
func parseEvent(line string) (event any, at time.Time, err error) {
	f := strings.Fields(line)
	seconds, err := strconv.Atoi(f[0])
	at = epoch.Add(time.Duration(seconds) * time.Second)
	switch args := f[2:]; f[1] {
	case "addrs":
		event = candidates{args}
	case "joined": // who, network, versions, and where it sees the node
		j := joined{id: peer.ID(args[0]), network: args[1], first: strings.Contains(args[2], "1"), second: strings.Contains(args[2], "2")}
		if len(args) > 3 {
			j.observed = args[3]
		}
		event = j
	case "left":
		event = left{peer.ID(args[0])}
	case "moved":
		event = moved{}
	case "tick":
		event = tick{}
	case "answered": // who, about what, and what; and in which network, if that was another
		a := answered{id: peer.ID(args[0]), target: strings.Trim(args[1], "-"), outcome: outcomes[args[2]]}
		if len(args) > 3 {
			a.moves, err = strconv.Atoi(args[3])
		}
		event = a
	default:
		err = fmt.Errorf("%q: no event", line)
	}
	return event, at, err
}

var outcomes = map[string]outcome{"failed": failed, "reached": reached, "missed": missed, "refused": refused}

func describe(a any) string {
	switch a := a.(type) {
	case ask:
		return fmt.Sprintf("ask %s version %d about %s at %s", string(a.id), a.version, dash(a.target), dash(a.addr))
	case wake:
		return fmt.Sprintf("wake %d", int(a.at.Sub(epoch).Seconds()))
	case verdict:
		text := "verdict " + a.node.String()
		for _, r := range a.addrs {
			text += fmt.Sprintf(" %s=%s(%d/%d)", r.addr, r.reachability, r.reached, r.missed)
		}
		return text
	}
	return fmt.Sprintf("%#v", a)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// TestTraces plays the events of each file and compares what follows with what
// stands below them there.
func TestTraces(t *testing.T) {
	files, err := filepath.Glob("testdata/traces/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d traces, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			tr := newTracker(3, 15*time.Minute, 5*time.Minute)
			var got strings.Builder
			for line := range strings.Lines(string(want)) {
				line = strings.TrimSuffix(line, "\n")
				if strings.HasPrefix(line, "\t") {
					continue // what followed when it was written
				}
				got.WriteString(line + "\n")
				if line == "" || strings.HasPrefix(line, "#") {
					continue
				}
				event, at, err := parseEvent(line)
				if err != nil {
					t.Fatal(err)
				}
				for _, a := range tr.step(event, at) {
					got.WriteString("\t" + describe(a) + "\n")
				}
			}
			if *update {
				if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("(-want +got) %s", diff)
			}
		})
	}
}

// Whatever happens, the bounds hold and nothing is counted that is not there.
func TestTrackerBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := newTracker(rapid.IntRange(1, 8).Draw(t, "confirmations"), 15*time.Minute, 5*time.Minute)
		now := epoch
		open := map[ask]int{}
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 400).Draw(t, "seconds")) * time.Second)
			id := peer.ID(fmt.Sprint("p", rapid.IntRange(0, 90).Draw(t, "peer")))
			var event any = tick{}
			switch rapid.IntRange(0, 6).Draw(t, "event") {
			case 0:
				var list []string
				for i := range rapid.IntRange(0, 50).Draw(t, "addrs") {
					list = append(list, fmt.Sprint("a", i))
				}
				event = candidates{list}
			case 1, 2:
				event = joined{id: id, network: fmt.Sprint("n", rapid.IntRange(0, 40).Draw(t, "network")),
					first: rapid.Bool().Draw(t, "first"), second: rapid.Bool().Draw(t, "second")}
			case 3:
				event = left{id}
			case 4, 5:
				if len(open) == 0 {
					break
				}
				asks := slices.SortedFunc(maps.Keys(open), func(a, b ask) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
				a := rapid.SampledFrom(asks).Draw(t, "answered")
				if open[a]--; open[a] == 0 {
					delete(open, a)
				}
				event = answered{a.id, a.target, rapid.SampledFrom([]outcome{failed, reached, missed, refused}).Draw(t, "outcome"), a.moves}
			case 6:
				event = moved{}
			}
			for _, a := range tr.step(event, now) {
				switch a := a.(type) {
				case ask:
					open[a]++
				case wake:
					if !a.at.After(now) {
						t.Fatalf("to wake at once")
					}
				}
			}
			under := 0
			for _, n := range open {
				under += n
			}
			if under != tr.asks || under > maxAsks {
				t.Fatalf("%d questions are under way, %d are counted", under, tr.asks)
			}
			if len(tr.servers) > maxServers || len(tr.gone) > maxServers || len(tr.targets) > maxTargets {
				t.Fatalf("%d servers, %d that have gone, %d targets", len(tr.servers), len(tr.gone), len(tr.targets))
			}
			for _, g := range tr.targets {
				r, m := g.count()
				if len(g.votes) > maxVotes {
					t.Fatalf("%d votes", len(g.votes))
				}
				if g.verdict == core.ReachabilityUnknown && (r >= tr.confirmations && r > m || m >= tr.confirmations && m > r) {
					t.Fatalf("%d and %d votes make no verdict", r, m)
				}
			}
			seen := map[peer.ID]bool{}
			for _, s := range slices.Concat(tr.servers, tr.gone) {
				if len(s.refused) > maxTargets || seen[s.id] {
					t.Fatalf("%d refusals of %s, or it is known twice", len(s.refused), string(s.id))
				}
				seen[s.id] = true
			}
		}
	})
}
