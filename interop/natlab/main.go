// SPDX-License-Identifier: Apache-2.0 OR MIT

// Command natlab tries what a node does behind routers: private networks, each
// behind a router with NAT, and a network between them that stands for the
// Internet. All of it is made of network namespaces, see interop/internal/lan.
//
//	go run ./interop/natlab [punch] [recover] [reach] [relays] [webrtc] [--peers go] [--only quic,cone-cone,clean] [--runs 10] [--mixed]
//
// punch: a node behind one router dials one behind another through a relay, and both
// try to make a direct connection of it (DCUtR). It fails if this project's peer
// does not get one where there can be one, or is not connected through the relay any
// more where there can be none.
//
// recover: a node behind a router has a bootstrap peer, and loses the connection to
// it. It fails if there is none again within 15 s.
//
// reach: a node behind a router finds out whether it can be reached, and asks the
// router for its ports. It fails if it finds out what is not so, if the doctor is
// wrong about the router, or if that forwards ports after the node has ended.
//
// relays: a node behind a router, with configs/private-node.json, finds relays in the
// DHT, and others when they die. It fails if it is not reached through them.
//
// webrtc: a node behind one router dials one behind another over WebRTC, with STUN
// and TURN servers, this project's and coturn. It fails if they do not meet in the
// way that there is, if a connection does not survive a short break of the line or
// is not closed after a long one, or if a node writes a password into its log.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/xnode-p2p/xnode/interop/internal/lan"
	"github.com/xnode-p2p/xnode/interop/internal/peers"
)

func main() {
	lan.Hold()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	o := options{parts: parts, out: os.Stdout, log: os.Stderr}
	o.define(flag.CommandLine)
	args := os.Args[1:]
	named := 0
	for named < len(args) && slices.Contains(parts, args[named]) {
		named++
	}
	if named > 0 {
		o.parts = args[:named]
	}
	args = args[named:]
	_ = flag.CommandLine.Parse(args) // which ends the process if it fails
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	failed, err := o.main(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil || failed {
		os.Exit(1)
	}
}

// The parts.
const (
	partPunch   = "punch"
	partRecover = "recover"
	partReach   = "reach"
	partRelays  = "relays"
	partWebRTC  = "webrtc"
)

var parts = []string{partPunch, partRecover, partReach, partRelays, partWebRTC}

// options say what is tried.
type options struct {
	parts          []string
	peers          string
	only           words
	runs, parallel int
	wait           time.Duration
	security       string
	mixed          bool
	resume         string
	json           bool
	out, log       io.Writer
}

func (o *options) define(flags *flag.FlagSet) {
	flags.StringVar(&o.peers, "peers", "go", "peers to do the same besides this project's, comma separated")
	flags.Var(&o.only, "only", "what is tried, comma separated: routers such as cone-symmetric, tcp or quic, clean or lossy, a peer")
	flags.IntVar(&o.runs, "runs", 10, "how often each combination of punch is tried")
	flags.IntVar(&o.parallel, "parallel", 4, "how much is tried at a time, each in a lab of its own")
	flags.DurationVar(&o.wait, "wait", 30*time.Second, "how long punch waits for a direct connection")
	flags.StringVar(&o.security, "security", "", "what TCP connections are secured with in punch: noise, tls, or what the peers do by themselves")
	flags.BoolVar(&o.mixed, "mixed", false, "have this project's peer punch with the others too, both ways; such a cell has a name like xnode>go")
	flags.StringVar(&o.resume, "resume", "", "a file that keeps what was tried, so that it is not tried again")
	flags.BoolVar(&o.json, "json", false, "print the outcome as JSON")
}

// words is a flag of words with commas between them.
type words []string

func (w *words) String() string { return strings.Join(*w, ",") }

// Set implements [flag.Value].
func (w *words) Set(text string) error {
	*w = strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
	return nil
}

// main sets the peers up where the machine's own network is, and goes on where it
// can make networks.
func (o *options) main(ctx context.Context) (failed bool, err error) {
	root, err := peers.Root()
	if err != nil {
		return false, err
	}
	chosen, err := peers.Named(peers.All(root), strings.Split(o.peers, ","))
	if err != nil {
		return false, err
	}
	binary := filepath.Join(root, "bin", "xnode")
	if lan.Inside() {
		return o.run(ctx, chosen, binary)
	}
	for _, tool := range []string{"nft", "conntrack"} {
		if _, err := exec.LookPath(tool); err != nil {
			fmt.Fprintf(o.log, "natlab is left out: the command %s is missing; Debian's packages are nftables and conntrack\n", tool)
			return false, nil
		}
	}
	for _, p := range chosen {
		if err := p.Setup(ctx, o.log); err != nil {
			return false, err
		}
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/xnode")
	build.Dir, build.Stdout, build.Stderr = root, o.log, o.log
	if err := build.Run(); err != nil {
		return false, fmt.Errorf("build xnode: %w", err)
	}
	status, err := lan.Enter(ctx, os.Args[1:]...)
	if errors.Is(err, lan.ErrUnavailable) {
		fmt.Fprintf(o.log, "natlab is left out: %v\n", err)
		return false, nil
	}
	return status != 0, err
}

// report is what came of it.
type report struct {
	Punch   []*cell     `json:"punch,omitempty"`
	Recover []*recovery `json:"recover,omitempty"`
	Reach   []*reaching `json:"reach,omitempty"`
	Relays  []*relaying `json:"relays,omitempty"`
	WebRTC  []*meeting  `json:"webrtc,omitempty"`
}

// run tries everything and prints what came of it.
func (o *options) run(ctx context.Context, chosen []peers.Peer, binary string) (failed bool, err error) {
	var r report
	if slices.Contains(o.parts, partPunch) {
		if r.Punch, err = cellsOf(pairsOf(chosen, o.mixed), o.only); err != nil {
			return false, err
		}
		if err := o.restore(r.Punch); err != nil {
			return false, err
		}
	}
	if slices.Contains(o.parts, partRecover) {
		r.Recover = recoveries()
	}
	o.each(len(r.Punch), func(i int) string {
		c := r.Punch[i]
		if c.Runs > 0 {
			return fmt.Sprintf("%s: as before", c)
		}
		if err := c.try(ctx, i, o); err != nil {
			c.Errors = append(c.Errors, err.Error())
		}
		c.judge()
		return fmt.Sprintf("%s: %d of %d direct, after %.0f ms%s", c, c.Direct, c.Runs, c.Median, o.keep(ctx, c))
	})
	for _, c := range r.Punch {
		failed = failed || c.Peer == peers.Xnode && !c.OK
	}
	o.each(len(r.Recover), func(i int) string {
		c := r.Recover[i]
		if err := c.try(ctx, i, binary); err != nil {
			c.OK, c.Error = false, err.Error()
		}
		failed = failed || !c.OK
		return fmt.Sprintf("%s: after %.1f s", c, c.After)
	})
	if slices.Contains(o.parts, partReach) {
		r.Reach = reachings()
	}
	o.each(len(r.Reach), func(i int) string {
		c := r.Reach[i]
		if err := c.try(ctx, i, binary); err != nil {
			c.OK, c.Error = false, err.Error()
		}
		failed = failed || !c.OK
		return fmt.Sprintf("%s: %s after %.1f s %s", c, c.Got, c.After, c.Error)
	})
	if slices.Contains(o.parts, partRelays) {
		r.Relays = relayings()
	}
	o.each(len(r.Relays), func(i int) string {
		c := r.Relays[i]
		if err := c.try(ctx, i, binary); err != nil {
			c.OK, c.Error = false, err.Error()
		}
		failed = failed || !c.OK
		return fmt.Sprintf("%s: places after %.1f s, others after %.1f s %s", c, c.Found, c.Again, c.Error)
	})
	if slices.Contains(o.parts, partWebRTC) {
		r.WebRTC = meetings(o.only)
		if _, err := exec.LookPath("turnserver"); err != nil {
			fmt.Fprintln(o.log, "webrtc is left out: the command turnserver is missing; Debian's package is coturn")
			r.WebRTC = nil
		}
	}
	o.each(len(r.WebRTC), func(i int) string {
		m := r.WebRTC[i]
		if err := m.try(ctx, i, binary); err != nil {
			m.OK, m.Error = false, err.Error()
		}
		failed = failed || !m.OK
		return fmt.Sprintf("%s: %s after %.1f s %s", m, m.Got, m.After, m.Error)
	})
	if err := ctx.Err(); err != nil {
		return true, context.Cause(ctx)
	}
	if o.json {
		enc := json.NewEncoder(o.out)
		enc.SetIndent("", "  ")
		return failed, enc.Encode(r)
	}
	return failed, r.print(o.out)
}

// each calls try for 0 to n-1, some at a time, and logs what it returns.
func (o *options) each(n int, try func(int) string) {
	queue := make(chan int, n)
	for i := range n {
		queue <- i
	}
	close(queue)
	var wg sync.WaitGroup
	var logging sync.Mutex
	for range o.parallel {
		wg.Go(func() {
			for i := range queue {
				begun := time.Now()
				line := try(i)
				logging.Lock()
				fmt.Fprintf(o.log, "%s (%.0f s)\n", line, time.Since(begun).Seconds())
				logging.Unlock()
			}
		})
	}
	wg.Wait()
}
