// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"context"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/xnode-p2p/xnode/cmd/internal/node"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/peer"
)

func (c *cli) idCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "id [PEER]",
		Short: "Shows who the running node, or a peer, is",
		Long: `id shows the peer ID, key, addresses and protocols of the running node; with a
PEER, what that peer says of itself.

PEER is an address that ends in /p2p/ID, or a domain with dnsaddr records: then
no running node is needed. A peer ID alone is looked up by the running node.

JSON: {"peer", "cid", "key_type", "public_key", "agent", "addrs", "protocols"}`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.id(cmd.Context(), append(args, "")[0]) },
	}
	return c.reads(c.asks(cmd))
}

func (c *cli) id(ctx context.Context, target string) (err error) {
	var info node.Info
	switch {
	case target == "":
		err = c.fetch(ctx, "asking the node", "/xnode/id", &info)
	case c.asksDaemon(target):
		err = c.fetch(ctx, "waiting for "+target, "/xnode/id?peer="+url.QueryEscape(target), &info)
	default:
		defer c.progress("connecting to " + target)()
		err = c.alone(ctx, target, func(ctx context.Context, h *host.Host, p peer.AddrInfo) (err error) {
			info, err = node.Identify(ctx, h, p)
			return err
		})
	}
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(info, false)
	}
	return c.table(func(row func(string, ...any)) {
		row("peer\t%s", info.Peer)
		row("cid\t%s", info.CID)
		row("key\t%s", info.KeyType)
		if info.Agent != "" {
			row("agent\t%s", info.Agent)
		}
		for i, a := range info.Addrs {
			row("%s\t%s", label("addresses", i), a)
		}
		for i, p := range info.Protocols {
			row("%s\t%s", label("protocols", i), p)
		}
	})
}

// label is the name of a list in front of its first entry.
func label(name string, i int) string {
	if i > 0 {
		return ""
	}
	return name
}
