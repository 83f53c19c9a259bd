// SPDX-License-Identifier: Apache-2.0 OR MIT

package xnodecmd

import (
	"context"
	"net"
	"time"

	"github.com/xnode-p2p/xnode/cmd/internal/admin"
	"github.com/xnode-p2p/xnode/cmd/internal/node"
	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/host"
	"github.com/xnode-p2p/xnode/core/peer"
)

// asksDaemon tells whether the running node is to be asked about a target: it
// is if the user says where it is, and about peers without an address, which
// only a node that knows peers can find.
func (c *cli) asksDaemon(target string) bool {
	return c.admin != "" || node.NamesPeerOnly(target)
}

// request is what the running node is told; its time is up a little earlier
// than the command's, so that it can say what happened.
func (c *cli) request(target string) admin.Request {
	return admin.Request{Target: target, Timeout: core.Duration(c.timeout * 9 / 10)}
}

// fetch reads the JSON at a path of the running node.
func (c *cli) fetch(ctx context.Context, what, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	client, err := c.client()
	if err != nil {
		return err
	}
	defer c.progress(what)()
	return client.get(ctx, path, into)
}

// send sends a request to the running node and reads the answer.
func (c *cli) send(ctx context.Context, what, path string, value, into any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	client, err := c.client()
	if err != nil {
		return err
	}
	defer c.progress(what)()
	return client.post(ctx, path, value, into)
}

// alone does something with a node that lives for this command only.
func (c *cli) alone(ctx context.Context, target string, do func(context.Context, *host.Host, peer.AddrInfo) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	p, err := node.Target(ctx, target, net.DefaultResolver)
	if err != nil {
		return err
	}
	h, end, err := node.Ephemeral(ctx, c.timeout*9/10)
	if err != nil {
		return err
	}
	defer end()
	return do(ctx, h, p)
}

// milliseconds shows a duration the way ping does.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
