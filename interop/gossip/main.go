// SPDX-License-Identifier: Apache-2.0 OR MIT

// Command gossip runs scenarios of libp2p's gossipsub-interop
// (https://github.com/libp2p/test-plans/tree/master/gossipsub-interop) over
// loopback instead of a simulator: every node is a process, by default half of
// them this project's peer and half the one on go-libp2p-pubsub, and all follow
// the same script. The scripts are like those of the suite, with shorter waits,
// or, with --params, those that the suite itself has written.
//
//	go run ./interop/gossip [--nodes 8] [--only NAME,…] [--composition xnode,go] [--logs DIR]
//	go run ./interop/gossip --params params.json|DIR …
//
// The exit status is 1 if a message has not reached all nodes that it should, or
// parts of one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/peers"
)

// options are what the command line says.
type options struct {
	nodes             int
	only, composition string
	params, logs      string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var o options
	flag.IntVar(&o.nodes, "nodes", 8, "how many nodes a scenario has, 4 to 200; a script of the suite says it itself")
	flag.StringVar(&o.only, "only", "", "only these scenarios, comma separated")
	flag.StringVar(&o.composition, "composition", "xnode,go", "who plays node 0, node 1 and so on, in turn: peers, comma separated")
	flag.StringVar(&o.params, "params", "", "a script that the suite has written, or a folder of them: NAME.json or NAME/params.json")
	flag.StringVar(&o.logs, "logs", "", "folder for what the nodes say, NAME/hosts/nodeN/PEER.stdout, as the suite's scripts want it")
	flag.Parse()
	if flag.NArg() > 0 || o.nodes < 4 || o.nodes > 200 {
		flag.Usage()
		os.Exit(2)
	}
	err := o.run(ctx, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run sets the peers up, runs the scenarios beside each other and prints what
// came of them.
func (o *options) run(ctx context.Context, out, log io.Writer) error {
	dir, err := os.MkdirTemp("", "gossip")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	all, err := o.scenarios(dir)
	if err != nil {
		return err
	}
	cast, err := o.cast(ctx, log)
	if err != nil {
		return err
	}
	begun := time.Now()
	var wg sync.WaitGroup
	for i, s := range all {
		s.cast, s.logs = cast, o.logs
		wg.Go(func() { s.run(ctx, fmt.Sprintf("127.77.%d.1", i+1)) })
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
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\t\n", s.name, s.composition(), s.expected, s.arrived, s.copies, verdict)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%.0f s\n", time.Since(begun).Seconds())
	return errors.Join(errs...)
}

// cast are the peers that play, in their order.
func (o *options) cast(ctx context.Context, log io.Writer) ([]peers.Peer, error) {
	root, err := peers.Root()
	if err != nil {
		return nil, err
	}
	names := strings.Split(o.composition, ",")
	there, err := peers.SetupAll(ctx, root, names, log)
	if err != nil {
		return nil, err
	}
	var cast []peers.Peer
	for _, name := range names {
		at := slices.IndexFunc(there, func(p peers.Peer) bool { return p.Name == name })
		if at < 0 {
			return nil, fmt.Errorf("--composition: no peer %q", name)
		}
		cast = append(cast, there[at])
	}
	return cast, nil
}

// scenarios are those to be run. Scripts of this program's own are written to a
// folder.
func (o *options) scenarios(dir string) (all []*scenario, err error) {
	files, err := o.files(dir)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if name == "params" {
			name = filepath.Base(filepath.Dir(file))
		}
		if o.only != "" && !slices.Contains(strings.Split(o.only, ","), name) {
			continue
		}
		s, err := newScenario(name, file)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	if len(all) == 0 || len(all) > 200 {
		return nil, fmt.Errorf("%d scenarios: want 1 to 200", len(all))
	}
	return all, nil
}

func (o *options) files(dir string) ([]string, error) {
	if o.params == "" {
		return writeScripts(dir, o.nodes)
	}
	path, err := filepath.Abs(o.params)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return []string{path}, err
	}
	var files []string
	for _, pattern := range []string{"*.json", filepath.Join("*", "params.json")} {
		found, err := filepath.Glob(filepath.Join(path, pattern))
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	return files, nil
}
