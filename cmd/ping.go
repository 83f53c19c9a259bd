// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/cmd/internal/node"
	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/peer"
)

func (c *cli) pingCommand() *cobra.Command {
	var count int
	var interval time.Duration
	cmd := &cobra.Command{
		Use:   "ping PEER",
		Short: "Measures how long a message to a peer and back takes",
		Long: `ping sends messages to a peer over one stream and prints how long each took to
come back.

PEER is an address that ends in /p2p/ID, or a domain with dnsaddr records: then
no running node is needed. To a peer ID alone the running node sends.

JSON: {"peer", "seq", "rtt_ns"} in each line`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if count < 1 || interval < 0 {
				return errors.New("-n must be at least 1, --interval at least 0")
			}
			if !cmd.Flags().Changed("timeout") {
				c.timeout += time.Duration(count) * interval
			}
			return c.ping(cmd.Context(), args[0], count, interval)
		},
	}
	cmd.Flags().IntVarP(&count, "count", "n", 10, "how many messages to send")
	cmd.Flags().DurationVarP(&interval, "interval", "i", time.Second, "the time from one message to the next")
	return c.reads(c.asks(cmd))
}

func (c *cli) ping(ctx context.Context, target string, count int, interval time.Duration) error {
	var n int
	var sum time.Duration
	done := c.progress("connecting to " + target)
	defer done()
	each := func(p node.Pong) error {
		done()
		n++
		sum += p.RTT
		if c.json {
			return c.printJSON(p, true)
		}
		_, err := fmt.Fprintf(c.out, "Pong received: time=%.2f ms\n", milliseconds(p.RTT))
		return err
	}
	if !c.json {
		fmt.Fprintf(c.out, "PING %s.\n", escapeLines(target))
	}
	var err error
	if c.asksDaemon(target) {
		err = c.pingThroughNode(ctx, target, count, interval, each)
	} else {
		err = c.alone(ctx, target, func(ctx context.Context, h *host.Host, p peer.AddrInfo) error {
			return node.Ping(ctx, h, p, count, interval, each)
		})
	}
	if n > 0 && !c.json {
		fmt.Fprintf(c.out, "Average latency: %.2fms\n", milliseconds(sum/time.Duration(n)))
	}
	return err
}

// pingThroughNode has the running node send the pings.
func (c *cli) pingThroughNode(ctx context.Context, target string, count int, interval time.Duration, each func(node.Pong) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	client, err := c.client()
	if err != nil {
		return err
	}
	q := c.request(target)
	q.Count, q.Interval = count, core.Duration(interval)
	return client.lines(ctx, "/xnode/ping", q, func(text []byte) error {
		var pong node.Pong
		if err := json.Unmarshal(text, &pong); err != nil {
			return err
		}
		return each(pong)
	})
}
