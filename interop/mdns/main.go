// SPDX-License-Identifier: Apache-2.0 OR MIT

// Command mdns shows who sees whom by multicast DNS: two peers of every kind, each
// on a machine of its own, on one network for each version of IP. The machines are
// network namespaces, see interop/internal/lan; without them, two peers of this
// project meet on the loopback interface.
//
//	go run ./interop/mdns [--peers go,py,js,rust] [--settle 30s] [--json]
//
// Peers that are missing are set up first. The exit status is 1 if somebody was not
// seen who should be, was seen though listed as invisible (known.go), or if tshark,
// where it is installed, finds fault with a packet of this project's.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/lan"
	"github.com/xnode-p2p/xnode/interop/internal/peers"
)

func main() {
	lan.Hold()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	names := flag.String("peers", "go,py,js,rust", "peers to see and to be seen by, comma separated")
	settle := flag.Duration("settle", 30*time.Second, "how long peers may take to see each other, and to notice a change")
	asJSON := flag.Bool("json", false, "print the table as JSON")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	r := &runner{settle: *settle, log: os.Stderr, out: os.Stdout, json: *asJSON}
	failed, err := r.main(ctx, strings.Split(*names, ","))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil || failed {
		os.Exit(1)
	}
}

// runner runs everything.
type runner struct {
	settle time.Duration
	log    io.Writer
	out    io.Writer
	json   bool
	checks []check
}

// main sets the peers up where the machine's own network is, and goes on where it
// can make networks.
func (r *runner) main(ctx context.Context, names []string) (failed bool, err error) {
	root, err := peers.Root()
	if err != nil {
		return false, err
	}
	if lan.Inside() {
		kinds, err := peers.Named(peers.All(root), names)
		if err != nil {
			return false, err
		}
		return r.networks(ctx, kinds)
	}
	all, err := peers.SetupAll(ctx, root, names, r.log)
	if err != nil {
		return false, err
	}
	status, err := lan.Enter(ctx, "--peers", join(all), "--settle", r.settle.String(), fmt.Sprintf("--json=%t", r.json))
	if !errors.Is(err, lan.ErrUnavailable) {
		return status != 0, err
	}
	fmt.Fprintf(r.log, "%v: only this project's peers are tried, on the loopback interface\n", err)
	if err := r.loopback(ctx, all[0]); err != nil {
		return false, err
	}
	return r.print()
}

// networks runs all that takes networks.
func (r *runner) networks(ctx context.Context, kinds []peers.Peer) (failed bool, err error) {
	for _, n := range []struct{ version, prefix4, prefix6 string }{
		{peers.IPv4, "192.168.77.0/24", ""},
		{peers.IPv6, "", "fd77::/64"},
	} {
		prefix4, _ := netip.ParsePrefix(n.prefix4)
		prefix6, _ := netip.ParsePrefix(n.prefix6)
		net, err := lan.New(ctx, n.version, prefix4, prefix6)
		if err != nil {
			return false, err
		}
		if err := r.everybody(ctx, net, n.version, kinds); err != nil {
			return false, fmt.Errorf("%s: %w", n.version, err)
		}
		if err := r.changes(ctx, net, n.version, kinds[0]); err != nil {
			return false, fmt.Errorf("%s: %w", n.version, err)
		}
	}
	return r.print()
}

// check is one cell of the table, or one line below it.
type check struct {
	Network string `json:"network"`
	// Seer sees Seen, two kinds of peers; without them it is another check.
	Seer    string  `json:"seer,omitempty"`
	Seen    string  `json:"seen,omitempty"`
	What    string  `json:"what,omitempty"`
	OK      bool    `json:"ok"`
	Seconds float64 `json:"seconds"`
	Error   string  `json:"error,omitempty"`
	// Known is why it cannot be.
	Known string `json:"known,omitempty"`
}

// failed tells whether the outcome is another one than the expected.
func (c check) failed() bool { return c.OK == (c.Known != "") }

// note adds the outcome of a check that began some time ago.
func (r *runner) note(c check, begun time.Time, err error) {
	c.OK, c.Seconds = err == nil, time.Since(begun).Seconds()
	if err != nil {
		c.Error = err.Error()
	}
	r.checks = append(r.checks, c)
}

// print writes what came out.
func (r *runner) print() (failed bool, err error) {
	for _, c := range r.checks {
		failed = failed || c.failed()
	}
	if !r.json {
		return failed, table(r.out, r.checks)
	}
	enc := json.NewEncoder(r.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return failed, enc.Encode(r.checks)
}

func join(all []peers.Peer) string {
	var names []string
	for _, p := range all {
		names = append(names, p.Name)
	}
	return strings.Join(names, ",")
}
