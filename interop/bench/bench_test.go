// SPDX-License-Identifier: Apache-2.0 OR MIT

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xnode-p2p/xnode/interop/internal/peers"
)

// TestMain is a peer if it is asked to be one.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "peer" {
		fakePeer(os.Args[2])
		os.Exit(0)
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // for those peers: a second each otherwise
	os.Exit(m.Run())
}

func fakePeer(command string) {
	switch command {
	case "listen", "idle":
		fmt.Println(`{"peer_id":"x","addrs":["/x"],"conns":300}`)
		for scan := bufio.NewScanner(os.Stdin); scan.Scan(); {
			fmt.Println(`{"heap_alloc":1024,"stack_inuse":2048,"goroutines":4}`)
		}
	default:
		fmt.Println(`{"client_cpu_seconds":0.5,"errors":0}`)
	}
}

func TestEveryCaseRuns(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	fake := func(name string) peers.Peer { return peers.Peer{Name: name, Argv: []string{exe, "peer"}} }
	var got []string
	for _, c := range allCases(full, fake("own"), fake("rival"), fake("limit")) {
		for rep := range 3 {
			if err := c.repeat(t.Context(), rep); err != nil {
				t.Fatal(err)
			}
		}
		o := c.outcome()
		line := o.Case
		for _, f := range o.Figures {
			line += " " + f.Contender
		}
		got = append(got, line)
		if c.name != "idle connection" && o.Figures[0].Client <= 0 {
			t.Errorf("%s: %+v", c.name, o.Figures[0])
		}
	}
	want := []string{
		"upload own rival aead tcp", "download own rival aead tcp",
		"handshake own rival", "handshake with identify own rival",
		"stream, 16 at a time own rival", "stream, one at a time own rival", "idle connection own rival",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOutcome(t *testing.T) {
	turns := map[string]int{}
	c := &benchCase{
		name: "work", unit: "µs", per: 10, calls: 0.5, callsOf: "one",
		contenders: []contender{{name: "own"}, {name: "rival"}},
		measure: func(_ context.Context, k contender) (sample, error) {
			turns[k.name]++
			n := float64(turns[k.name])
			if k.name == "own" {
				return sample{server: n, client: 1, writes: 2}, nil // 2, 3, 4
			}
			return sample{server: 4, client: 4 * n, writes: 6}, nil // 8, 12, 16
		},
	}
	for rep := range 3 {
		if err := c.repeat(t.Context(), rep); err != nil {
			t.Fatal(err)
		}
	}
	want := outcome{Case: "work", Unit: "µs", CallsOf: "one", Figures: []figure{
		{Contender: "own", Server: 20, Client: 10, Both: 30, Writes: 1, Ratio: 1},
		{Contender: "rival", Server: 40, Client: 80, Both: 120, Writes: 3, Ratio: 0.25},
	}}
	if diff := cmp.Diff(want, c.outcome()); diff != "" {
		t.Error(diff)
	}
}

func TestPrint(t *testing.T) {
	r := report{Go: "go1", CPUs: 2, Reps: 3, Others: 0.25, Cases: []outcome{
		{Case: "upload", Unit: "CPU s per GiB", CallsOf: "64 KiB", Figures: []figure{
			{Contender: "own", Server: 1, Client: 20, Both: 300, Reads: 1, Writes: 2, Ratio: 1},
			{Contender: "rival", Server: 1, Client: 1, Both: 2, Ratio: 150},
		}},
		{Case: "idle connection", Unit: "KiB", Figures: []figure{{Contender: "own", Server: 16, Heap: 8, Stack: 4, Goroutines: 1, Ratio: 1}}},
	}}
	var b strings.Builder
	if err := r.print(&b); err != nil {
		t.Fatal(err)
	}
	want := `go1, 2 processors, 3 repetitions, medians; other processes took 25 % of the processors

upload: CPU s per GiB
         server  client  both  server's reads  writes per 64 KiB  own / this
    own    1.00    20.0   300            1.00               2.00        1.00
  rival    1.00    1.00  2.00            0.00               0.00      150.00

idle connection: KiB
       resident  heap  stacks  goroutines  own / this
  own      16.0   8.0     4.0         1.0        1.00
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 3}, 3}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := median(len(c.values), func(i int) float64 { return c.values[i] }); got != c.want {
			t.Errorf("%v: %v", c.values, got)
		}
	}
}

func TestOthers(t *testing.T) {
	before, after := machine{all: 100, busy: 50, own: 10}, machine{all: 200, busy: 110, own: 30}
	if got := before.others(after); got != 0.4 {
		t.Errorf("others took %v", got)
	}
	if got := (machine{}).others(machine{}); got != 0 {
		t.Errorf("no time: %v", got)
	}
	if m := machineNow(); m.own > m.all {
		t.Errorf("%+v", m)
	}
}
