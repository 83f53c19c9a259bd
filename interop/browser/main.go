// SPDX-License-Identifier: Apache-2.0 OR MIT

// Command browser has js-libp2p in a headless Chromium talk to xnode over every
// transport that a browser has, and over WebRTC through a relay, either dialling.
//
//	go run ./interop/browser [--chromium FILE] [--xnode FILE] [--out DIR] [--debug]
//
// What is missing is set up first: the npm packages and, for root on a machine
// with apt, Chromium. The node is the xnode command with configs/browser.json,
// on loopback. The page is loaded twice; its results are printed, and a
// screenshot of each load is left in the folder --out, beside the logs. The
// exit status is 1 if a case did not go as wanted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/peers"
	"github.com/xnode-p2p/xnode/interop/internal/process"
)

// runTime bounds everything after the setting up.
const runTime = 15 * time.Minute

// pageLoads is how often the page is loaded.
const pageLoads = 2

// run is one run of this command.
type run struct {
	root     string
	out      string
	chromium string
	xnode    string
	debug    bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var r run
	flag.StringVar(&r.chromium, "chromium", "", "the browser's program (default: chromium in PATH)")
	flag.StringVar(&r.xnode, "xnode", "", "the node's program (default: built from the checkout)")
	flag.StringVar(&r.out, "out", "", "folder for screenshots and logs (default: bin/browser in the checkout)")
	flag.BoolVar(&r.debug, "debug", false, "have the node log all it can, and Chromium its network events (net.json)")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	err := r.main(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// main sets up, drives the browser and prints what came of it.
func (r *run) main(ctx context.Context) (err error) {
	if r.root, err = peers.Root(); err != nil {
		return err
	}
	if r.out == "" {
		r.out = filepath.Join(r.root, "bin", "browser")
	}
	if r.out, err = filepath.Abs(r.out); err != nil {
		return err
	}
	if err := r.setup(ctx, os.Stderr); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, runTime, fmt.Errorf("not done within %v", runTime))
	defer cancel()
	relay, err := r.launch(ctx, "relay.log", []byte(relayConfig))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, relay.stop()) }()
	n, err := r.startNode(ctx, relay)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	cases, err := casesOf(n.addrs, relay.addrs)
	if err != nil {
		return err
	}
	o, err := r.drive(ctx, n, cases)
	if err != nil {
		return fmt.Errorf("%w (logs are in %s)", err, r.out)
	}
	if err := print(os.Stdout, o); err != nil {
		return err
	}
	fmt.Println("\nscreenshots and logs:", r.out)
	return o.check(cases, n.agent)
}

// drive serves the page and has the browser load it.
func (r *run) drive(ctx context.Context, n *node, cases []testCase) (*outcome, error) {
	url, stop, err := r.serve(ctx, n, cases)
	if err != nil {
		return nil, err
	}
	defer stop()
	pin, err := keyPin(ctx, cases)
	if err != nil {
		return nil, err
	}
	order := order{
		URL: url, Chromium: r.chromium, Log: filepath.Join(r.out, "page.log"),
		// wss alone depends on it: the other certificates are pinned by their addresses.
		Args: []string{"--ignore-certificate-errors-spki-list=" + pin},
	}
	if r.debug {
		order.Args = append(order.Args, "--log-net-log="+filepath.Join(r.out, "net.json"))
	}
	for i := range pageLoads {
		order.Screenshots = append(order.Screenshots, filepath.Join(r.out, fmt.Sprintf("load-%d.png", i+1)))
	}
	text, err := jsonText(order)
	if err != nil {
		return nil, err
	}
	o := new(outcome)
	return o, process.Run(ctx, []string{r.program(), r.folder("drive.js"), text}, o)
}

// order is what drive.js is told.
type order struct {
	URL         string   `json:"url"`
	Chromium    string   `json:"chromium"`
	Args        []string `json:"args"`
	Screenshots []string `json:"screenshots"`
	Log         string   `json:"log"`
}
