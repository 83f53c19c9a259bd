// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/cmd/internal/admin"
	"github.com/xnode-p2p/xnode/cmd/internal/node"
	"github.com/xnode-p2p/xnode/core"
)

// crawlTimeout is how long a crawl may take if nothing else is said.
const crawlTimeout = 30 * time.Minute

func (c *cli) statsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "stats", Short: "Shows what the running node has done and keeps", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(c.statsDHTCommand(), c.statsRelayCommand())
	return cmd
}

func (c *cli) statsDHTCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dht",
		Short: "Shows the running node's part of the DHT",
		Long: `dht shows the tables of the DHT, one for each network: whether the node answers
others, whom it knows, how large it takes the network to be, what it keeps for
others, and the requests it has answered and sent.

JSON: [{"protocol", "server", "peers", "buckets", "network_size", "records":
{"entries", "bytes"}, "providers": {"entries", "bytes"}, "kept", "kept_records", "served",
"refused", "delayed", "asked", "failed", "streams"}]`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.statsDHT(cmd.Context()) },
	}
	return c.reads(c.asks(cmd))
}

func (c *cli) statsDHT(ctx context.Context) error {
	var list []core.DHTStats
	if err := c.fetch(ctx, "asking the node", "/xnode/stats/dht", &list); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(list, false)
	}
	return c.table(func(row func(string, ...any)) {
		for _, s := range list {
			mode := "client"
			if s.Server {
				mode = "server"
			}
			row("%s\t%s", escapeLines(s.Protocol), mode)
			row("  peers\t%d", s.Peers)
			for i, n := range s.Buckets {
				if n > 0 {
					row("    bucket %d\t%d", i, n)
				}
			}
			if s.NetworkSize > 0 {
				row("  network size\tabout %d", s.NetworkSize)
			}
			row("  records\t%d, %d bytes", s.Records.Entries, s.Records.Bytes)
			row("  providers\t%d, %d bytes", s.Providers.Entries, s.Providers.Bytes)
			row("  kept provided\t%d", s.Kept)
			row("  kept records\t%d", s.KeptRecords)
			for _, name := range sortedKeys(s.Served) {
				row("  served %s\t%d", escapeLines(name), s.Served[name])
			}
			row("  refused\t%d", s.Refused)
			row("  delayed\t%d", s.Delayed)
			for _, name := range sortedKeys(s.Asked) {
				row("  asked %s\t%d", escapeLines(name), s.Asked[name])
			}
			row("  not answered\t%d", s.Failed)
			row("  streams\t%d", s.Streams)
		}
	})
}

func (c *cli) crawlCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "crawl",
		Short: "Asks all peers of the DHT for all peers they know",
		Long: `crawl has the running node ask all peers of the DHT for all peers they know, and
prints a line for each as it has answered or failed to: its ID, how long it
took, how many it knows, and what it is or what went wrong.

JSON: {"peer", "addrs", "agent", "knows", "took_ns", "error"} in each line`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 {
				return fmt.Errorf("--limit must be at least 0")
			}
			if !cmd.Flags().Changed("timeout") {
				c.timeout = crawlTimeout
			}
			return c.crawl(cmd.Context(), limit)
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 0, "how many peers to come by; 0 for all")
	return c.reads(c.asks(cmd))
}

func (c *cli) crawl(ctx context.Context, limit int) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	client, err := c.client()
	if err != nil {
		return err
	}
	done := c.progress("crawling")
	defer done()
	begun := time.Now()
	peers, failed := 0, 0
	request := admin.RoutingRequest{Count: limit, Timeout: core.Duration(c.timeout * 9 / 10)}
	err = client.lines(ctx, "/xnode/crawl", request, func(text []byte) error {
		done()
		var p node.Crawled
		if err := json.Unmarshal(text, &p); err != nil {
			return err
		}
		peers++
		what := p.Agent
		if p.Error != "" {
			failed++
			what = "FAIL " + p.Error
		}
		if c.json {
			return c.printJSON(p, true)
		}
		_, err := fmt.Fprintf(c.out, "%s  %s  knows %d  %s\n", p.Peer, short(p.Took), len(p.Knows), what)
		return err
	})
	if peers > 0 || err == nil {
		fmt.Fprintf(c.err, "%d peers in %s, of which %d did not answer\n", peers, short(time.Since(begun)), failed)
	}
	return err
}
