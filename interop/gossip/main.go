// SPDX-License-Identifier: Apache-2.0 OR MIT

// Command gossip runs scenarios of libp2p's gossipsub-interop
// (https://github.com/libp2p/test-plans/tree/master/gossipsub-interop) over
// loopback instead of a simulator: every node is a process, half of them this
// project's peer and half the one on go-libp2p-pubsub, and all follow the same
// script. The scripts are those of the suite, with shorter waits.
//
//	go run ./interop/gossip [--nodes 8] [--only NAME,…]
//
// The exit status is 1 if a message has not reached all nodes that it should.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/peers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	nodes := flag.Int("nodes", 8, "how many nodes a scenario has, at least 4")
	only := flag.String("only", "", "only these scenarios, comma separated")
	flag.Parse()
	if flag.NArg() > 0 || *nodes < 4 || *nodes > 200 {
		flag.Usage()
		os.Exit(2)
	}
	err := run(ctx, *nodes, *only, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run sets the peers up, runs the scenarios beside each other and prints what
// came of them.
func run(ctx context.Context, nodes int, only string, out, log io.Writer) error {
	root, err := peers.Root()
	if err != nil {
		return err
	}
	cast, err := peers.SetupAll(ctx, root, []string{"go"}, log)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "gossip")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	begun := time.Now()
	all := scenarios(nodes)
	if only != "" {
		all = slices.DeleteFunc(all, func(s *scenario) bool { return !slices.Contains(strings.Split(only, ","), s.name) })
	}
	var wg sync.WaitGroup
	for i, s := range all {
		wg.Go(func() { s.run(ctx, dir, fmt.Sprintf("127.77.%d.1", i+1), cast) })
	}
	wg.Wait()

	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "scenario\tnodes\texpected\tarrived\tcopies\t\t\n")
	var errs []error
	for _, s := range all {
		verdict := "✔"
		if err := s.verdict(); err != nil {
			verdict = "✘"
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\t\n", s.name, s.composition(cast), s.expected, s.arrived, s.copies, verdict)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%.0f s\n", time.Since(begun).Seconds())
	return errors.Join(errs...)
}
