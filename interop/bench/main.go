// SPDX-License-Identifier: Apache-2.0 OR MIT

// Command bench compares what things cost this project's peer, the peer on
// go-libp2p, and bytes over TCP, TLS and QUIC with next to nothing in between.
//
//	go run ./interop/bench [--reps 5] [--quick] [--json] [--bytes N] [--only WORDS]
//
// It compares processor time, system calls, memory and round trips, never
// rates: those say more about the machine's other work. Every repetition runs
// every case once for every contender, and ratios are taken inside a
// repetition, for the same work takes different processor time at different
// times. A case may have a bar, the most that this project's peer is to take as
// a multiple of go-libp2p's; the figures say which bars are missed, and that is
// no failure of the run. A run that is interrupted prints what it has found.
//
// It runs on Linux.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/peers"
)

// sizes are how much work one measurement does.
type sizes struct {
	bytes      uint64 // over TCP; a part of it over what costs more
	handshakes int
	streams    int // 16 at a time; a quarter of that one at a time
	conns      int // idle ones
	lookups    int // of a DHT, and announcements
	requests   int // of a server of a DHT
	relayed    int // messages on a topic, through a server
	gossip     int // messages on a topic, in a network of one process
}

var (
	full  = sizes{bytes: 512 << 20, handshakes: 2000, streams: 20000, conns: 300, lookups: 300, requests: 40000, relayed: 10000, gossip: 400}
	quick = sizes{bytes: 64 << 20, handshakes: 200, streams: 2000, conns: 50, lookups: 50, requests: 4000, relayed: 2000, gossip: 100}
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	reps := flag.Int("reps", 0, "repetitions; default 5, or 1 with --quick")
	isQuick := flag.Bool("quick", false, "little work: shows that everything runs, and rough figures")
	bytes := flag.Uint64("bytes", 0, "bytes of one transfer over TCP, a part of it over what costs more; default 512 MiB, or 64 MiB with --quick")
	only := flag.String("only", "", "only the cases whose name contains one of these, comma separated")
	asJSON := flag.Bool("json", false, "print the figures as JSON")
	flag.Parse()
	if flag.NArg() > 0 || *reps < 0 {
		flag.Usage()
		os.Exit(2)
	}
	s, n := full, 5
	if *isQuick {
		s, n = quick, 1
	}
	if *bytes > 0 {
		s.bytes = *bytes
	}
	if *reps > 0 {
		n = *reps
	}
	err := bench(ctx, s, n, *only, *asJSON, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// report is everything that one run found.
type report struct {
	Go   string `json:"go"`
	CPUs int    `json:"cpus"`
	Reps int    `json:"reps"`
	// Others is the share of the machine's processor time that went to other
	// processes meanwhile.
	Others float64   `json:"others"`
	Cases  []outcome `json:"cases"`
}

// bench sets the peers up, runs all cases and prints the figures.
func bench(ctx context.Context, s sizes, reps int, only string, asJSON bool, out, log io.Writer) error {
	root, err := peers.Root()
	if err != nil {
		return err
	}
	chosen, err := peers.Named(peers.All(root), []string{"go", "js"})
	if err != nil {
		return err
	}
	own, rival, limit, js := chosen[0], chosen[1], peers.Limit(root), &chosen[2]
	for _, p := range []peers.Peer{own, rival, limit} {
		if err := p.Setup(ctx, log); err != nil {
			return err
		}
	}
	if err := js.Setup(ctx, log); err != nil {
		fmt.Fprintf(log, "%s is left out: %v\n", js.Name, err)
		js = nil
	}
	var cases []*benchCase
	for _, c := range allCases(s, cast{own, rival, limit, js}) {
		if named(c.name, only) {
			cases = append(cases, c)
		}
	}
	if len(cases) == 0 {
		return fmt.Errorf("--only %s: no such case", only)
	}
	before := machineNow()
	done, failed := repeatAll(ctx, cases, reps, log)
	r := report{Go: runtime.Version(), CPUs: runtime.NumCPU(), Reps: done, Others: before.others(machineNow())}
	for _, c := range cases {
		if len(c.samples) > 0 {
			r.Cases = append(r.Cases, c.outcome())
		}
	}
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return errors.Join(failed, enc.Encode(r))
	}
	return errors.Join(failed, r.print(out))
}

// repeatAll does the cases in turn, and returns how often it did all of them. An
// error ends that; what was found until then counts.
func repeatAll(ctx context.Context, cases []*benchCase, reps int, log io.Writer) (done int, err error) {
	for rep := range reps {
		for _, c := range cases {
			begun := time.Now()
			if err := c.repeat(ctx, rep); err != nil {
				return rep, err
			}
			fmt.Fprintf(log, "repetition %d of %d: %s (%.0f s)\n", rep+1, reps, c.name, time.Since(begun).Seconds())
		}
	}
	return reps, nil
}

// named says whether a case's name contains one of the comma separated words.
func named(name, words string) bool {
	return slices.ContainsFunc(strings.Split(words, ","), func(word string) bool { return strings.Contains(name, word) })
}
