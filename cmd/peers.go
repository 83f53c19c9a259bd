// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/cmd/internal/admin"
	"github.com/xnode-p2p/xnode/cmd/internal/node"
)

// peersFlags say what is printed of a connection.
type peersFlags struct{ verbose, streams, direction, identify, discovered bool }

func (c *cli) peersCommand() *cobra.Command {
	var f peersFlags
	cmd := &cobra.Command{
		Use:   "peers",
		Short: "Lists the connections of the running node",
		Long: `peers lists the connections of the running node, one in each line.

With --discovered it lists the peers that discovery has found instead, connected
or not: for each of their addresses a line that ends in who has found them.

JSON: [{"peer", "addr", "local_addr", "direction", "opened", "limited",
"transport", "security", "muxer", "agent", "protocols", "streams": [{"protocol",
"direction"}]}], or with --discovered [{"peer", "sources", "addrs", "connected"}]`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.peers(cmd.Context(), f) },
	}
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "print everything")
	cmd.Flags().BoolVar(&f.streams, "streams", false, "print the open streams too")
	cmd.Flags().BoolVar(&f.direction, "direction", false, "print who opened the connection")
	cmd.Flags().BoolVar(&f.identify, "identify", false, "print what the peer says of itself")
	cmd.Flags().BoolVar(&f.discovered, "discovered", false, "print the peers that discovery has found")
	cmd.MarkFlagsMutuallyExclusive("discovered", "verbose")
	cmd.MarkFlagsMutuallyExclusive("discovered", "streams")
	cmd.MarkFlagsMutuallyExclusive("discovered", "direction")
	cmd.MarkFlagsMutuallyExclusive("discovered", "identify")
	return c.reads(c.asks(cmd))
}

// discovered prints the peers that discovery has found.
func (c *cli) discovered(ctx context.Context) error {
	var list []node.Discovered
	if err := c.fetch(ctx, "asking the node", "/xnode/discovered", &list); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(list, false)
	}
	for _, p := range list {
		end := "/p2p/" + p.Peer + " " + strings.Join(p.Sources, ",")
		if p.Connected {
			end += " connected"
		}
		for _, a := range p.Addrs {
			fmt.Fprintln(c.out, a+end)
		}
		if len(p.Addrs) == 0 {
			fmt.Fprintln(c.out, end)
		}
	}
	return nil
}

func (c *cli) peers(ctx context.Context, f peersFlags) error {
	if f.discovered {
		return c.discovered(ctx)
	}
	var list []node.Conn
	if err := c.fetch(ctx, "asking the node", "/xnode/peers", &list); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(list, false)
	}
	for _, conn := range list {
		line := conn.Addr + "/p2p/" + conn.Peer
		if f.direction || f.verbose {
			line += " " + conn.Direction
		}
		if f.verbose {
			line += strings.TrimRight(" "+conn.Security+" "+conn.Muxer, " ")
		}
		if conn.Limited {
			line += " limited"
		}
		fmt.Fprintln(c.out, line)
		if f.identify || f.verbose {
			fmt.Fprintf(c.out, "  agent: %s\n", conn.Agent)
			for _, p := range conn.Protocols {
				fmt.Fprintf(c.out, "  protocol: %s\n", p)
			}
		}
		if f.streams || f.verbose {
			for _, s := range conn.Streams {
				fmt.Fprintf(c.out, "  %s %s\n", s.Protocol, s.Direction)
			}
		}
	}
	return nil
}

func (c *cli) connectCommand() *cobra.Command {
	return c.asks(&cobra.Command{
		Use:   "connect PEER…",
		Short: "Has the running node connect to peers",
		Long: `connect has the running node connect to peers.

A PEER is a peer ID, an address that ends in /p2p/ID, or a domain with dnsaddr
records; - alone reads them from standard input, one in each line.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.change(cmd.Context(), "connect", args)
		},
	})
}

func (c *cli) disconnectCommand() *cobra.Command {
	return c.asks(&cobra.Command{
		Use:   "disconnect PEER…",
		Short: "Has the running node close its connections to peers",
		Long: `disconnect has the running node close its connections to peers.

A PEER is a peer ID, an address that ends in /p2p/ID, or a domain with dnsaddr
records; - alone reads them from standard input, one in each line.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.change(cmd.Context(), "disconnect", args)
		},
	})
}

// change connects to peers or disconnects from them, one after the other.
func (c *cli) change(ctx context.Context, what string, targets []string) error {
	if len(targets) == 1 && targets[0] == "-" {
		var err error
		if targets, err = words(c.in); err != nil {
			return err
		}
	}
	var errs []error
	for _, target := range targets {
		var p admin.Peer
		if err := c.send(ctx, what+" "+target, "/xnode/"+what, c.request(target), &p); err != nil {
			errs = append(errs, fmt.Errorf("%s %s failure: %w", what, target, err))
			if gone := (*noNodeError)(nil); errors.As(err, &gone) {
				return err
			}
			continue
		}
		fmt.Fprintf(c.out, "%s %s success\n", what, p.Peer)
	}
	return errors.Join(errs...)
}

// words reads lines, without empty ones.
func words(r io.Reader) ([]string, error) {
	var list []string
	s := bufio.NewScanner(r)
	for s.Scan() {
		if line := strings.TrimSpace(s.Text()); line != "" {
			list = append(list, line)
		}
	}
	return list, s.Err()
}
