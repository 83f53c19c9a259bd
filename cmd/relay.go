// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/core"
)

const relayFields = `{"service": {"max_reservations", "max_circuits", "limit": {"duration_ns", "data"},
"reservations": [{"peer", "addr", "expires", "left", "circuits"}], "circuits":
[{"from", "to", "opened", "limit", "forth", "back"}], "reserved", "connected",
"refused", "bytes"}, "places": [{"relay", "expires", "addrs", "limit", "error",
"asked"}]}`

func (c *cli) relayCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "relay", Short: "Shows what the running node has to do with relays", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(c.reads(c.asks(&cobra.Command{
		Use:   "ls",
		Short: "Lists places and connections at the running node as a relay, and its own places at others",
		Long: `ls lists the places that peers have at the running node, if it is a relay, and
the connections that it relays, with what they have carried; and the relays at
which the node has a place itself, or has asked for one in vain.

JSON: ` + relayFields,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.relayList(cmd.Context()) },
	})))
	return cmd
}

func (c *cli) statsRelayCommand() *cobra.Command {
	return c.reads(c.asks(&cobra.Command{
		Use:   "relay",
		Short: "Shows how much the running node relays",
		Long: `relay shows how many places peers have at the running node, how many connections
it relays, how often it was asked for either, and what it has carried. 'xnode
relay ls' lists them one by one, and prints the same JSON.

JSON: ` + relayFields,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.relayStats(cmd.Context()) },
	}))
}

func (c *cli) relayList(ctx context.Context) error {
	var s core.RelayStats
	if err := c.fetch(ctx, "asking the node", "/xnode/relay", &s); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(s, false)
	}
	return c.table(func(row func(string, ...any)) {
		if r := s.Service; r != nil {
			row("%s", "the node is a relay, "+relayed(r))
			for _, p := range r.Reservations {
				state := fmt.Sprintf("%d connections", p.Circuits)
				if p.Left {
					state += ", has left"
				}
				row("  place\t%s\tuntil %s\t%s\t%s", p.Peer, clock(p.Expires), state, p.Addr)
			}
			for _, o := range r.Circuits {
				row("  connection\t%s → %s\tsince %s\t%d bytes forth, %d back\t%s", o.From, o.To, clock(o.Opened), o.Forth, o.Back, limitText(o.Limit))
			}
		} else {
			row("%s", "the node is no relay")
		}
		for _, p := range s.Places {
			if p.Err != "" {
				row("none at\t%s\tat %s\t%s", p.Relay, clock(p.Asked), escapeLines(p.Err))
				continue
			}
			row("place at\t%s\tuntil %s\t%s", p.Relay, clock(p.Expires), limitText(p.Limit))
			for _, a := range p.Addrs {
				row("  \t%s", a)
			}
		}
	})
}

func (c *cli) relayStats(ctx context.Context) error {
	var s core.RelayStats
	if err := c.fetch(ctx, "asking the node", "/xnode/relay", &s); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(s, false)
	}
	held := 0
	for _, p := range s.Places {
		if p.Err == "" {
			held++
		}
	}
	return c.table(func(row func(string, ...any)) {
		row("places at relays\t%d", held)
		r := s.Service
		if r == nil {
			row("relay\tno")
			return
		}
		row("relay\tyes")
		row("  places\t%d of %d", len(r.Reservations), r.MaxReservations)
		row("  connections\t%d of %d", len(r.Circuits), r.MaxCircuits)
		row("  limit of each\t%s", limitText(r.Limit))
		row("  places given\t%d", r.Reserved)
		row("  connections made\t%d", r.Connected)
		for _, name := range sortedKeys(r.Refused) {
			row("  refused %s\t%d", escapeLines(name), r.Refused[name])
		}
		row("  carried\t%d bytes", r.Bytes)
	})
}

// relayed sums a relay up.
func relayed(r *core.RelayService) string {
	return fmt.Sprintf("with %d of %d places and %d of %d connections; it has carried %d bytes",
		len(r.Reservations), r.MaxReservations, len(r.Circuits), r.MaxCircuits, r.Bytes)
}

// limitText says what a connection may have.
func limitText(l core.RelayLimit) string {
	switch {
	case l == core.RelayLimit{}:
		return "no limits"
	case l.Data == 0:
		return short(l.Duration)
	case l.Duration == 0:
		return fmt.Sprintf("%d bytes each way", l.Data)
	}
	return fmt.Sprintf("%s and %d bytes each way", short(l.Duration), l.Data)
}

// clock shows when something is, today or not.
func clock(t time.Time) string {
	t = t.Local()
	if y, m, d := time.Now().Date(); t.Year() == y && t.Month() == m && t.Day() == d {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}
