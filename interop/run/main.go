// SPDX-License-Identifier: Apache-2.0 OR MIT

// Command run drives the interop matrix: this project's peer against itself and
// against every other peer, either side serving, over every stack that both
// speak, and every operation.
//
//	go run ./interop/run [--peers go,js,py,rust] [--only transport=quic,server=xnode] [--timeout 30s] [--parallel 2] [--json]
//
// Peers that are missing are set up first. The exit status is 1 if a cell
// failed that was not known to, or did not fail although it was (known.go).
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
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/lan"
	"github.com/xnode-p2p/xnode/interop/internal/peers"
)

func main() {
	lan.Hold()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	names := flag.String("peers", "go,js,py,rust", "peers to pair with, comma separated")
	timeout := flag.Duration("timeout", 30*time.Second, "bound of one cell of a stack")
	settle := flag.Duration("settle", 20*time.Second, "how long what a DHT does is tried again")
	parallel := flag.Int("parallel", 2, "rows at a time")
	var only filter
	flag.Var(&only, "only", "rows to run, as transport=ws,transport=quic,client=go; keys are "+strings.Join(filterKeys(), ", "))
	asJSON := flag.Bool("json", false, "print the matrix as JSON")
	flag.Parse()
	if flag.NArg() > 0 || *parallel < 1 {
		flag.Usage()
		os.Exit(2)
	}
	m := matrix{only: only, timeout: *timeout, settle: *settle, parallel: *parallel, log: os.Stderr}
	failed, err := m.main(ctx, strings.Split(*names, ","), *asJSON, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil || failed {
		os.Exit(1)
	}
}

// main sets the peers up, runs all rows and prints them.
func (m *matrix) main(ctx context.Context, names []string, asJSON bool, out io.Writer) (failed bool, err error) {
	root, err := peers.Root()
	if err != nil {
		return false, err
	}
	if lan.Inside() {
		return false, m.insideAutoNAT(ctx, root, names, out)
	}
	chosen, err := peers.SetupAll(ctx, root, names, m.log)
	if err != nil {
		return false, err
	}
	rows := m.only.choose(plan(chosen))
	if len(rows) == 0 {
		return false, fmt.Errorf("--only %s: no row is left", m.only)
	}
	var forget func() error
	if m.networkKey, forget, err = makeNetworkKey(); err != nil {
		return false, err
	}
	m.run(ctx, slices.DeleteFunc(slices.Clone(rows), isAutoNAT))
	lab := m.runAutoNAT(ctx, slices.DeleteFunc(slices.Clone(rows), func(r *row) bool { return !isAutoNAT(r) }))
	rows = slices.DeleteFunc(rows, func(r *row) bool { return isAutoNAT(r) && len(r.Cells) == 0 }) // which could not be tried
	if err := errors.Join(ctx.Err(), forget()); err != nil {
		return false, err
	}
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err = enc.Encode(rows)
	} else {
		err = print(out, rows)
	}
	for _, r := range rows {
		failed = failed || r.failed()
	}
	return failed, errors.Join(err, lab)
}
