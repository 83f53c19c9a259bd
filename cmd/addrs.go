// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/cmd/internal/node"
)

func (c *cli) addrsCommand() *cobra.Command {
	show := func(what string) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, _ []string) error { return c.addrs(cmd.Context(), what) }
	}
	const fields = `{"peer", "local", "listen", "known": [{"peer", "addrs"}]}`
	cmd := c.reads(c.asks(&cobra.Command{
		Use:   "addrs",
		Short: "Lists the addresses that the running node knows, or has",
		Long:  "addrs lists the peers whose addresses the running node knows.\n\nJSON, of the commands below too: " + fields,
		Args:  cobra.NoArgs, RunE: show("known"),
	}))
	cmd.AddCommand(
		c.reads(c.asks(&cobra.Command{Use: "local", Short: "Lists the addresses the node tells its peers, each ready to be dialled",
			Long: "local lists the addresses the node tells its peers, each ready to be dialled.\n\nJSON: " + fields, Args: cobra.NoArgs, RunE: show("local")})),
		c.reads(c.asks(&cobra.Command{Use: "listen", Short: "Lists the addresses the node listens on",
			Long: "listen lists the addresses the node listens on.\n\nJSON: " + fields, Args: cobra.NoArgs, RunE: show("listen")})),
		c.reachCommand(),
	)
	return cmd
}

func (c *cli) addrs(ctx context.Context, what string) error {
	var a node.Addrs
	if err := c.fetch(ctx, "asking the node", "/xnode/addrs", &a); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(a, false)
	}
	switch what {
	case "local":
		for _, addr := range a.Local {
			fmt.Fprintln(c.out, addr)
		}
	case "listen":
		for _, addr := range a.Listen {
			fmt.Fprintln(c.out, addr)
		}
	default:
		for _, p := range a.Known {
			fmt.Fprintf(c.out, "%s (%d)\n", p.Peer, len(p.Addrs))
			for _, addr := range p.Addrs {
				fmt.Fprintf(c.out, "\t%s\n", addr)
			}
		}
	}
	return nil
}

func (c *cli) reachCommand() *cobra.Command {
	return c.reads(c.asks(&cobra.Command{
		Use:   "reach",
		Short: "Shows which of the node's addresses can be reached from outside",
		Long: `reach shows whether the running node can be reached from outside, as peers say
that were asked to dial it; for each address, from how many of their networks it
could be reached. The module of nat that asks them is autonat.

JSON: {"reachability", "addrs": [{"addr", "reachability", "reached", "missed",
"checked"}]}; reachability is public, private or unknown.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.reach(cmd.Context()) },
	}))
}

func (c *cli) reach(ctx context.Context) error {
	var r node.Reach
	if err := c.fetch(ctx, "asking the node", "/xnode/reach", &r); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(r, false)
	}
	return c.table(func(row func(string, ...any)) {
		row("the node\t%s\t%s", r.Reachability, reachHints[r.Reachability])
		for _, a := range r.Addrs {
			checked := "never tried"
			if a.Checked != nil {
				checked = fmt.Sprintf("reached from %d of %d networks, last tried at %s",
					a.Reached, a.Reached+a.Missed, a.Checked.Local().Format(time.TimeOnly))
			}
			row("%s\t%s\t%s", a.Addr, a.Reachability, checked)
		}
	})
}

// reachHints say what to do about a node's reachability.
var reachHints = map[string]string{
	"public":  "peers can dial it",
	"private": "peers cannot dial it: forward its port at the router, add portmap to nat, or listen on /p2p-circuit to use a relay",
	"unknown": "too few peers of other networks that speak AutoNAT are connected, or they were not asked yet",
}

func (c *cli) limitsCommand() *cobra.Command {
	return c.reads(c.asks(&cobra.Command{
		Use:   "limits",
		Short: "Shows what the running node has in use of its limits",
		Long: `limits shows what the running node has in use of its limits: connections, those
in their handshake included, and streams by who opened them; memory in bytes;
and with how many peers, subnets and protocols.

JSON: {"inbound_connections", "outbound_connections", "handshakes",
"inbound_streams", "outbound_streams", "memory", "peers", "subnets",
"protocols"}`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var stat map[string]int64
			if err := c.fetch(cmd.Context(), "asking the node", "/xnode/limits", &stat); err != nil {
				return err
			}
			if c.json {
				return c.printJSON(stat, false)
			}
			return c.table(func(row func(string, ...any)) {
				for _, name := range sortedKeys(stat) {
					row("%s\t%d", strings.ReplaceAll(name, "_", " "), stat[name])
				}
			})
		},
	}))
}
