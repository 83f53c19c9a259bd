// SPDX-License-Identifier: Apache-2.0 OR MIT

// Command run drives the interop matrix: this project's peer against itself and
// against every other peer, either side serving, over every stack that both
// speak, and every operation.
//
//	go run ./interop/run [--peers go,js,py] [--timeout 60s] [--parallel 2] [--json]
//
// Peers that are missing are set up first. The exit status is 1 if a cell
// failed that was not known to, or did not fail although it was (known.go).
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/peers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	names := flag.String("peers", "go,js,py", "peers to pair with, comma separated")
	timeout := flag.Duration("timeout", time.Minute, "bound of one cell")
	parallel := flag.Int("parallel", 2, "rows at a time")
	asJSON := flag.Bool("json", false, "print the matrix as JSON")
	flag.Parse()
	if flag.NArg() > 0 || *parallel < 1 {
		flag.Usage()
		os.Exit(2)
	}
	m := matrix{timeout: *timeout, parallel: *parallel, log: os.Stderr}
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
	chosen, err := peers.Named(peers.All(root), names)
	if err != nil {
		return false, err
	}
	for _, p := range chosen {
		if err := p.Setup(ctx, m.log); err != nil {
			return false, err
		}
	}
	rows := plan(chosen)
	m.run(ctx, rows)
	if err := ctx.Err(); err != nil {
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
	return failed, err
}
