// SPDX-License-Identifier: Apache-2.0 OR MIT

package webtransport

import (
	"context"
	"fmt"
	"net"
	"strconv"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/xnode-p2p/xnode/core"
	"github.com/xnode-p2p/xnode/core/peer"
)

// Dial implements [core.MuxedTransport].
func (t *Transport) Dial(ctx context.Context, a ma.Multiaddr, p peer.ID, m core.ConnMemory) (core.MuxedConn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e, err := parse(a)
	if err != nil {
		return nil, err
	}
	if t.node == nil {
		return nil, errNotStarted
	}
	config, err := e.clientTLS(t.roots)
	if err != nil {
		return nil, err
	}
	_, alias := core.DialIdentity(ctx, nil)
	port, err := t.dialer.Join(e.at, alias)
	if err != nil {
		return nil, err
	}
	defer port.Release() // the connection keeps the socket
	q, err := port.DialQUIC(ctx, e.at, config, t.settings(), m)
	if err != nil {
		return nil, err
	}
	c := &conn{quic: q, remote: a}
	// The library does not give up waiting for a response.
	cut := context.AfterFunc(ctx, func() { closeQUIC(q, core.ConnNoError) })
	if err = t.open(ctx, c, e, p); err == nil && cut() {
		c.start()
		return c, nil
	}
	closeQUIC(q, core.ConnNegotiationFailed)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, err
}

// open makes a session on the connection to e and finds out whether p is there.
func (t *Transport) open(ctx context.Context, c *conn, e endpoint, p peer.ID) (err error) {
	if c.local, err = multiaddr(c.quic.LocalAddr()); err != nil {
		return err
	}
	http, err := t.client.NewClientConn(c.quic)
	if err != nil {
		return err
	}
	_, c.session, err = http.Dial(ctx, e.url(), nil)
	if err != nil {
		return fmt.Errorf("session: %w", err)
	}
	return t.identify(ctx, c, p, e)
}

// url is what a client asks a server for.
func (e endpoint) url() string {
	host := e.name
	if host == "" {
		host = e.at.Addr().WithZone("").String()
	}
	return "https://" + net.JoinHostPort(host, strconv.Itoa(int(e.at.Port()))) + path + "?type=noise"
}
