// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/cmd/internal/node"
	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/peer"
)

func (c *cli) traceCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "trace", Short: "Tells the story of what a node does", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(c.traceDialCommand())
	return cmd
}

func (c *cli) traceDialCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dial PEER",
		Short: "Dials a peer and tells what was tried, what happened, and what to do",
		Long: `dial dials a peer and tells every step: the names that were looked up, the
addresses that were skipped and why, those that were tried and how far it went,
and what that means. The exit code is 0 if the peer is connected.

PEER is an address that ends in /p2p/ID, or a domain with dnsaddr records: then
no running node is needed. A peer ID alone is dialled by the running node, which
looks the peer up if it has a module for that, such as kad.

JSON: {"target", "peer", "connected", "started", "took_ns", "code", "verdict",
"hint", "resolved": [{"addr", "found", "took_ns", "error"}], "attempts":
[{"addr", "source", "outcome", "delay_ns", "took_ns", "steps": [{"name",
"detail", "took_ns"}], "error"}], "identify", "identify_error"}`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.traceDial(cmd.Context(), args[0]) },
	}
	return c.reads(c.asks(cmd))
}

func (c *cli) traceDial(ctx context.Context, target string) error {
	var t node.Trace
	var err error
	if c.asksDaemon(target) {
		err = c.send(ctx, "dialling "+target, "/xnode/trace/dial", c.request(target), &t)
	} else {
		done := c.progress("dialling " + target)
		err = c.alone(ctx, target, func(ctx context.Context, h *host.Host, p peer.AddrInfo) error {
			t = node.TraceDial(ctx, h, target, p)
			return nil
		})
		done()
	}
	if err != nil {
		return err
	}
	if c.json {
		err = c.printJSON(t, false)
	} else {
		err = c.printTrace(t)
	}
	if err == nil && !t.Connected {
		err = errShown
	}
	return err
}

// printTrace tells the story of a dial.
func (c *cli) printTrace(t node.Trace) error {
	state := "NOT CONNECTED"
	if t.Connected {
		state = "CONNECTED"
	}
	fmt.Fprintf(c.out, "dial %s    verdict: %s, %s\n", t.Peer, state, t.Verdict)
	err := c.table(func(row func(string, ...any)) {
		for _, n := range t.Resolved {
			result := fmt.Sprintf("%d addresses", len(n.Found))
			if len(n.Found) == 1 {
				result = n.Found[0]
			}
			if n.Error != "" {
				result = "FAIL " + n.Error
			}
			row(" resolve\t%s\t→ %s\t%s", n.Addr, result, short(n.Took))
		}
		for _, a := range t.Attempts {
			switch a.Outcome {
			case core.DialSkipped:
				row(" skip\t%s\t%s", a.Addr, a.Error)
			case core.DialConnected:
				row(" +%s\t%s\tOK    %s", short(a.Delay), a.Addr, stepsText(a.Steps))
			case core.DialFailed:
				row(" +%s\t%s\tFAIL  %s, after %s%s", short(a.Delay), a.Addr, a.Error, short(a.Took), progressText(a.Steps))
			default:
				row(" +%s\t%s\tgiven up %s", short(a.Delay), a.Addr, stepsText(a.Steps))
			}
		}
		if i := t.Identify; i != nil {
			row(" identify\tagent %s\t%d protocols, %d addresses", i.Agent, len(i.Protocols), len(i.Addrs))
		} else if t.IdentifyError != "" {
			row(" identify\tFAIL\t%s", t.IdentifyError)
		}
	})
	if err == nil && t.Hint != "" {
		_, err = fmt.Fprintf(c.out, "hint      %s\n", t.Hint)
	}
	return err
}

// stepsText names the stages of an attempt.
func stepsText(steps []node.Step) string {
	var parts []string
	for _, s := range steps {
		parts = append(parts, strings.TrimSpace(strings.Join([]string{s.Name, s.Detail}, " "))+" "+short(s.Took))
	}
	return strings.Join(parts, ", ")
}

// progressText says how far a failed attempt came.
func progressText(steps []node.Step) string {
	if len(steps) == 0 {
		return ""
	}
	return " (" + stepsText(steps) + ")"
}

// short rounds a duration to what a reader cares for.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		d = d.Round(time.Second)
	case d >= time.Second:
		d = d.Round(100 * time.Millisecond)
	case d >= 10*time.Millisecond:
		d = d.Round(time.Millisecond)
	case d >= time.Millisecond:
		d = d.Round(100 * time.Microsecond)
	default:
		d = d.Round(10 * time.Microsecond)
	}
	if d == 0 {
		return "0ms"
	}
	return d.String()
}
